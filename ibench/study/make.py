"""From a study to make rules, a status table and a re-hash of everything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ibench.errors import CorruptResultError
from ibench.files import write_atomic
from ibench.store import RECORD, attempt_count, load_record, retire, verify
from ibench.study.grid import FINAL, Grid, Job
from ibench.study.state import JobState, standings
from ibench.terminal import Table

__all__ = ["SCORES", "make_rules", "retire_outdated", "status_table", "verify_all"]

SCORES = "scores"
"""Folder below the results root of what ``score`` publishes."""


def make_rules(study: Grid[Any], make_path: Path) -> None:
    """Write one make rule a record; targets are records, never notebooks.

    The file changes only when the grid does, so that make never runs on its account.
    """
    lines = [
        "# Written by `ibench grid`: one rule per record.",
        f"all: {_target(study.jobs[FINAL])}",
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


def retire_outdated(study: Grid[Any]) -> list[str]:
    """Set aside every stage whose parameters, inputs or notebook changed.

    Returns:
        One line a stage: its name and why.

    Raises:
        CorruptResultError: a record on disk cannot be trusted.
    """
    moved = []
    for name, found in standings(study).items():
        if found.state == "broken":
            raise CorruptResultError(found.why)
        if found.state in ("outdated", "stale"):
            retire(study.jobs[name].folder)
            moved.append(f"{name}: {found.state}: {found.why}")
    return moved


def status_table(study: Grid[Any], states: Mapping[str, JobState]) -> Table:
    """Make one row a job: done, missing, outdated or broken, with its attempts."""
    rows = []
    for job in study.jobs.values():
        tried = attempt_count(job.folder)
        note = f"({tried} earlier attempts)" if tried else ""
        rows.append((states[job.name], job.name, note))
    return Table(("state", "job", "attempts"), rows, header=False)


def verify_all(study: Grid[Any]) -> tuple[int, list[str]]:
    """Re-hash every finished stage: how many there are, and every deviation.

    A stage that is intact but no longer belongs to what it was built on is named too.
    """
    found = standings(study)
    done = [j for j in study.jobs.values() if found[j.name].state != "missing"]
    lines = [line for job in done for line in verify(job.folder)]
    lines += [
        f"{job.name}: {found[job.name].state}: {found[job.name].why}: "
        "`make reproduce` runs it again"
        for job in done
        if found[job.name].state in ("outdated", "stale")
    ]
    scores = sorted((study.results / SCORES).glob(f"**/{RECORD}"))
    kept = [path.parent for path in scores if _is_of(path.parent, study)]
    lines += [line for folder in kept for line in verify(folder)]
    return len(done) + len(kept), lines


def _is_of(folder: Path, study: Grid[Any]) -> bool:
    """Whether a score was taken with this profile; a broken one may be any's."""
    try:
        source = load_record(folder).provenance
    except CorruptResultError:
        return True
    return bool(source.parameters.get("profile") == study.profile.name)
