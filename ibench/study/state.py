"""Whether a stage's record still holds: its parameters, its inputs, its notebook.

A run id covers parameters alone. What a stage read is covered by the hashes of the
upstream records in its provenance, and what it ran by the hash of its notebook's code:
a verdict does not outlive its evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from ibench import REPOSITORY
from ibench.errors import CorruptResultError
from ibench.files import file_sha256
from ibench.store import RECORD, RecordHead, read_head
from ibench.study.grid import Grid, Job
from ibench.study.notebook import code_sha256

__all__ = [
    "JobState", "Standing", "inputs_of", "is_done", "job_states", "notebook_of",
    "standing", "standings",
]  # fmt: skip

JobState: TypeAlias = Literal["done", "missing", "outdated", "stale", "broken"]


class Standing(NamedTuple):
    """State of one job by the record on disk, and why it is not ``done``.

    ``outdated``: its parameters changed. ``stale``: what it read or ran changed.
    ``broken``: its record is not what its own hash says.
    """

    state: JobState
    why: str = ""


def notebook_of(study: Grid[Any], job: Job) -> Path | None:
    """The template that a stage runs; None for what no notebook runs."""
    name = study.benchmark.notebooks.get(job.stage)
    return REPOSITORY / "notebooks" / name if name else None


def inputs_of(study: Grid[Any], job: Job) -> dict[str, str]:
    """Hash of every upstream record that is there, by its folder below the study."""
    return {
        folder.relative_to(study.root).as_posix(): file_sha256(folder / RECORD)
        for folder in job.needs
        if (folder / RECORD).exists()
    }


def standing(study: Grid[Any], job: Job) -> Standing:
    """Look at one job and the records it was built on, and no further up."""
    return _judged(study, job, _head_of(job), inputs_of(study, job))


def is_done(study: Grid[Any], job: Job) -> bool:
    """Whether a job need not run; see ``standing``."""
    return standing(study, job).state == "done"


def standings(study: Grid[Any]) -> dict[str, Standing]:
    """Look at every job, each record read once; what is not done stales what follows.

    Returns:
        Standings by job name, upstream before downstream.
    """
    heads = {name: _head_of(job) for name, job in study.jobs.items()}
    names = {job.folder: job.name for job in study.jobs.values()}
    found: dict[str, Standing] = {}
    for job in study.jobs.values():
        inputs = {}
        for folder in job.needs:
            head, above = heads[names[folder]], found[names[folder]]
            if isinstance(head, RecordHead) and above.state == "done":
                inputs[folder.relative_to(study.root).as_posix()] = head.sha256
        found[job.name] = _judged(study, job, heads[job.name], inputs)
    return found


def job_states(study: Grid[Any]) -> dict[str, JobState]:
    """State of every job by its name; see ``standings``."""
    return {name: found.state for name, found in standings(study).items()}


def _head_of(job: Job) -> RecordHead | str | None:
    """Head of a record, or why it is broken, or None where there is none."""
    try:
        return read_head(job.folder)
    except CorruptResultError as error:
        return str(error)


def _judged(
    study: Grid[Any],
    job: Job,
    seen: RecordHead | str | None,
    inputs: Mapping[str, str],
) -> Standing:
    if seen is None:
        return Standing("missing")
    if isinstance(seen, str):
        return Standing("broken", seen)
    if seen.run_id != job.run_id:
        return Standing("outdated", "its parameters changed since it ran")
    why = _changed_input(study, job, seen, inputs)
    notebook = notebook_of(study, job)
    if not why and notebook is not None and seen.notebook_sha256 != _code(notebook):
        why = f"the code of {notebook.name} changed since it ran"
    return Standing("stale", why) if why else Standing("done")


def _changed_input(
    study: Grid[Any], job: Job, seen: RecordHead, inputs: Mapping[str, str]
) -> str:
    for folder in job.needs:
        place = folder.relative_to(study.root).as_posix()
        if place not in inputs:
            return f"{place}, which it is built on, is not done"
        if seen.inputs.get(place) != inputs[place]:
            return f"{place} was made anew since it ran"
    return ""


@cache
def _code(notebook: Path) -> str:
    return code_sha256(notebook)
