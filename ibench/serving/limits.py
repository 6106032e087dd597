"""Memory and disk limits for sandboxes whose runtime has none of its own.

Control groups need a delegated hierarchy, which neither bubblewrap nor a cluster job
can count on. So a thread looks: at the private resident memory of the sandbox's
processes every half second, at the size of its folder less often the longer a look
takes. What passes a limit is ended, and the reason is kept.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

__all__ = ["LimitWatch", "private_memory_mib", "tree_mib"]

PERIOD_S = 0.5
_DISK_SHARE = 0.02  # of the time may go into walking the folder
_MIB = 2**20


def private_memory_mib(pids: Iterable[int]) -> float:
    """Resident memory that the processes do not share with files or each other, MiB."""
    used = 0
    for pid in pids:
        with suppress(psutil.Error):
            memory = psutil.Process(pid).memory_info()
            used += int(memory.rss - memory.shared)
    return used / _MIB


def tree_mib(folder: Path) -> float:
    """Disk blocks below a folder in MiB; links are not followed."""
    total, todo = 0, [str(folder)]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total / _MIB


class LimitWatch:
    """A thread that ends a sandbox which passes a limit.

    Args:
        folder: the writable folder.
        memory_mib: private resident memory of all processes together.
        disk_mib: disk blocks of the folder.
        members: the sandbox's living processes.
        end: kills them all; called once, from the thread.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        memory_mib: float | None,
        disk_mib: float | None,
        members: Callable[[], Iterable[int]],
        end: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start looking, unless there is nothing to look for."""
        self.reason: str | None = None
        self._folder, self._members, self._end = folder, members, end
        self._memory_mib, self._disk_mib, self._clock = memory_mib, disk_mib, clock
        self._stop = threading.Event()
        self._next_walk = clock()
        if memory_mib is not None or disk_mib is not None:
            threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(PERIOD_S):
            self.reason = self._memory() or self._disk()
            if self.reason is not None:
                self._end()
                return

    def _memory(self) -> str | None:
        if self._memory_mib is None:
            return None
        used = private_memory_mib(self._members())
        if used <= self._memory_mib:
            return None
        return f"used {used:.0f} MiB of memory, the limit is {self._memory_mib:.0f}"

    def _disk(self) -> str | None:
        begun = self._clock()
        if self._disk_mib is None or begun < self._next_walk:
            return None
        used = tree_mib(self._folder)
        took = self._clock() - begun
        self._next_walk = begun + took / _DISK_SHARE
        if used <= self._disk_mib:
            return None
        return f"wrote {used:.0f} MiB to disk, the limit is {self._disk_mib:.0f}"
