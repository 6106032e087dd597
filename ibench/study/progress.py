"""Progress of a running stage: written by the stage, shown as one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from ibench.terminal import console

__all__ = [
    "CAN_SAVE", "SAVE", "STATUS", "STOP", "Line", "StatusLog", "last_status", "minutes",
]  # fmt: skip

_START_OF_LINE = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 0))
STATUS = "status.jsonl"
# Files of a stage folder: the stage says that it can go on elsewhere; it is asked to.
CAN_SAVE, SAVE = "can-save", "save"
# A person wants the session of this folder to end with what it has.
STOP = "stop"


@dataclass(frozen=True)
class StatusLog:
    """Appends phases of one stage to ``status.jsonl``.

    Args:
        folder: the stage folder.
        clock: monotonic seconds (the same clock in every process of a host).
    """

    folder: Path
    clock: Callable[[], float]

    def phase(self, name: str, limit_s: float | None = None) -> None:
        """Say what happens now and, if known, how long it may take at most."""
        now = self.clock()
        until = None if limit_s is None else now + limit_s
        with (self.folder / STATUS).open("a") as stream:
            stream.write(json.dumps({"t_s": now, "phase": name, "until": until}) + "\n")


def last_status(folder: Path, now: float) -> tuple[str, float | None]:
    """Return the phase a stage is in and the seconds left in it, if known."""
    try:
        last = json.loads((folder / STATUS).read_text().splitlines()[-1])
    except (OSError, IndexError, ValueError):
        return "starting", None
    until = last["until"]
    return str(last["phase"]), None if until is None else max(0.0, until - now)


def minutes(seconds: float) -> str:
    """Render seconds as ``m:ss``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@dataclass
class Line:
    """One line of progress on a terminal; one line a phase elsewhere."""

    stream: TextIO
    _shown: tuple[str, str] = field(default=("", ""), init=False)

    def show(
        self,
        name: str,
        phase: str,
        elapsed_s: float | None,
        left_s: float | None,
        count: str,
    ) -> None:
        """Show the state of the running stage."""
        text = f"[{count}] {name}: {phase}"
        left = "" if left_s is None else f"{minutes(left_s)} left at most"
        if self.stream.isatty():
            times = "" if elapsed_s is None else f" {minutes(elapsed_s)}"
            self._write(text + times + (f", {left}" if left else ""), end="")
        elif (name, phase) != self._shown:
            self._shown = (name, phase)
            self._write(f"{text} ({left})" if left else text)

    def done(self, name: str, seconds: float, count: str) -> None:
        """Close the line of a finished stage."""
        self._write(f"[{count}] {name}: done in {seconds:.1f} s")

    def _write(self, text: str, end: str = "\n") -> None:
        """Write over the line that a terminal shows, cut to its width."""
        if self.stream.isatty():
            to = console(self.stream)
            to.control(_START_OF_LINE)
            to.print(Text(text), end=end, overflow="ellipsis", no_wrap=True)
        else:
            self.stream.write(f"{text}{end}")
        self.stream.flush()
