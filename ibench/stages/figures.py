"""``make figures``: run the notebooks whose inputs changed, two at a time.

A notebook's key is the hash of its cells, the published files, the code and the
locked packages. It runs again when its key changed or a file it wrote did.
Nothing here imports pandas or matplotlib: finding that nothing is to do takes no time.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ibench import PACKAGE, REPOSITORY
from ibench.errors import IbenchError, ParameterError, StageError, UserError
from ibench.files import file_sha256, write_atomic
from ibench.records import sha256_of
from ibench.study.notebook import check_parameters, source_sha256

__all__ = ["Build", "run_notebooks"]

# What decides the outcome beside notebook and data.
CODE = (
    "analysis/paper/*.py",
    "analysis/style.py",
    "params/files.py",
    "study/notebook.py",
    "stages/figures.py",
    "store.py",
)
WORKERS = 2
LIMIT_S = 300.0
INDEX = "index.csv"


@dataclass(frozen=True)
class Build:
    """Where the inputs stand and where results go."""

    published: Path
    notebooks: Path
    output: Path
    lock: Path = REPOSITORY / "requirements.lock"

    def stamp(self, notebook: Path) -> Path:
        """File that says with which key a notebook last finished."""
        return self.output / "stamps" / f"{notebook.stem}.json"

    def inputs(self) -> dict[str, str]:
        """Hash of everything but the notebooks."""
        files = sorted(self.published.glob("*.csv"))
        files += [self.published / "schema.yaml"]
        files += [REPOSITORY / "params" / "artefacts.yaml"]
        files += sorted(f for pattern in CODE for f in PACKAGE.glob(pattern))
        files += sorted((REPOSITORY / "params" / "scenarios").glob("*.yaml"))
        files += [self.lock] if self.lock.exists() else []
        return {f"{f.parent.name}/{f.name}": file_sha256(f) for f in files}

    def key(self, notebook: Path, inputs: dict[str, str]) -> str:
        """Hash that decides whether a notebook must run again."""
        return sha256_of([source_sha256(notebook), inputs])

    def is_done(self, notebook: Path, key: str) -> bool:
        """Whether the last run had this key and its files are as it left them."""
        stamp = _read(self.stamp(notebook))
        if stamp is None or stamp["key"] != key:
            return False
        files: dict[str, str] = stamp["files"]
        return all(
            (self.output / name).is_file() and file_sha256(self.output / name) == sha256
            for name, sha256 in files.items()
        )


def run_notebooks(plan: Build, say: Callable[[str], None]) -> int:
    """Bring every notebook's results up to date; return how many notebooks ran.

    Raises:
        ParameterError: a published file breaks its schema.
        StageError: a notebook failed or took too long.
    """
    notebooks = sorted(plan.notebooks.glob("*.ipynb"))
    if not notebooks:
        raise ParameterError(plan.notebooks, "notebooks", "-", "holds no notebook")
    inputs = plan.inputs()
    todo = {
        n: key for n in notebooks if not plan.is_done(n, key := plan.key(n, inputs))
    }
    if todo:
        _check_published(plan.published)
    with ThreadPoolExecutor(WORKERS) as pool:
        futures = {n: pool.submit(_run, plan, n, key, say) for n, key in todo.items()}
    failed = [e for f in futures.values() if (e := f.exception()) is not None]
    if failed:
        raise failed[0]
    _write_index(plan, notebooks)
    return len(todo)


def _check_published(folder: Path) -> None:
    """Name a broken file before six kernels start and fail on it."""
    from ibench.analysis.paper.data import Published  # noqa: PLC0415 (pandas)

    data = Published(folder)
    for name in data.schema.files:
        data(name)


def _run(plan: Build, notebook: Path, key: str, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    given = {"published": str(plan.published), "output": str(plan.output)}
    parameters = check_parameters(notebook, given)
    executed = plan.output / "notebooks" / notebook.name
    executed.parent.mkdir(parents=True, exist_ok=True)
    plan.stamp(notebook).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="ibench-paper-") as side:
        request = Path(side) / "request.json"
        request.write_text(json.dumps(parameters))
        draft = Path(side) / notebook.name
        _execute(notebook, draft, request)
        shutil.move(draft, executed)
    files = {
        name: sha256
        for row in _manifest(plan, notebook)["artefacts"]
        for name, sha256 in row["files"].items()
    }
    body = json.dumps({"key": key, "files": files}, indent=1)
    write_atomic(plan.stamp(notebook), body.encode())
    say(f"{notebook.stem}: {time.monotonic() - started:.1f} s")


def _execute(notebook: Path, draft: Path, request: Path) -> None:
    """Run one notebook in a process of its own; its failure is one line."""
    argv = [sys.executable, "-m", "ibench.study.notebook"]
    argv += [str(notebook.resolve()), str(draft), str(request)]
    try:
        done = subprocess.run(
            argv,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StageError(f"{notebook}: not done after {LIMIT_S:.0f} s") from error
    if done.returncode == 0:
        return
    failure = _read(request.with_name("failure.json"))
    if failure is None:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise StageError(f"{notebook}: {last}")
    mistake = failure["error"] == "ParameterError"
    kind: type[IbenchError] = UserError if mistake else StageError
    raise kind(f"{notebook.name}: {failure['message']}")


def _manifest(plan: Build, notebook: Path) -> dict[str, Any]:
    """What a notebook made; its theme is the first word of its name."""
    path = plan.output / "manifests" / f"{notebook.stem.split('_')[0]}.json"
    found = _read(path)
    if found is None:
        raise StageError(f"{notebook.name}: wrote no {path.name}: close its sheet")
    return found


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data


def _write_index(plan: Build, notebooks: list[Path]) -> None:
    """List every table and figure with its sources, function and files."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "kind", "title", "source", "function", "reads", "files"])
    for notebook in notebooks:
        for row in _manifest(plan, notebook)["artefacts"]:
            cells = [row[c] for c in ("name", "kind", "title", "source", "function")]
            lists = [" ".join(row["reads"]), " ".join(row["files"])]
            writer.writerow([*cells, *lists])
    path, data = plan.output / INDEX, text.getvalue().encode()
    if not path.is_file() or path.read_bytes() != data:
        write_atomic(path, data)
