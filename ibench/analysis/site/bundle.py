"""Bundle the pages' code with npm and esbuild; reuse a bundle of the same code."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ibench.errors import UserError
from ibench.files import locked

__all__ = ["bundle", "page_files"]

KEPT = ("index.html", "theme.css", "style.css")
SOURCES = ("package.json", "package-lock.json", *KEPT, "src")
# What the bundle contains of others, and under which terms.
LICENCES = (
    "echarts/NOTICE",
    "echarts/LICENSE",
    "zrender/LICENSE",
    "tslib/LICENSE.txt",
)
LIMIT_S = 600


def bundle(source: Path, cache: Path) -> Path:
    """Return a folder with the page, its styles, app.js and LICENCES.txt.

    Args:
        source: the folder of the pages' code.
        cache: bundles are kept here by the hash of what they are made of.

    Raises:
        UserError: npm is missing, cannot reach its packages, or the code is wrong.
    """
    target = cache / _key(source)
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "lock"):
        if target.is_dir():
            return target
        work = cache / "build"
        _copy(source, work)
        _install(work)
        side = work / "out"
        _run(
            ["node_modules/.bin/esbuild", "src/main.js", "--bundle", "--minify",
             "--format=iife", "--target=es2021", "--legal-comments=none",
             "--charset=ascii", "--log-level=error", "--outfile=out/app.js"],
            work, "site/src does not bundle; mend the file named",
        )  # fmt: skip
        for name in KEPT:
            shutil.copyfile(work / name, side / name)
        _licences(work / "node_modules", side / "LICENCES.txt")
        for old in cache.iterdir():
            if old.is_dir() and old != work:
                shutil.rmtree(old)
        side.replace(target)
    return target


def page_files(folder: Path) -> Iterator[Path]:
    """Files of a bundle."""
    yield from sorted(p for p in folder.iterdir() if p.is_file())


def _files(source: Path) -> Iterator[Path]:
    for name in SOURCES:
        path = source / name
        yield from sorted(path.rglob("*.js")) if path.is_dir() else [path]


def _key(source: Path) -> str:
    # How it is bundled counts as much as what.
    found = hashlib.sha256(Path(__file__).read_bytes())
    for path in _files(source):
        found.update(path.relative_to(source).as_posix().encode() + b"\0")
        found.update(path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def _copy(source: Path, work: Path) -> None:
    """A copy to build in: the repository gets no node_modules."""
    for name in ("src", "out"):
        shutil.rmtree(work / name, ignore_errors=True)
    for path in _files(source):
        target = work / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _install(work: Path) -> None:
    lock = work / "package-lock.json"
    done = work / "node_modules" / ".installed"
    if done.is_file() and done.read_bytes() == lock.read_bytes():
        return
    if shutil.which("npm") is None:
        raise UserError(
            "npm: not installed, and no bundle of the site is cached: install Node.js "
            "18 or newer with npm (Debian: apt-get install nodejs npm)"
        )
    # Neither package needs an install script to work; none may run.
    _run(
        [
            "npm",
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ],
        work,
        "the site's packages cannot be installed; connect once, or bring .cache/site "
        "from a machine that has built it",
    )
    shutil.copyfile(lock, done)


def _licences(packages: Path, target: Path) -> None:
    parts = [f"{name}\n\n{(packages / name).read_text()}" for name in LICENCES]
    target.write_text("\n\n".join(parts))


def _run(command: list[str], work: Path, remedy: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=work, capture_output=True, text=True, timeout=LIMIT_S,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{command[0]}: {error}: {remedy}") from error
    if done.returncode:
        name = Path(command[0]).name
        raise UserError(f"{name}: {_said(done.stderr)}: {remedy}")


def _said(text: str) -> str:
    """The first line that names an error; each program marks it in its own way."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for mark in ("[ERROR]", "npm error", "rror"):
        for line in lines:
            if mark in line:
                return line
    return lines[-1] if lines else "no message"
