"""The job: run what is missing of one cell, once, whoever else may try."""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from ibench.cluster.cells import MAX_RETRIES, CellJob, is_cancelled, retries_used
from ibench.cluster.claims import STALE_S, Attempt, CellClaim, Ending, HeldError, Owner
from ibench.errors import (
    IbenchError,
    InfrastructureError,
    OfflineError,
    PreemptedError,
    SandboxError,
    StageError,
    StageStoppedError,
    UserError,
)
from ibench.records import BaselineResult, Evidence, LaunchOutcome
from ibench.stages.runner import StageRunner
from ibench.store import RECORD, load_record, retire
from ibench.study.grid import Grid, Job
from ibench.study.state import is_done

__all__ = ["PREEMPTED", "RETRY", "is_finished", "run_cell"]

RETRY, PREEMPTED = InfrastructureError.exit_code, PreemptedError.exit_code
_LOOK_S, _LOOK_AT_OTHERS_S = 5.0, 1.0


class _End(NamedTuple):
    ended: Ending
    detail: str
    code: int


def is_finished(study: Grid[Any], cell: CellJob) -> bool:
    """Whether every record of the cell is there and still holds."""
    return all(is_done(study, job) for job in cell.jobs)


def run_cell(
    cell: CellJob,
    runner: StageRunner,
    owner: Owner,
    *,
    utc: Callable[[], str],
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Run the missing stages of a cell.

    Args:
        cell: the cell.
        runner: runs one stage.
        owner: this process, with the scheduler's job id.
        utc: the time for people.
        say: takes one line for people.
        sleep: waits between looks at an earlier start of the same job.

    Returns:
        0: finished, or nothing for this job to do. 75: the machine failed, try again.
        85: preempted, try again. 1: the stage failed, or the machine too often.
        2: a person has to mend something.
    """
    if is_finished(runner.study, cell):
        say(f"{cell.name}: finished before")
        return 0
    for refuse in (_cancelled, _given_up):
        refused = refuse(cell)
        if refused is not None:
            say(f"{cell.name}: {refused[0]}")
            return refused[1]
    try:
        with _claim(cell, owner, utc, sleep) as claim, _signals(cell.name):
            end = _attempt(cell, runner, sleep)
            claim.end(end.ended, end.detail)
    except HeldError as error:
        say(f"{cell.name}: {error}; nothing is left for this job to do")
        return error.exit_code
    if end.detail:
        say(end.detail)
    return _code(cell, end, say)


def _cancelled(cell: CellJob) -> tuple[str, int] | None:
    return ("cancelled; submit it again to run it", 0) if is_cancelled(cell) else None


def _given_up(cell: CellJob) -> tuple[str, int] | None:
    tried = [a for a in cell.attempts() if a.ended is not None]
    if retries_used(tried) <= MAX_RETRIES:
        return None
    return (
        f"the machine failed {retries_used(tried)} times (last: {_last(tried)}); "
        "mend it, then submit with AGAIN=1",
        1,
    )


def _last(tried: list[Attempt]) -> str:
    last = tried[-1]
    return f"{last.ended} on {last.owner.host}, {last.detail}"


def _claim(
    cell: CellJob, owner: Owner, utc: Callable[[], str], sleep: Callable[[float], None]
) -> CellClaim:
    """Claim the cell; wait out the heartbeat of an earlier start of the same job.

    A scheduler that starts a job a second time says that the first start is gone; its
    heartbeat has the last word.
    """
    waited_s = 0.0
    while True:
        try:
            return CellClaim(cell.folder, cell.key, owner, utc())
        except HeldError as error:
            mine = error.attempt and owner.job and error.attempt.owner.job == owner.job
            if not mine or waited_s > 2 * STALE_S:
                raise
        sleep(_LOOK_S)
        waited_s += _LOOK_S


@contextmanager
def _signals(name: str) -> Iterator[None]:
    """Between stages too, a signal ends the attempt and not just the process."""

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        raise StageStoppedError(f"{name}: stopped by {signal.Signals(number).name}")

    wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {s: signal.signal(s, stop) for s in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _attempt(
    cell: CellJob, runner: StageRunner, sleep: Callable[[float], None]
) -> _End:
    try:
        for job in cell.jobs:
            _await_others(cell, job, sleep)
            runner.run(job)
            _refuse_machine_faults(job.folder, job.name)
    except IbenchError as error:
        return _judge(cell, error)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _End("blocked", f"{cell.name}: {error.strerror}; free some", 2)
        raise
    return _End("done", "", 0)


def _await_others(cell: CellJob, job: Job, sleep: Callable[[float], None]) -> None:
    """Wait for what another cell measures: the baseline that a relaunch is beside.

    Raises:
        InfrastructureError: it was not there within the stage's own limit.
    """
    ours = {j.folder for j in cell.jobs}
    waited_s = 0.0
    while True:
        missing = [f for f in job.needs if f not in ours and not (f / RECORD).exists()]
        if not missing:
            return
        if waited_s >= job.limit_s:
            raise InfrastructureError(
                f"{job.name}: waited {waited_s:g} s for {missing[0]}: its cell has to "
                "be submitted too, and to end first"
            )
        sleep(_LOOK_AT_OTHERS_S)
        waited_s += _LOOK_AT_OTHERS_S


def _refuse_machine_faults(folder: Path, name: str) -> None:
    """A port that another program had taken is no result of the submission.

    Raises:
        InfrastructureError: so; the record is set aside.
    """
    result = load_record(folder).result
    found = result.evidence if isinstance(result, BaselineResult) else result
    if isinstance(found, Evidence) and found.launch.outcome is LaunchOutcome.PORT_TAKEN:
        retire(folder)
        raise InfrastructureError(f"{name}: {found.launch.detail}")


def _judge(cell: CellJob, error: IbenchError) -> _End:
    """Tell the machine's failures from the stage's and from a person's."""
    text = str(error)
    stopped = isinstance(error, StageStoppedError)
    if stopped and (is_cancelled(cell) or "SIGINT" in text):
        return _End("cancelled", text, 0)
    if error.exit_code == PREEMPTED:
        return _End("preempted", text, PREEMPTED)
    if stopped:
        return _End("killed", text, RETRY)
    if isinstance(error, InfrastructureError | OfflineError | SandboxError):
        return _End("infrastructure", text, RETRY)
    if isinstance(error, UserError):
        return _End("blocked", text, error.exit_code)
    return _End("failed", text, StageError.exit_code)


def _code(cell: CellJob, end: _End, say: Callable[[str], None]) -> int:
    """Ask for another try only while there is one left."""
    if end.code != RETRY:
        return end.code
    used = retries_used(cell.attempts())
    if used > MAX_RETRIES:
        refused = _given_up(cell)
        say(f"{cell.name}: {refused[0] if refused else end.detail}")
        return StageError.exit_code
    say(f"{cell.name}: retry {used} of {MAX_RETRIES}")
    return RETRY
