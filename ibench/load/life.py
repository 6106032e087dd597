"""One server life: launch, use, stop; how it ended and what its parts took.

Stages, searches, the agents' evaluator, ``score`` and ``gpu-check`` all live it here.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from ibench.errors import LaunchError
from ibench.records import Launch, LaunchOutcome
from ibench.serving.attach import AttachedServer
from ibench.serving.launch import RunningServer

__all__ = ["OK", "Life", "Running", "live"]

Running: TypeAlias = RunningServer | AttachedServer
"""A server that was launched here, or that somebody else runs."""

OK = "ok"


@dataclass
class Life:
    """What one server life came to.

    Attributes:
        outcome: ``ok``, a ``LaunchOutcome``, or what its user found wrong.
        detail: one line for people; empty when nothing is wrong.
        launch: the launch; its outcome follows a server that died under use.
        cut: the server was ended at the limit, or was not ready by then.
        left_behind: processes or ports that outlived the stop.
        times: monotonic seconds of the start and of the end of each part.
    """

    launch: Launch
    outcome: str = OK
    detail: str = ""
    cut: bool = False
    left_behind: tuple[str, ...] = ()
    times: list[float] = field(default_factory=list)

    @property
    def spans_s(self) -> tuple[float, float, float]:
        """Seconds of launch, use and stop."""
        launch_s, use_s, stop_s = (b - a for a, b in itertools.pairwise(self.times))
        return launch_s, use_s, stop_s

    def fail(self, outcome: str, detail: str) -> None:
        """Say what went wrong."""
        self.outcome, self.detail = outcome, detail

    def end(self, error: LaunchError) -> None:
        """Take the death of the server as the outcome of its launch too."""
        self.fail(error.outcome, error.detail)
        if error.outcome in set(LaunchOutcome):
            changed = {"outcome": LaunchOutcome(error.outcome), "detail": error.detail}
            self.launch = self.launch.model_copy(update=changed)


def live(
    start: Callable[[], Running],
    use: Callable[[Running, Life], None],
    *,
    limit_s: float | None = None,
) -> Life:
    """Launch a server, let it be used if it is ready, and stop it.

    A server that was not launched here is used and left running. At the limit the
    server is stopped under its user, whose requests then fail: a budget is the same
    wall-clock time for every method.

    Args:
        start: launches; a failed launch is an outcome, not an exception.
        use: may call ``life.fail``, or raise ``LaunchError`` when the server dies.
        limit_s: seconds from the start until the server is stopped; None: no limit.
    """
    begun = time.monotonic()
    with start() as running:
        life = Life(running.launch, times=[begun, time.monotonic()])
        if life.launch.outcome is LaunchOutcome.READY:
            _used(running, life, use, limit_s)
        else:
            life.fail(str(life.launch.outcome), life.launch.detail)
        life.times.append(time.monotonic())
        life.left_behind = running.stop()
    life.times.append(time.monotonic())
    return life


def _used(
    running: Running,
    life: Life,
    use: Callable[[Running, Life], None],
    limit_s: float | None,
) -> None:
    def cut() -> None:
        life.cut = True
        running.stop(0.0)

    timer: threading.Timer | None = None
    if limit_s is not None:
        left_s = life.times[0] + limit_s - time.monotonic()
        timer = threading.Timer(max(0.0, left_s), cut)
        timer.start()
    try:
        use(running, life)
        running.check_alive()
    except LaunchError as error:
        life.end(error)
    finally:
        if timer is not None:
            timer.cancel()
