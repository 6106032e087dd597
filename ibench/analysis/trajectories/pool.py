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
from typing import Generic, TypeVar

__all__ = ["available_processes", "in_order"]

Job = TypeVar("Job")
Result = TypeVar("Result")
# A worker that waits for its turn would idle: each may have one result lie finished.
_IN_FLIGHT = 2
# A fresh interpreter: the caller's may hold threads, which a fork would cut off.
_CONTEXT = multiprocessing.get_context("spawn")


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
    pool = _Pool(work, min(processes, len(jobs)))
    try:
        waiting: deque[tuple[Job, Future[Result]]] = deque()
        for job in jobs:
            waiting.append((job, pool.submit(job)))
            if len(waiting) >= _IN_FLIGHT * processes:
                yield pool.result(*waiting.popleft())
        while waiting:
            yield pool.result(*waiting.popleft())
    except BaseException:
        # An interrupt or a full disk: nobody will take what the workers are making.
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.close()


class _Pool(Generic[Job, Result]):
    """An executor that outlives the death of its processes."""

    def __init__(self, work: Callable[[Job], Result], processes: int) -> None:
        self._work, self._processes = work, processes
        self._executor = _executor(processes)

    def submit(self, job: Job) -> Future[Result]:
        try:
            return self._executor.submit(self._work, job)
        except BrokenProcessPool:
            self.close()
            self._executor = _executor(self._processes)
            return self._executor.submit(self._work, job)

    def result(self, job: Job, future: Future[Result]) -> Result | None:
        try:
            return future.result()
        except BrokenProcessPool:
            return self._alone(job)

    def _alone(self, job: Job) -> Result | None:
        """Do again what broke off, because another job may have been the cause."""
        with _executor(1) as executor:
            try:
                return executor.submit(self._work, job).result()
            except BrokenProcessPool:
                return None

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)


def _executor(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, _CONTEXT, _leave_interrupts_to_the_parent)


def _leave_interrupts_to_the_parent() -> None:
    """A terminal interrupts every process; the parent ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
