"""A pool of GPUs in simulated time over real claims, attempts and retries."""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter, deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from unittest.mock import patch

from ibench.cluster.cells import MAX_RETRIES, CellJob, cell_jobs, retries_used, state_of
from ibench.cluster.claims import CellClaim, HeldError, Owner
from ibench.study.definition import Study

__all__ = ["simulate"]

_HOURS = {"baseline": (1.0, 5.0), "cell": (2.0, 4.0)}
_GPUS_A_NODE = 8
_DEATHS_AN_HOUR = 1 / 500  # of one node: it is lost and back after an hour
_PREEMPTED = 0.01  # of all starts
_FAILED = 0.005  # of all starts: the stage itself, never tried again


@dataclass
class _Pool:
    """Event queue of ends and deaths; every cell was submitted by two people."""

    study: Study
    gpus: int
    rng: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311
    counts: Counter[str] = field(default_factory=Counter)
    ran: Counter[str] = field(default_factory=Counter)
    running: dict[int, tuple[CellJob, CellClaim, float]] = field(default_factory=dict)
    busy_h: float = 0.0

    def run(self) -> float:
        """Run until the queue is empty; return the simulated hours."""
        cells = list(cell_jobs(self.study).values())
        self.queue = deque(cells + cells)  # the second person's job of each cell
        self.rng.shuffle(self.queue)
        free, now = list(range(self.gpus)), 0.0
        events: list[tuple[float, int, str]] = []
        nodes = -(-self.gpus // _GPUS_A_NODE)
        for node in range(nodes):
            at = self.rng.expovariate(_DEATHS_AN_HOUR)
            heapq.heappush(events, (at, node, "death"))
        while self.queue or self.running:
            while self.queue and free:
                gpu = free[-1]
                took_h = self._start(self.queue.popleft(), gpu, now)
                if took_h is not None:
                    free.pop()
                    heapq.heappush(events, (now + took_h, gpu, "end"))
            if not self.running:
                continue
            now, at, kind = heapq.heappop(events)
            if kind == "back":
                free.append(at)
            elif kind == "end" and at in self.running and self.running[at][2] == now:
                self._end(at)
                free.append(at)
            elif kind == "death":
                self._die(at, now, free, events)
        return now

    def _start(self, cell: CellJob, gpu: int, now: float) -> float | None:
        """Try to start a job; None when it has nothing to do."""
        tried = cell.attempts()
        if self.ran[cell.name]:
            self.counts["second jobs that had nothing to do"] += 1
            return None
        if state_of(cell, tried, done=False) in ("failed", "given up"):
            self.counts["jobs of a failed cell that did not start"] += 1
            return None
        owner = Owner.this(f"{gpu}", str(gpu))
        try:
            claim = CellClaim(cell.folder, cell.key, owner, "simulated")
        except HeldError:
            self.counts["jobs that found their cell running"] += 1
            return None
        low, high = _HOURS["baseline" if "/baseline/" in cell.name else "cell"]
        took_h = self.rng.uniform(low, high)
        self.running[gpu] = cell, claim, now + took_h
        self.busy_h += took_h
        self.counts["starts"] += 1
        return took_h

    def _end(self, gpu: int) -> None:
        cell, claim, _ = self.running.pop(gpu)
        chance = self.rng.random()
        if chance < _PREEMPTED:
            claim.end("preempted")
            self.counts["preempted"] += 1
            self.queue.append(cell)
        elif chance < _PREEMPTED + _FAILED:
            claim.end("failed")
            self.counts["failed stages"] += 1
        else:
            claim.end("done")
            self.ran[cell.name] += 1

    def _die(
        self,
        node: int,
        now: float,
        free: list[int],
        events: list[tuple[float, int, str]],
    ) -> None:
        """Lose a node with all that runs on it; the scheduler requeues those jobs."""
        self.counts["nodes that died"] += 1
        here = range(node * _GPUS_A_NODE, min((node + 1) * _GPUS_A_NODE, self.gpus))
        for gpu in here:
            if gpu in free:
                free.remove(gpu)
            if gpu in self.running:
                cell, claim, until = self.running.pop(gpu)
                self.busy_h -= until - now
                # Its process is gone: the file keeps no end, as after a real death.
                gone = claim.attempt.owner.model_copy(update={"started": "gone"})
                dead = claim.attempt.model_copy(update={"owner": gone})
                claim.path.write_text(dead.model_dump_json())
                self.counts["attempts that died"] += 1
                self.queue.appendleft(cell)
            heapq.heappush(events, (now + 1.0, gpu, "back"))
        again = now + self.rng.expovariate(_DEATHS_AN_HOUR)
        heapq.heappush(events, (again, node, "death"))


def simulate(study: Study, gpus: int) -> dict[str, float]:
    """Run every cell of a study on simulated GPUs.

    Args:
        study: a made study; claims are written below its results.
        gpus: how many, eight a node.

    Returns:
        What happened, and whether anything ran twice: names to numbers.
    """
    pool, begun = _Pool(study, gpus), time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(patch("os.fsync"))  # simulated: may be lost
        hours = pool.run()
    cells = cell_jobs(study)
    tried = {name: cell.attempts() for name, cell in cells.items()}
    return {
        "cells": len(cells),
        "GPUs": gpus,
        "simulated hours": hours,
        "utilisation": pool.busy_h / (hours * gpus),
        **dict(sorted(pool.counts.items())),
        "finished": sum(pool.ran.values()),
        "finished more than once": sum(n > 1 for n in pool.ran.values()),
        "cells with an end 'done' twice": sum(
            [a.ended for a in found].count("done") > 1 for found in tried.values()
        ),
        "given up after two retries": sum(
            retries_used(found) > MAX_RETRIES for found in tried.values()
        ),
        "neither finished, failed nor given up": sum(
            state_of(cells[n], found, done=bool(pool.ran[n]))
            not in ("done", "failed", "given up")
            for n, found in tried.items()
        ),
        "seconds it took": time.monotonic() - begun,
    }
