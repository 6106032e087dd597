"""One agent session: a sandboxed command under a monotonic budget clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ibench.agents.workspace import start_clock
from ibench.serving.processes import Process
from ibench.serving.sandbox import PROCESS_GROUP_WARNING, Sandbox, SandboxKind

__all__ = ["Session", "run_session"]

POLL_S = 0.1


@dataclass(frozen=True)
class Session:
    """How a session ended.

    Attributes:
        outcome: ``finished`` (exit 0), ``crashed`` (another exit code) or
            ``deadline`` (ended by the clock).
        used_s: start to the last process gone.
    """

    outcome: str
    exit_code: int | None
    used_s: float
    warnings: tuple[str, ...]


def run_session(
    argv: Sequence[str],
    workspace: Path,
    *,
    budget_s: float,
    grace_s: float,
    kind: SandboxKind,
    env: Mapping[str, str],
    read_only: Sequence[Path],
    network: bool,
    transcript: Path,
    clock_ns: Callable[[], int] = time.monotonic_ns,
) -> Session:
    """Run an agent until it ends or its budget does.

    TERM is sent ``grace_s`` before the deadline's end of grace: at the deadline the
    session is told to stop, and what is left ``grace_s`` later is killed with its
    whole PID namespace.

    Args:
        argv: the agent's command.
        workspace: working directory, the only writable folder that lasts.
        budget_s: wall-clock seconds on the monotonic clock.
        grace_s: TERM to KILL.
        kind: sandbox kind.
        env: variables beside the sandbox's allow-list.
        read_only: folders it may read (the model).
        network: whether it may reach beyond its own loopback.
        transcript: file for its output.
        clock_ns: monotonic nanoseconds.
    """
    warnings: tuple[str, ...] = () if kind == "bwrap" else (PROCESS_GROUP_WARNING,)
    sandbox = Sandbox(
        workdir=workspace, read_only=tuple(read_only), env=dict(env), network=network
    )
    started = clock_ns()
    start_clock(workspace, started, budget_s)
    process = Process(list(argv), sandbox=sandbox, kind=kind, log_path=transcript)
    try:
        while (left := budget_s - (clock_ns() - started) / 1e9) > 0:
            if process.wait(min(POLL_S, left)) is not None:
                break
        code = process.poll()
    finally:
        survivors = process.stop(grace_s=grace_s)
    used_s = (clock_ns() - started) / 1e9
    warnings += tuple(f"survived the session: {s}" for s in survivors)
    outcome = "deadline" if code is None else "crashed" if code else "finished"
    return Session(outcome, code, used_s, warnings)
