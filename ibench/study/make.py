"""From a study to make rules, a status table and a re-hash of everything."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from ibench.errors import CorruptResultError
from ibench.store import (
    RECORD,
    attempt_count,
    retire,
    run_id_on_disk,
    verify,
    write_atomic,
)
from ibench.study.definition import Job, Study
from ibench.terminal import Table

__all__ = [
    "MANY",
    "JobState",
    "job_states",
    "make_rules",
    "map_jobs",
    "retire_outdated",
    "status_table",
    "verify_all",
]

JobState: TypeAlias = Literal["done", "missing", "outdated", "broken"]
SeenT = TypeVar("SeenT")
# Below this, starting processes takes longer than reading the records.
MANY = 5000


def make_rules(study: Study, make_path: Path) -> None:
    """Write one make rule a record; targets are records, never notebooks.

    The file changes only when the grid does, so that make never runs on its account.
    """
    lines = [
        "# Written by `ibench grid`: one rule per record.",
        f"all: {_target(study.jobs['aggregation'])}",
        ".PHONY: all",
        "",
    ]
    for job in study.jobs.values():
        needs = " ".join(_record(n) for n in job.needs)
        lines.append(f"{_target(job)}: {needs}")
        lines.append(f"\t@$(STAGE) {job.name}")
    text = "\n".join(lines) + "\n"
    if not make_path.exists() or make_path.read_text() != text:
        write_atomic(make_path, text.encode())


def _target(job: Job) -> str:
    return _record(job.folder)


def _record(folder: Path) -> str:
    """Relative to where make runs: the checkout's own path may hold spaces."""
    return os.path.relpath(folder / RECORD)


def retire_outdated(study: Study) -> list[str]:
    """Move stages away whose parameters changed; return their names.

    Raises:
        CorruptResultError: a record on disk cannot be trusted.
    """
    moved = []
    for job in study.jobs.values():
        found = run_id_on_disk(job.folder)
        if found is not None and found != job.run_id:
            retire(job.folder)
            moved.append(job.name)
    return moved


def status_table(study: Study, states: Mapping[str, JobState]) -> Table:
    """Make one row a job: done, missing, outdated or broken, with its attempts."""
    rows = []
    for job in study.jobs.values():
        tried = attempt_count(job.folder)
        note = f"({tried} earlier attempts)" if tried else ""
        rows.append((states[job.name], job.name, note))
    return Table(("state", "job", "attempts"), rows, header=False)


def job_states(study: Study) -> dict[str, JobState]:
    """State of every job by the record on disk, each one read and checked once."""
    return map_jobs(study, _state)


def map_jobs(
    study: Study, look: Callable[[tuple[str, str]], SeenT]
) -> dict[str, SeenT]:
    """Look at every job's folder, with its run id, on all cores if there are many."""
    jobs = [(str(job.folder), job.run_id) for job in study.jobs.values()]
    if len(jobs) < MANY:
        return dict(zip(study.jobs, map(look, jobs), strict=True))
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = pool.map(look, jobs, chunksize=1000)
        return dict(zip(study.jobs, found, strict=True))


def _state(job: tuple[str, str]) -> JobState:
    folder, run_id = job
    try:
        found = run_id_on_disk(Path(folder))
    except CorruptResultError:
        return "broken"
    if found is None:
        return "missing"
    return "done" if found == run_id else "outdated"


def verify_all(study: Study) -> tuple[int, list[str]]:
    """Re-hash every finished stage: how many there are, and every deviation."""
    done = [j for j in study.jobs.values() if (j.folder / RECORD).exists()]
    return len(done), [line for job in done for line in verify(job.folder)]
