"""A client as a pinned process tree: its processor time, its memory, its neighbours."""

from __future__ import annotations

import bisect
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from ibench.errors import StageError

__all__ = ["Usage", "busy_s", "on_core", "process_cpu_s", "run_process"]

_POLL_S = 0.05
_SCAN_EVERY = 10  # polls
_NS = 1_000_000_000
_MIB = 2**20
_CPUCLOCK_SCHED = 2  # of Linux: the processor clock of a whole process


class Usage(NamedTuple):
    """What a process and its descendants used.

    Args:
        cpu_s: user and system time, of all that were waited for.
        peak_mib: largest sum of resident memory, seen twice a second; pages that
            processes share count once in each.
        wall_s: from start to end.
        course: (monotonic ns, processor ns so far), seen every 50 ms.
    """

    cpu_s: float
    peak_mib: float
    wall_s: float
    course: Sequence[tuple[int, int]]

    def between_s(self, start_ns: int, end_ns: int) -> float:
        """Processor time between two instants, linear between neighbouring looks."""
        return (self._at(end_ns) - self._at(start_ns)) / _NS

    def _at(self, t_ns: int) -> float:
        index = bisect.bisect_right(self.course, t_ns, key=lambda seen: seen[0])
        if index in {0, len(self.course)}:
            return self.course[min(index, len(self.course) - 1)][1]
        (before_ns, low), (after_ns, high) = self.course[index - 1 : index + 1]
        return low + (high - low) * (t_ns - before_ns) / (after_ns - before_ns)


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Run on one core, and so does what is started meanwhile; ``None``: on any."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def run_process(
    command: Sequence[str], folder: Path, log: Path, timeout_s: float
) -> Usage:
    """Run a command to its end.

    Args:
        command: what to run.
        folder: where.
        log: for what it prints.
        timeout_s: its whole tree is killed then.

    Raises:
        StageError: it failed or took too long; the end of its log is in the message.
    """
    started = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    tree = _Tree(process.pid)
    status, usage = tree.watch(started + timeout_s)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise StageError(f"{command[0]} ended with {process.returncode}: {tail}")
    return Usage(
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mib=max(tree.peak_bytes, usage.ru_maxrss * 1024) / _MIB,
        wall_s=time.monotonic() - started,
        course=tree.course,
    )


class _Tree:
    """Looks at the processes of a session until its first one has ended."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._cpu_ns: dict[int, int] = {}
        self.peak_bytes = 0
        self.course: list[tuple[int, int]] = []

    def watch(self, until: float) -> tuple[int, resource.struct_rusage]:
        polls = 0
        while True:
            if polls % _SCAN_EVERY == 0:
                self._scan()
            self._look()
            done, status, usage = os.wait4(self._session, os.WNOHANG)
            if done:
                return status, usage
            if time.monotonic() > until:
                os.killpg(self._session, signal.SIGKILL)
            polls += 1
            time.sleep(_POLL_S)

    def _scan(self) -> None:
        """Find the processes; only those younger than the first can belong to it."""
        young = [p for p in psutil.pids() if p >= self._session]
        sizes = {p: _resident(p, self._session) for p in young}
        members = {pid: size for pid, size in sizes.items() if size}
        self._cpu_ns |= {pid: self._cpu_ns.get(pid, 0) for pid in members}
        self.peak_bytes = max(self.peak_bytes, sum(members.values()))

    def _look(self) -> None:
        """Read their clocks; one that has ended keeps its last reading."""
        for pid in self._cpu_ns:
            with suppress(OSError):
                self._cpu_ns[pid] = time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)
        self.course.append((time.monotonic_ns(), sum(self._cpu_ns.values())))


def _resident(pid: int, session: int) -> int:
    """Resident bytes of a process, if it is of this session."""
    with suppress(OSError, psutil.Error):  # it has ended meanwhile
        if os.getsid(pid) == session:
            return int(psutil.Process(pid).memory_info().rss)
    return 0


def process_cpu_s(pid: int) -> float:
    """User and system time of one process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def busy_s() -> float:
    """Processor time of everything on this host so far, guests and idling apart."""
    t = psutil.cpu_times()
    return float(t.user + t.nice + t.system + t.irq + t.softirq + t.steal)
