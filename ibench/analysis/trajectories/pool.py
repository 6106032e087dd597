"""Work of many runs in several processes, its results taken in the order of the runs.

``concurrent.futures`` does the work; added are the order, a bound on what is in flight,
and that a process which dies costs the one run that killed it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

__all__ = ["available_processes", "in_order"]

Job = TypeVar("Job")
Result = TypeVar("Result")
# A worker that waits for its turn would idle: each may have one result lie finished.
_IN_FLIGHT = 2


def available_processes() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def in_order(
    work: Callable[[Job], Result], jobs: Sequence[Job], processes: int
) -> Generator[Result | None]:
    """Give the result of each job, in the order of the jobs.

    Args:
        work: a function of a module; what it raises is raised here.
        jobs: its arguments.
        processes: how many work at once; with one, this process does.

    Yields:
        A result, or None for a job whose process died.
    """
    if processes <= 1 or len(jobs) <= 1:
        yield from map(work, jobs)
        return
    others = set(multiprocessing.active_children())
    waiting, left = deque[tuple[Job, Future[Result]]](), iter(jobs)
    pool = _executor(processes)
    try:
        while True:
            for job in islice(left, _IN_FLIGHT * processes - len(waiting)):
                waiting.append((job, pool.submit(work, job)))
            if not waiting:
                return
            try:
                result = waiting[0][1].result()
            except BrokenProcessPool:
                # Any job in flight may have been the cause: each is asked by itself.
                pool.shutdown(cancel_futures=True)
                pool, again = _executor(processes), list(waiting)
                waiting.clear()
                yield from (_alone(work, job) for job, _ in again)
                continue
            waiting.popleft()
            yield result
    except BaseException:
        # An interrupt or a full disk: nobody will take what the workers are making.
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _alone(work: Callable[[Job], Result], job: Job) -> Result | None:
    with _executor(1) as executor:
        try:
            return executor.submit(work, job).result()
        except BrokenProcessPool:
            return None


def _executor(processes: int) -> ProcessPoolExecutor:
    # A fresh interpreter: the caller's may hold threads, which a fork would cut off.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, context, _leave_interrupts_to_the_parent)


def _leave_interrupts_to_the_parent() -> None:
    """A terminal interrupts every process; the parent ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
