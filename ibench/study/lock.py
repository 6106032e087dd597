"""Two measurements never overlap on a GPU, nor on a host without GPUs given."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

__all__ = ["allocated_gpus", "announced", "measuring"]

POLL_S = 0.1


def allocated_gpus() -> tuple[str, ...]:
    """GPUs that a scheduler gave this process, by ids that mean the same host-wide.

    Under Slurm with constrained devices every job sees its GPU as number 0; its own
    variable keeps the number that the host knows.
    """
    given = os.environ.get("SLURM_JOB_GPUS") or os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(given.split(",")) if given else ()


@contextmanager
def measuring(
    results: Path, gpus: tuple[str, ...], waits: Callable[[], None]
) -> Iterator[None]:
    """Hold the machine, or the GPUs that were given, while something is measured.

    Who was given GPUs shares the host and locks these; everybody else locks the host.
    The host is in the names: a lock on a network file system is everywhere.

    Args:
        results: the results root.
        gpus: by host-wide ids; empty is the whole host.
        waits: called ten times a second while somebody else measures; may raise.
    """
    results.mkdir(parents=True, exist_ok=True)
    host = f".measuring.{socket.gethostname()}"
    names = {f"{host}.lock": fcntl.LOCK_SH if gpus else fcntl.LOCK_EX}
    # Sorted: two holders of the same GPUs never wait for each other.
    names |= {f"{host}.gpu-{gpu}.lock": fcntl.LOCK_EX for gpu in sorted(gpus)}
    with ExitStack() as held:
        for name, how in names.items():
            lock = held.enter_context((results / name).open("w"))
            while not _taken(lock.fileno(), how):
                waits()
                time.sleep(POLL_S)
        yield


def announced(stream: TextIO) -> Callable[[], None]:
    """Say once that somebody else measures, however long it takes."""
    said = False

    def waits() -> None:
        nonlocal said
        if not said:
            stream.write("ibench: waiting: another measurement runs on this machine\n")
            stream.flush()
        said = True

    return waits


def _taken(handle: int, how: int) -> bool:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
