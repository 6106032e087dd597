"""Two measurements never overlap on a GPU, nor on a host without GPUs given."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from ibench.files import try_lock

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
    is_shared = {f"{host}.lock": bool(gpus)}
    # Sorted: two holders of the same GPUs never wait for each other.
    is_shared |= {f"{host}.gpu-{gpu}.lock": False for gpu in sorted(gpus)}
    with ExitStack() as held:
        for name, shared in is_shared.items():
            lock = held.enter_context((results / name).open("w"))
            while not try_lock(lock, shared=shared):
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
