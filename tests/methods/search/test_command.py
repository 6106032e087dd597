"""``search`` outside a study: what cannot work is said before the budget begins."""

from __future__ import annotations

import fcntl
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.__main__ import main

pytestmark = pytest.mark.slow


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line that would search for a minute."""
    shutil.copytree(REPOSITORY / "params", tmp_path / "params")
    argv = ["search", "--profile", "smoke", "--engine", "transformers-serve"]
    argv += ["--params", str(tmp_path / "params")]
    return [*argv, "--results", str(tmp_path / "results"), "--budget-s", "60"]


def test_a_flag_that_the_engine_lacks_is_one_line_before_any_trial(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "params" / "engines" / "transformers-serve.yaml"
    path.write_text(path.read_text().replace("flag: --dtype", "flag: --weights-type"))
    assert main(words) == 2
    said = capsys.readouterr()
    assert "--weights-type" in said.err
    assert said.err.count("\n") == 1
    assert "trial" not in said.out
    assert not (tmp_path / "results" / "smoke" / "search").exists()


def test_it_waits_for_another_measurement(tmp_path: Path, words: list[str]) -> None:
    results = tmp_path / "results"
    results.mkdir()
    lock = results / f".measuring.{socket.gethostname()}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with subprocess.Popen(
            [sys.executable, "-m", "ibench", *words],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        ) as child:
            assert child.stderr is not None
            line = child.stderr.readline()
            child.terminate()
    assert line == "ibench: waiting: another measurement runs on this machine\n"
    assert not (results / "smoke" / "search").exists()
