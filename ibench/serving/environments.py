"""Engines in environments of their own: built from a lock, checked, never shared.

An engine pins hundreds of packages and other versions of them than the workbench. Its
environment lies at ``<cache>/engines/<name>``; ``ready.json`` is written last and says
from which lock it was built, so that a half-built or outdated one is built again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from ibench.errors import EngineError
from ibench.files import locked, write_atomic
from ibench.params.engines import Engine, Venv
from ibench.records import Closed

__all__ = ["Built", "build", "built", "interpreter_roots"]

READY = "ready.json"
_VERSION = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"


class Built(Closed):
    """What an environment says of itself.

    Args:
        engine: its name.
        version: installed version of the engine's package.
        lock_sha256: of the lock it was built from.
        python: full version of its interpreter.
    """

    engine: str
    version: str
    lock_sha256: str
    python: str


def built(engine: Engine, folder: Path) -> Built | None:
    """Read the state of an engine's environment; None when it has to be built.

    Args:
        engine: with its ``lock_sha256``.
        folder: of all engines' environments.
    """
    try:
        state = Built.model_validate_json((folder / engine.name / READY).read_text())
    except (OSError, ValidationError):
        return None
    return state if state.lock_sha256 == engine.lock_sha256 else None


def build(
    engine: Engine,
    lock: Path,
    folder: Path,
    pythons: Mapping[str, str],
    say: Callable[[str], None],
) -> Built:
    """Build an environment, unless it is there.

    Two builders of one engine wait for each other. The output of pip goes to
    ``<folder>/<name>.log``.

    Args:
        engine: what to build; its environment is a ``Venv``.
        lock: the file that its environment names.
        folder: of all engines' environments.
        pythons: interpreters by minor version, ``{"3.11": "/usr/bin/python3.11"}``.
        say: told what takes minutes.

    Raises:
        EngineError: no such interpreter, an install that fails, another version than
            the engine's.
    """
    spec = engine.environment
    if not isinstance(spec, Venv):
        raise EngineError(f"engine {engine.name}: nothing to build: it has no venv")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f".{engine.name}.lock"):
        there = built(engine, folder)
        if there is not None:
            return there
        python = pythons.get(spec.python)
        if python is None:
            raise EngineError(
                f"engine {engine.name}: environment.python: {spec.python}: no such "
                "interpreter on PATH; install it"
            )
        say(f"engine {engine.name}: installing {spec.lock}.txt (some minutes)")
        return _install(engine, spec, lock, folder, python)


def _install(
    engine: Engine, spec: Venv, lock: Path, folder: Path, python: str
) -> Built:
    target, log_path = folder / engine.name, folder / f"{engine.name}.log"
    shutil.rmtree(target, ignore_errors=True)
    inside = str(target / "bin" / "python")
    # The workbench's pip installs there; a pip of its own would take seconds to set up.
    pip = [sys.executable, "-m", "pip", "--python", inside, "install", "--no-deps"]
    with log_path.open("w") as log:
        _run(
            [python, "-m", "venv", "--without-pip", str(target)], log, engine, log_path
        )
        _run(
            [*pip, "--disable-pip-version-check", "-r", str(lock)],
            log,
            engine,
            log_path,
        )
    version = _ask([inside, "-c", _VERSION, spec.package])
    if version != engine.version:
        raise EngineError(
            f"engine {engine.name}: version: {engine.version}: {lock.name} installs "
            f"{spec.package} {version or 'in no version'}; make the two agree"
        )
    state = Built(
        engine=engine.name,
        version=version,
        lock_sha256=str(engine.lock_sha256),
        python=_ask([inside, "-c", "import platform as p; print(p.python_version())"]),
    )
    write_atomic(target / READY, state.model_dump_json(indent=1))
    return state


def _run(argv: list[str], log: IO[str], engine: Engine, log_path: Path) -> None:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        raise EngineError(
            f"engine {engine.name}: its environment does not build: "
            f"{_last_error(log_path)} (all of it in {log_path})"
        )


def _last_error(log_path: Path) -> str:
    """The line that tells: pip's last error, else the last line of all."""
    lines = [line for line in log_path.read_text().splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no output"])[-1].strip()


def _ask(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def interpreter_roots(folder: Path) -> tuple[Path, ...]:
    """Installations that the environments' interpreters come from.

    A sandbox that shows an environment has to show these too: the interpreter in a
    virtual environment is a link.
    """
    roots = dict[Path, None]()
    for config in sorted(folder.glob("*/pyvenv.cfg")):
        for line in config.read_text().splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home":
                roots[Path(value.strip()).resolve().parent] = None
    return tuple(roots)
