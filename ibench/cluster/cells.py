"""The cells of a study as jobs: what one runs, and how far it is.

A job runs what needs the measured machine: the baseline, or submission and relaunch.
Judging takes seconds and no GPU, so gating, aggregation and report are left to one
last job; the jobs of cells then depend on nothing and on no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ibench.cluster.claims import Attempt, attempts
from ibench.errors import unknown_name
from ibench.records import sha256_of
from ibench.study.grid import Grid, Job

__all__ = [
    "MAX_RETRIES", "CellJob", "State", "cell_job", "cell_jobs", "claims_root",
    "is_cancelled", "state_of",
]  # fmt: skip

MAX_RETRIES = 2
MACHINE = ("infrastructure", "killed", "died")
State: TypeAlias = Literal[
    "done", "running", "failed", "given up", "cancelled", "waiting"
]


@dataclass(frozen=True)
class CellJob:
    """One job of the grid: the stages of one cell that are measured.

    Args:
        name: ``a/careful/21-1337``.
        jobs: its stages, upstream first.
        folder: of its attempts.
    """

    name: str
    jobs: tuple[Job, ...]
    folder: Path

    @property
    def key(self) -> str:
        """Of the parameters: another key, another experiment."""
        return sha256_of([job.run_id for job in self.jobs])[:16]

    @property
    def cancel_path(self) -> Path:
        """Its existence asks the job to end, or not to start."""
        return self.folder / "cancel"

    def attempts(self) -> list[Attempt]:
        """Attempts with these parameters, oldest first."""
        found = attempts(self.folder)
        if not found:
            return []
        key = self.key
        return [a for a in found if a.key == key]


def claims_root(study: Grid[Any]) -> Path:
    """Folder of the attempts of every cell."""
    return study.root / ".cluster" / "claims"


def cell_jobs(study: Grid[Any]) -> dict[str, CellJob]:
    """Every job by the name of its cell."""
    by_cell: dict[str, list[Job]] = {}
    for job in study.jobs.values():
        if job.exclusive and job.cell is not None:
            by_cell.setdefault(job.name.rpartition("/")[0], []).append(job)
    root = claims_root(study)
    return {n: CellJob(n, tuple(jobs), root / n) for n, jobs in by_cell.items()}


def cell_job(study: Grid[Any], name: str) -> CellJob:
    """Look one up.

    Raises:
        ParameterError: this profile has no such cell.
    """
    jobs = cell_jobs(study)
    if name not in jobs:
        raise unknown_name(study.profile_path, "cell", name, jobs)
    return jobs[name]


def retries_used(tried: Iterable[Attempt]) -> int:
    """Attempts that the machine spoiled; each but the last was tried again."""
    return sum(a.ended in MACHINE for a in tried)


def is_cancelled(cell: CellJob) -> bool:
    """Whether a person asked it to stop and nobody has submitted it again."""
    return cell.cancel_path.exists()


def state_of(cell: CellJob, tried: list[Attempt], *, done: bool) -> State:
    """How far a cell is, by what lies on shared storage.

    Args:
        cell: the cell.
        tried: its attempts.
        done: whether every record is there.
    """
    last = tried[-1] if tried else None
    if done:
        return "done"
    if last is not None and last.ended is None:
        return "running"
    if last is not None and last.ended == "failed":
        return "failed"
    if retries_used(tried) > MAX_RETRIES:
        return "given up"
    return "cancelled" if is_cancelled(cell) else "waiting"
