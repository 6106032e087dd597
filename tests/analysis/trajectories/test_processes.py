"""Several processes: the same bytes, and trouble that stays where it is."""

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
from ibench.analysis.trajectories.pool import in_order
from ibench.errors import UserError
from tests.analysis.trajectories import made

pytestmark = pytest.mark.slow

LIMIT_S = 60


def written(folder: Path) -> dict[str, bytes]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_the_bytes_do_not_depend_on_the_processes(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for n in range(5):
        made.public_run(root / f"run_{n}", [*made.TURNS, made.say("x" * 900 * n)])
    made.public_run(root / "run_2b", [made.call("look", "Frobnicate")])
    # No text can hold half a character, so no record of this run can be made.
    made.public_run(root / "run_3b", agent="\ud800")
    one = write_all(root, tmp_path / "one", processes=1)
    for processes in (2, 3):
        out = tmp_path / str(processes)
        several = write_all(root, out, processes=processes)
        assert several.problems == one.problems
        assert several.facts == one.facts
        assert written(out) == written(tmp_path / "one")
    assert one.problems[0] == "run_2b: unknown tool 'Frobnicate', 1 calls kept as text"
    assert one.problems[1].startswith("run_3b: left out (TypeError: ")
    assert len(one.problems) == 2
    assert len(one.facts) == 6


def half(n: int) -> float:
    if n == 3:
        os._exit(7)
    if n == 5:
        raise ValueError(n)
    # The later ones are done first.
    time.sleep(0.05 / n)
    return n / 2


def test_a_process_that_dies_costs_its_own_job() -> None:
    assert list(in_order(half, [1, 2, 3, 4, 6], 2)) == [0.5, 1, None, 2, 3]


def test_what_the_work_raises_is_raised() -> None:
    results = in_order(half, [1, 5, 2], 2)
    assert next(results) == 0.5
    with pytest.raises(ValueError, match="5"):
        next(results)


def test_a_folder_that_cannot_be_written_ends_in_one_line(tmp_path: Path) -> None:
    made.public_run(tmp_path / "in" / "run_1")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OSError, match="out"):
        write_all(tmp_path / "in", tmp_path / "out")
    with pytest.raises(UserError, match="processes: 0 is too few"):
        write_all(tmp_path / "in", tmp_path / "new", processes=0)


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


def test_an_interrupt_ends_every_process(tmp_path: Path) -> None:
    folders = [made.public_run(tmp_path / "in" / f"run_{n}") for n in range(2)]
    pipes = [folder / "trace.jsonl" for folder in folders]
    for pipe in pipes:
        pipe.unlink()
        os.mkfifo(pipe)
    command = [
        sys.executable,
        "-m",
        "ibench",
        "trajectories",
        str(tmp_path / "in"),
    ]
    command += ["--out", str(tmp_path / "out"), "--processes", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    # Both workers wait for a line that never comes; only the parent is interrupted.
    ends = [reached(pipe) for pipe in pipes]
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=LIMIT_S)[1]
    assert said == "interrupted; no table was written\n"
    assert process.returncode == 130
    for end in ends:
        with pytest.raises(BrokenPipeError):  # nobody reads any more
            os.write(end, b"x")
        os.close(end)
    assert not (tmp_path / "out").exists()
