"""A pool on this machine: as many cells at once as there are GPUs, one on a CPU.

The pool is a process of its own, so that a terminal may be closed. It holds nothing
that is not on disk: a killed pool is continued by the next submission.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ibench.cluster.cell import PREEMPTED, RETRY
from ibench.cluster.cells import cell_jobs
from ibench.cluster.claims import latest, process_here
from ibench.cluster.submissions import Batch, Queued, Submission
from ibench.errors import ClusterError
from ibench.serving.linux import command_line
from ibench.study.definition import Study

__all__ = ["Local", "Pool", "gpu_slots"]

_POLL_S = 0.5
_AGAIN = (RETRY, PREEMPTED)


class Local:
    """Starts and stops pools on this host.

    Args:
        study: the profile, for the claims of cells.
    """

    def __init__(self, study: Study) -> None:
        """Keep the study."""
        self._study = study

    def submit(self, batch: Batch) -> tuple[tuple[str, ...], str | None]:
        """Start a pool in the background; its id is its process's."""
        batch.logs.mkdir(parents=True, exist_ok=True)
        batch.write("cells.txt", batch.cells)
        argv = batch.command("pool", str(batch.folder))
        with (batch.logs / "pool.log").open("ab") as log:
            pool = subprocess.Popen(
                argv,
                cwd=batch.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return (f"pool-{pool.pid}",), None

    def poll(self, submission: Submission) -> Mapping[str, Queued]:
        """What the pool has not finished waits, as long as the pool lives."""
        pid = self._pid(submission)
        if pid is None:
            return {}
        return dict.fromkeys(submission.cells, "pending")

    def cancel(self, submission: Submission, cells: Sequence[str] | None) -> None:
        """End running cells by their claims, or the pool with all of them."""
        pid = self._pid(submission)
        if cells is None:
            if pid is not None:
                os.kill(pid, signal.SIGTERM)
            return
        jobs = cell_jobs(self._study)
        for name in cells:
            held = latest(jobs[name].folder)
            running = process_here(held) if held is not None else None
            if running is not None:
                with suppress(ProcessLookupError):
                    os.kill(running, signal.SIGTERM)

    def _pid(self, submission: Submission) -> int | None:
        """The pool's process while it lives; a pid alone may be another program's."""
        if submission.host != socket.gethostname():
            raise ClusterError(
                f"the pool of submission {submission.number} is on {submission.host}: "
                "ask there"
            )
        pid = int(submission.job_ids[0].rpartition("-")[2])
        words = command_line(pid).split()
        return pid if "pool" in words and "ibench" in words else None


@dataclass
class Pool:
    """Runs cells, a process each, and puts those back that ask for another try.

    Args:
        start: starts the process of a cell on a slot (GPU ids, comma-separated, or
            an empty string).
        slots: one entry a cell at once.
        sleep: waits between looks.
    """

    start: Callable[[str, str], subprocess.Popen[bytes]]
    slots: Sequence[str]
    sleep: Callable[[float], None] = time.sleep
    _running: dict[str, tuple[str, subprocess.Popen[bytes]]] = field(
        default_factory=dict, init=False
    )
    _stopped: bool = field(default=False, init=False)

    def run(self, cells: Sequence[str]) -> dict[str, int]:
        """Run cells until all have ended; return the exit code of each."""
        queue, codes = deque(cells), dict[str, int]()
        free = deque(self.slots)
        while queue or self._running:
            while queue and free and not self._stopped:
                slot, cell = free.popleft(), queue.popleft()
                self._running[cell] = slot, self.start(cell, slot)
            for cell, (slot, process) in list(self._running.items()):
                code = process.poll()
                if code is None:
                    continue
                del self._running[cell]
                free.append(slot)
                codes[cell] = code
                if code in _AGAIN and not self._stopped:
                    queue.append(cell)
            if self._stopped and not self._running:
                break
            self.sleep(_POLL_S)
        return codes

    def stop(self) -> None:
        """Start nothing more and end what runs."""
        self._stopped = True
        for _, process in self._running.values():
            process.send_signal(signal.SIGTERM)


def gpu_slots(gpus_each: int, ids: Sequence[str]) -> list[str]:
    """Cut a machine's GPUs into slots of so many; a study of the CPU has one slot.

    Raises:
        ClusterError: fewer GPUs than one cell asks for.
    """
    if gpus_each == 0:
        return [""]
    if len(ids) < gpus_each:
        raise ClusterError(
            f"{len(ids)} GPUs here and {gpus_each} asked for a cell: set gpus in "
            "params/clusters, or choose another machine"
        )
    whole = len(ids) - len(ids) % gpus_each
    return [",".join(ids[i : i + gpus_each]) for i in range(0, whole, gpus_each)]
