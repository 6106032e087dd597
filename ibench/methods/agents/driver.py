"""How a session drives an agent: one protocol, and the scripted agents' side of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ibench.methods.agents.continuation import Turn
from ibench.serving.processes import Process
from ibench.serving.sandbox import Sandbox, SandboxKind

__all__ = ["Driver", "ScriptDriver", "Usage"]


@dataclass(frozen=True)
class Usage:
    """Tokens and cost as the agent itself reports them; None is unknown.

    Attributes:
        input_tokens: cached ones included.
        answered: whether the model ever gave an answer.
        problems: why there is no valid trajectory; empty if there is one.
        interrupted: the turn that the end of the session cut off.
    """

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    steps: int | None = None
    answered: bool | None = None
    problems: tuple[str, ...] = ()
    interrupted: Turn | None = None


class Driver(Protocol):
    """One agent in one sandbox."""

    resumable: bool
    """Whether it can go on with its conversation."""

    restartable: bool
    """Whether stopping early is followed by another turn at all."""

    def setup(self) -> None:
        """Make everything ready; outside the budget."""

    def begin(self, instruction: str, *, resume: bool) -> None:
        """Start a turn."""

    def wait(self, timeout_s: float) -> Turn | None:
        """Wait for the turn to end; None while it runs."""

    def over_limit(self) -> str | None:
        """Say which limit of the sandbox was passed, if one was."""

    def stop(self, grace_s: float) -> tuple[str, ...]:
        """End every process: TERM, grace, KILL; name what survived."""

    def close(self) -> Usage:
        """Collect what the agent left; after ``stop``."""


class ScriptDriver:
    """A command of ours: one turn, no conversation.

    Args:
        argv: the command.
        sandbox: what it may see.
        kind: how that is enforced.
        transcript: file that its output is appended to.
        clock: monotonic seconds.
    """

    resumable = False
    restartable = False

    def __init__(
        self,
        argv: Sequence[str],
        sandbox: Sandbox,
        kind: SandboxKind,
        transcript: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the parts; ``begin`` starts the command."""
        self._argv, self._sandbox, self._kind = list(argv), sandbox, kind
        self._transcript, self._clock = transcript, clock
        self._process: Process | None = None
        self._started = 0.0

    def setup(self) -> None:
        """Nothing to do."""

    def begin(self, instruction: str, *, resume: bool) -> None:
        """Start the command; it reads its task from the workspace."""
        self._started = self._clock()
        self._process = Process(
            self._argv,
            sandbox=self._sandbox,
            kind=self._kind,
            log_path=self._transcript,
        )

    def wait(self, timeout_s: float) -> Turn | None:
        """Wait for the command."""
        code = self._process.wait(timeout_s) if self._process else None
        if code is None:
            return None
        error = f"exit code {code}" if code else None
        return Turn(self._clock() - self._started, error, exit_code=code)

    def over_limit(self) -> str | None:
        """Which limit it was ended for."""
        return self._process.over_limit() if self._process else None

    def stop(self, grace_s: float) -> tuple[str, ...]:
        """End it with everything it started."""
        return self._process.stop(grace_s=grace_s) if self._process else ()

    def close(self) -> Usage:
        """A script reports nothing."""
        return Usage()
