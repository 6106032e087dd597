"""Environments of engines: built from real locks with real pip, and what breaks."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.errors import EngineError, ParameterError
from ibench.params.engines import Engine, load_engine, lock_path
from ibench.serving.environments import (
    READY,
    build_environment,
    built,
    interpreter_roots,
)
from ibench.study.engines import find_pythons, make_engine

pytestmark = pytest.mark.slow

PARAMS = REPOSITORY / "params"
MINOR = ".".join(map(str, sys.version_info[:2]))
HERE = {MINOR: sys.executable}


def _engine(lock: Path, version: str = "1.17.0", python: str = MINOR) -> Engine:
    """An engine that is the package six: one file, no dependencies."""
    return Engine.model_validate(
        {
            "name": "six",
            "version": version,
            "description": "a small package in an environment of its own",
            "argv": ["{engines}/six/bin/python", "-c", "pass"],
            "requires": "cpu",
            "environment": {
                "kind": "venv",
                "lock": lock.stem,
                "python": python,
                "package": "six",
            },
            "ready_s": 1.0,
            "process_pattern": "six",
            "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest(),
        }
    )


def quiet(_line: str) -> None:
    """Say nothing."""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "six.txt"
    path.write_text("six==1.17.0\n")
    return path


def test_build_once_and_again_when_the_lock_changes(lock: Path, tmp_path: Path) -> None:
    folder, said = tmp_path / "engines", list[str]()
    engine = _engine(lock)
    assert built(engine, folder) is None
    state = build_environment(engine, lock, folder, HERE, said.append)
    assert state.version == "1.17.0"
    assert state.python.startswith(MINOR)
    python = folder / "six" / "bin" / "python"
    where = subprocess.check_output(
        [python, "-c", "import six; print(six.__file__)"], text=True
    )
    assert where.startswith(str(folder / "six"))
    assert build_environment(engine, lock, folder, HERE, said.append) == state
    assert len(said) == 1
    lock.write_text("six==1.17.0\n# a comment\n")
    assert built(_engine(lock), folder) is None
    build_environment(_engine(lock), lock, folder, HERE, said.append)
    assert len(said) == 2
    home = Path(sys.executable).resolve().parent.parent
    assert home in {root.resolve() for root in interpreter_roots(folder)}


def test_a_half_built_environment_is_built_again(lock: Path, tmp_path: Path) -> None:
    folder, said = tmp_path / "engines", list[str]()
    (folder / "six" / "bin").mkdir(parents=True)
    (folder / "six" / READY).write_text('{"engine": "six", "ver')
    build_environment(_engine(lock), lock, folder, HERE, said.append)
    assert built(_engine(lock), folder) is not None
    assert len(said) == 1


def test_two_builders_build_once(lock: Path, tmp_path: Path) -> None:
    said = list[str]()
    with ThreadPoolExecutor(2) as pool:
        states = list(
            pool.map(
                lambda _: build_environment(
                    _engine(lock), lock, tmp_path / "e", HERE, said.append
                ),
                range(2),
            )
        )
    assert states[0] == states[1]
    assert len(said) == 1


def test_what_does_not_build_says_why_in_one_line(lock: Path, tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    with pytest.raises(EngineError, match=r"version: 1\.16\.0: six\.txt installs six"):
        build_environment(_engine(lock, "1.16.0"), lock, folder, HERE, quiet)
    with pytest.raises(EngineError, match=r"python: 3\.10: no such interpreter"):
        build_environment(_engine(lock, python="3.10"), lock, folder, HERE, quiet)
    lock.write_text("six==0.0.0.dev999\n")
    with pytest.raises(EngineError, match=r"does not build: ERROR: .*six") as raised:
        build_environment(_engine(lock), lock, folder, HERE, quiet)
    assert "\n" not in str(raised.value)
    assert str(folder / "six.log") in str(raised.value)
    assert built(_engine(lock), folder) is None


def test_shipped_locks_pin_everything_they_install() -> None:
    for path in sorted((PARAMS / "engines").glob("*.yaml")):
        engine = load_engine(PARAMS, path.stem)
        lock = lock_path(PARAMS, engine)
        if lock is None:
            continue
        lines = [w for w in lock.read_text().splitlines() if not w.startswith("#")]
        assert all(line.count("==") == 1 for line in lines), lock
        package = engine.environment.package if engine.environment else ""  # type: ignore[union-attr]
        assert f"{package}=={engine.version}" in lines


def test_engines_that_cannot_be_built(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="choose one of"):
        make_engine(PARAMS, "vlm", tmp_path, quiet, HERE)
    assert "nothing to build" in make_engine(PARAMS, "reference", tmp_path, quiet, HERE)
    with pytest.raises(EngineError, match="install apptainer or podman"):
        make_engine(PARAMS, "tgi", tmp_path, quiet, HERE)


def test_the_interpreter_that_runs_this_is_found() -> None:
    assert MINOR in find_pythons()
