from __future__ import annotations

import io
from pathlib import Path

import pytest

from ibench.study.progress import Line, StatusLog, last_status


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_last_phase_and_what_is_left_of_it(tmp_path: Path) -> None:
    now = 100.0
    log = StatusLog(tmp_path, lambda: now)
    assert last_status(tmp_path, now) == ("starting", None)
    log.phase("launch", limit_s=60.0)
    assert last_status(tmp_path, 130.0) == ("launch", 30.0)
    assert last_status(tmp_path, 500.0) == ("launch", 0.0)
    log.phase("judging")
    assert last_status(tmp_path, 130.0) == ("judging", None)


@pytest.mark.parametrize("text", ["", "{", '{"t_s": 1'])
def test_a_line_being_written_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.jsonl").write_text(text)
    assert last_status(tmp_path, 1.0) == ("starting", None)


def test_a_terminal_sees_one_line_that_changes() -> None:
    stream = Terminal()
    line = Line(stream)
    line.show("a/x/1-2/relaunch", "load: burst", 65.0, 10.0, "3/21")
    line.show("a/x/1-2/relaunch", "load: burst", 66.0, 9.0, "3/21")
    line.done("a/x/1-2/relaunch", 70.5, "3/21")
    shown = stream.getvalue().split("\r\x1b[0K")
    assert shown[1:] == [
        "[3/21] a/x/1-2/relaunch: load: burst 1:05, 0:10 left at most",
        "[3/21] a/x/1-2/relaunch: load: burst 1:06, 0:09 left at most",
        "[3/21] a/x/1-2/relaunch: done in 70.5 s\n",
    ]


def test_a_log_file_sees_one_line_a_phase() -> None:
    stream = io.StringIO()
    line = Line(stream)
    for left_s in (10.0, 9.0, 8.0):
        line.show("job", "launch", 1.0, left_s, "1/2")
    line.show("job", "judging", 1.0, None, "1/2")
    assert stream.getvalue() == (
        "[1/2] job: launch (0:10 left at most)\n[1/2] job: judging\n"
    )
