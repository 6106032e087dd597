"""What a session is while it does not run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Saved"]


@dataclass(frozen=True)
class Saved:
    """What a session is when it does not run: kept beside its workspace.

    Attributes:
        used_s: budget spent.
        preemptions: times a scheduler took the machine away.
        pauses: infrastructure outcomes it was stopped by, with the clock's stand.
        turns: runs of the agent's program so far.
        conversation: whether there is one to go on with.
    """

    used_s: float = 0.0
    preemptions: int = 0
    pauses: tuple[str, ...] = ()
    turns: int = 0
    resumes: int = 0
    fresh_starts: int = 1
    conversation: bool = False

    def write(self, path: Path) -> None:
        """Keep it, whole or not at all."""
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)))
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Saved | None:
        """Read it back; None if there is nothing to go on with."""
        try:
            values = json.loads(path.read_text())
            return cls(**values | {"pauses": tuple(values["pauses"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None
