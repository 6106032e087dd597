"""What a session is while it does not run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import Field

from ibench.files import write_atomic
from ibench.records import Closed
from ibench.serving.sandbox import SandboxKind

__all__ = ["Ended", "Saved"]


@dataclass(frozen=True)
class Saved:
    """What a session is when it does not run: kept beside its workspace.

    Attributes:
        used_s: budget spent.
        preemptions: times a scheduler took the machine away.
        pauses: infrastructure outcomes it was stopped by, with the clock's stand.
        turns: runs of the agent's program so far.
        conversation: whether there is one to go on with.
        idle: short turns in a row.
        refusals: the provider's, in a row.
        failures: of the agent's program, in a row.
    """

    used_s: float = 0.0
    preemptions: int = 0
    pauses: tuple[str, ...] = ()
    turns: int = 0
    resumes: int = 0
    fresh_starts: int = 1
    conversation: bool = False
    idle: int = 0
    refusals: int = 0
    failures: int = 0

    def write(self, path: Path) -> None:
        """Keep it, whole or not at all."""
        write_atomic(path, json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Saved | None:
        """Read it back; None if there is nothing to go on with."""
        try:
            values = json.loads(path.read_text())
            return cls(**values | {"pauses": tuple(values["pauses"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


class Ended(Closed):
    """How a session ended, kept until its record is there; named as in ``Submission``.

    Who finds it finishes the session: its agent has had its time.
    """

    outcome: str
    used_s: float
    sandbox: SandboxKind
    warnings: tuple[str, ...] = ()
    evaluator_changed: dict[str, str] = Field(default_factory=dict)
    exit_code: int | None = None
    turns: int = 0
    resumes: int = 0
    preemptions: int = 0
    pauses: tuple[str, ...] = ()
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None

    def write(self, path: Path) -> None:
        """Keep it, whole or not at all.

        Raises:
            DiskFullError: there is no space for it.
        """
        write_atomic(path, self.model_dump_json().encode())

    @classmethod
    def read(cls, path: Path) -> Ended | None:
        """Read it back; None if the session is not over."""
        try:
            return cls.model_validate_json(path.read_bytes(), strict=True)
        except (OSError, ValueError):
            return None
