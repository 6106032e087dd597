"""One agent session: turns of an agent under one deadline on the monotonic clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from ibench.methods.agents.continuation import (
    INFRASTRUCTURE,
    Counts,
    Decision,
    Rules,
    Turn,
    classify,
    time_left,
    without_answer,
)
from ibench.methods.agents.driver import Driver, Usage
from ibench.methods.agents.saved import Saved
from ibench.methods.agents.workspace import start_clock
from ibench.params import Continuation

__all__ = ["Session", "run_session"]

POLL_S = 0.1
KEEP_S = 2.0
# A machine that is wanted is given back within seconds: the runner waits for SAVE_S.
HURRY_GRACE_S = 3.0
HURRY_CLOSE_S = 8.0


@dataclass(frozen=True)
class Session:
    """How a session ended.

    Attributes:
        outcome: ``finished`` (the agent stopped, and the rules let it), ``crashed``,
            ``refused`` (on safety grounds), ``deadline`` (ended by the clock),
            ``over_limit`` (ended for its memory or disk), ``preempted``, or a value
            of ``INFRASTRUCTURE``.
        used_s: start to the last process gone, all lives together.
        detail: the last turn's failure.
        last: the last turn.
        state: what is needed to go on.
    """

    outcome: str
    exit_code: int | None
    used_s: float
    warnings: tuple[str, ...]
    state: Saved
    detail: str = ""
    last: Turn | None = None
    usage: Usage = field(default_factory=Usage)

    @property
    def is_over(self) -> bool:
        """Whether it is the agent's outcome, and not one to go on from."""
        return self.outcome != "preempted" and self.outcome not in INFRASTRUCTURE


class _Clock:
    """Seconds of budget used and left."""

    def __init__(
        self, budget_s: float, used_s: float, clock_ns: Callable[[], int]
    ) -> None:
        self._clock_ns, self.budget_s = clock_ns, budget_s
        self.started_ns = clock_ns() - int(used_s * 1e9)

    def used_s(self) -> float:
        return (self._clock_ns() - self.started_ns) / 1e9

    def left_s(self) -> float:
        return self.budget_s - self.used_s()


def run_session(
    driver: Driver,
    workspace: Path,
    task: str,
    *,
    budget_s: float,
    grace_s: float,
    rules: Continuation,
    remind: Callable[[float], str] = time_left,
    saved: Saved | None = None,
    preempted: Callable[[], bool] = lambda: False,
    stopped: Callable[[], bool] = lambda: False,
    keep: Callable[[Saved], None] = lambda _: None,
    clock_ns: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> Session:
    """Run an agent until it is done or its budget is.

    Setup comes before the clock starts. At the deadline TERM is sent to every process,
    and what is left ``grace_s`` later is killed with its whole PID namespace. Where the
    machine is wanted, the agent gets three seconds of it at most, its records eight.

    Args:
        driver: the agent in its sandbox.
        workspace: the folder it works in.
        task: its first instruction.
        budget_s: wall-clock seconds on the monotonic clock, all lives together.
        grace_s: TERM to KILL.
        rules: what follows when it stops early.
        remind: writes its next instruction then, given the seconds left.
        saved: an earlier life of this session.
        preempted: asked often; True ends this life and keeps the session.
        stopped: asked often; True ends the session with what it has.
        keep: given the session's state every two seconds: a machine may vanish.
        clock_ns: monotonic nanoseconds.
        sleep: waits.

    Raises:
        StageError: the agent could not be made ready.
        InfrastructureError: what drives it, or its provider, is not there.
    """
    state = saved or Saved()
    survivors: tuple[str, ...] = ()
    try:
        if not _set_up(driver, preempted):
            after = replace(state, preemptions=state.preemptions + 1)
            return Session("preempted", None, state.used_s, (), after)
        clock = _Clock(budget_s, state.used_s, clock_ns)
        start_clock(workspace, clock.started_ns, budget_s)
        try:
            ends = _Ends(preempted, stopped)
            run = _Turns(driver, (task, remind), rules, state, clock, ends, keep, sleep)
            outcome = run.until_over()
        finally:
            if preempted():
                grace_s = min(grace_s, HURRY_GRACE_S)
            survivors = driver.stop(grace_s)
            used_s = clock.used_s()
    finally:
        usage = _close(driver, hurried=preempted())
    warnings = tuple(f"survived the session: {s}" for s in survivors)
    warnings += tuple(f"trajectory: {p}" for p in usage.problems)
    last, after = usage.interrupted or run.last, run.state(used_s, outcome)
    if usage.answered is False and outcome in ("deadline", "finished", "crashed"):
        outcome = without_answer(last)
        after = Saved(pauses=run.state(used_s, outcome).pauses)
    return Session(
        outcome,
        last.exit_code if last else None,
        used_s,
        warnings,
        after,
        last.detail or last.error or "" if last else "",
        last,
        usage,
    )


@runtime_checkable
class _Hurried(Protocol):
    """A driver whose ``close`` takes a while."""

    def hurry(self, limit_s: float) -> None:
        """Let ``close`` take this long at most."""


def _close(driver: Driver, *, hurried: bool) -> Usage:
    if hurried and isinstance(driver, _Hurried):
        driver.hurry(HURRY_CLOSE_S)
    return driver.close()


def _set_up(driver: Driver, preempted: Callable[[], bool]) -> bool:
    """Make the agent ready; False if the machine was wanted meanwhile.

    The setup stays in this thread, because a sandbox ends with the thread that began
    it; another one looks, and ends what the setup waits for.
    """
    over, wanted = threading.Event(), threading.Event()

    def look() -> None:
        while not over.wait(POLL_S):
            if preempted():
                wanted.set()
                driver.stop(0.0)
                _close(driver, hurried=True)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        driver.setup()
    except BaseException as error:
        driver.stop(0.0)
        if not (wanted.is_set() and isinstance(error, Exception)):
            raise
    finally:
        over.set()
        watcher.join()
    if wanted.is_set():
        driver.stop(0.0)
    return not wanted.is_set()


class _Ends:
    """What ends a life from outside; a person's wish goes before a scheduler's."""

    def __init__(
        self, preempted: Callable[[], bool], stopped: Callable[[], bool]
    ) -> None:
        self._preempted, self._stopped = preempted, stopped

    def __call__(self) -> str | None:
        if self._stopped():
            return "finished"
        return "preempted" if self._preempted() else None


class _Turns:
    """The turns of one life."""

    def __init__(
        self,
        driver: Driver,
        told: tuple[str, Callable[[float], str]],
        rules: Continuation,
        saved: Saved,
        clock: _Clock,
        ends: _Ends,
        keep: Callable[[Saved], None],
        sleep: Callable[[float], None],
    ) -> None:
        self._driver, self._saved = driver, saved
        self._task, self._remind = told
        self._clock, self._ends, self._sleep = clock, ends, sleep
        self._keep, self._kept_s = keep, float("-inf")
        counts = Counts(saved.fresh_starts, saved.idle, saved.refusals, saved.failures)
        self._rules = Rules(rules, resumable=driver.resumable, counts=counts)
        self._turns, self._resumes = saved.turns, saved.resumes
        self._talking = saved.conversation
        self.last: Turn | None = None

    def until_over(self) -> str:
        """Take turns; return the outcome."""
        step = Decision("resume" if self._saved.turns else "fresh")
        while self._clock.left_s() > 0:
            self._begin(step.action)
            turn = self._wait()
            if turn is None:
                break
            step = self._after(turn)
            if step.action == "end":
                return step.outcome
            if outcome := self._pause(step.pause_s, turn):
                return outcome
        return self._ends() or "deadline"

    def _after(self, turn: Turn) -> Decision:
        self.last = turn
        if over := self._driver.over_limit():
            self.last = Turn(turn.took_s, "over_limit", detail=over)
            return Decision("end", "over_limit")
        if not self._driver.restartable:
            return Decision("end", "crashed" if turn.error else "finished")
        return self._rules.after(turn, self._clock.left_s())

    def _begin(self, action: str) -> None:
        resume = action == "resume" and self._talking and self._driver.resumable
        text = self._remind(self._clock.left_s())
        if not resume:
            # A new conversation knows nothing of the folder's history.
            text = f"{self._task}\n\n{text}" if self._turns else self._task
        self._resumes += resume
        self._turns += 1
        self._talking = True
        self._driver.begin(text, resume=resume)

    def _wait(self) -> Turn | None:
        while (left := self._clock.left_s()) > 0 and self._ends() is None:
            self._keep_now_and_then()
            if (turn := self._driver.wait(min(POLL_S, left))) is not None:
                return turn
        return None

    def _pause(self, pause_s: float, turn: Turn) -> str | None:
        """Wait for a while; an outcome if something ends the session meanwhile."""
        until_s = self._clock.used_s() + pause_s
        while self._clock.used_s() < until_s:
            if (end := self._ends()) is not None:
                return end
            if self._clock.left_s() <= 0:
                kind = classify(turn)
                return kind if kind in INFRASTRUCTURE else "deadline"
            self._sleep(POLL_S)
        return None

    def _keep_now_and_then(self) -> None:
        used_s = self._clock.used_s()
        if used_s >= self._kept_s + KEEP_S:
            self._kept_s = used_s
            # Found again by a later life, it means that this one was cut off.
            self._keep(self.state(used_s, "preempted"))

    def state(self, used_s: float, outcome: str) -> Saved:
        """What the next life must know."""
        saved, counts = self._saved, self._rules.counts
        pauses, refusals = saved.pauses, counts.refusals
        if outcome in INFRASTRUCTURE:
            pauses, refusals = (*pauses, f"{outcome} at {used_s:.0f} s"), 0
        return Saved(
            used_s,
            saved.preemptions + (outcome == "preempted"),
            pauses,
            self._turns,
            self._resumes,
            counts.fresh_starts,
            conversation=self._talking,
            idle=counts.idle,
            refusals=refusals,
            failures=counts.failures,
        )
