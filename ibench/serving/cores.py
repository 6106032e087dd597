"""Cores of their own: the load client on some, servers on the others.

A client that shares a core with the server it measures slows it, and is slowed by it,
by chance. A server is started on its cores, so that its thread pools count those; what
it does to its own affinity afterwards is looked at, not prevented.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["Cores", "divided", "move", "on_cores", "strays"]


class Cores(NamedTuple):
    """Numbers of cores, as the kernel counts them."""

    client: tuple[int, ...]
    servers: tuple[int, ...]


def divided(processes: int, available: Iterable[int] | None = None) -> Cores | None:
    """Give the client as many cores as it has processes, and servers all others.

    Args:
        processes: that send.
        available: cores to divide; by default those this process may use.

    Returns:
        None where there are not enough: then nobody is bound to a core.
    """
    cores = sorted(os.sched_getaffinity(0) if available is None else available)
    if len(cores) <= processes:
        return None
    return Cores(tuple(cores[:processes]), tuple(cores[processes:]))


@contextmanager
def on_cores(cores: tuple[int, ...] | None) -> Iterator[None]:
    """Bind the calling thread, and what it starts meanwhile, to some cores."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def move(pids: Iterable[int], cores: tuple[int, ...]) -> None:
    """Bind every thread of some processes; one that is gone meanwhile is no fault."""
    for thread in _threads(pids):
        with suppress(OSError):
            os.sched_setaffinity(thread, cores)


def strays(pids: Iterable[int], cores: tuple[int, ...]) -> tuple[int, ...]:
    """Threads of some processes that may run elsewhere than on these cores."""
    found = []
    for thread in _threads(pids):
        with suppress(OSError):
            if not os.sched_getaffinity(thread) <= set(cores):
                found.append(thread)
    return tuple(found)


def _threads(pids: Iterable[int]) -> list[int]:
    found = []
    for pid in pids:
        with suppress(OSError):
            found += [int(p.name) for p in Path(f"/proc/{pid}/task").iterdir()]
    return found
