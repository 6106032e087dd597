"""Trouble with a folder of runs stays where it is."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ibench.analysis.trajectories.folder import write_all
from tests.analysis.trajectories import made

LIMIT_S = 60


def test_a_run_that_fails_costs_itself(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for n in range(5):
        made.public_run(root / f"run_{n}", [*made.TURNS, made.say("x" * 900 * n)])
    made.public_run(root / "run_2b", [made.call("look", "Frobnicate")])
    # No text can hold half a character, so no record of this run can be made.
    made.public_run(root / "run_3b", agent="\ud800")
    one = write_all(root, tmp_path / "one")
    assert one.problems[0] == "run_2b: unknown tool 'Frobnicate', 1 calls kept as text"
    assert one.problems[1].startswith("run_3b: left out (TypeError: ")
    assert len(one.problems) == 2
    assert len(one.facts) == 6


def test_a_folder_that_cannot_be_written_ends_in_one_line(tmp_path: Path) -> None:
    made.public_run(tmp_path / "in" / "run_1")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OSError, match="out"):
        write_all(tmp_path / "in", tmp_path / "out")


def reached(pipe: Path) -> int:
    """Write end of a named pipe, as soon as somebody reads from it."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO
        time.sleep(0.05)
    raise TimeoutError(pipe)


def test_an_interrupt_leaves_no_table(tmp_path: Path) -> None:
    pipe = made.public_run(tmp_path / "in" / "run_0") / "trace.jsonl"
    pipe.unlink()
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "ibench", "trajectories", str(tmp_path / "in")]
    command += ["--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    end = reached(pipe)  # it waits for a line that never comes
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=LIMIT_S)[1]
    os.close(end)
    assert said == "interrupted; no table was written\n"
    assert process.returncode == 130
    assert not (tmp_path / "out").exists()
