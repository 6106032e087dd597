"""A run of a study, read back from the three records that make it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from ibench.analysis.frames import Run
from ibench.errors import CorruptResultError
from ibench.records import Evidence, Submission, Verdict
from ibench.store import RECORD, load_record
from ibench.study.definition import Cell, Study

__all__ = ["STAGES", "is_finished", "map_parts", "read_run"]

STAGES = ("submission", "relaunch", "gating")
PartT = TypeVar("PartT")
# Below this, starting processes takes longer than reading the records.
MANY, PART = 2000, 250


def is_finished(study: Study, cell: Cell) -> bool:
    """Whether all three stages of a cell have published."""
    folder = study.root / cell.path
    return all((folder / stage / RECORD).exists() for stage in STAGES)


def read_run(study: Study, cell: Cell) -> Run:
    """Read submission, evidence and verdict of one cell.

    Raises:
        CorruptResultError: a record is missing, edited, or of another kind.
    """
    folder = study.root / cell.path
    submission, evidence, verdict = (load_record(folder / s).result for s in STAGES)
    if not (
        isinstance(submission, Submission)
        and isinstance(evidence, Evidence)
        and isinstance(verdict, Verdict)
    ):
        raise CorruptResultError(f"{folder}: records of another kind: move it away")
    return Run(
        cell.scenario,
        cell.method,
        study.method(cell.method).kind,
        cell.seeds.label,
        submission,
        evidence,
        verdict,
    )


def map_parts(study: Study, make: Callable[[Iterable[Run]], PartT]) -> Iterator[PartT]:
    """Read the grid's runs in order, and make something smaller of each part of them.

    Many are read on every core, a part at a time: what a run is made of is checked by
    hash and type, and that takes longer than everything done with it afterwards.

    Args:
        study: the profile.
        make: a function of a module, given the runs one by one; its result is what
            travels between processes.

    Raises:
        CorruptResultError: a record is missing or was edited.
    """
    cells = [cell for cell in study.cells() if cell.method != "baseline"]
    if len(cells) < MANY:
        yield make(_read(study, cells))
        return
    parts = [cells[i : i + PART] for i in range(0, len(cells), PART)]
    cores = len(os.sched_getaffinity(0))
    # Spawned: a fork would copy the grid, and torch's threads with their locks.
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        profile, params, results = study.profile.name, study.params, study.results
        reopened = partial(_part, profile, params, results, make)
        yield from pool.map(reopened, parts)


def _read(study: Study, cells: list[Cell]) -> Iterator[Run]:
    return (read_run(study, cell) for cell in cells)


@cache
def _opened(profile: str, params: Path, results: Path) -> Study:
    return Study(profile, params, results)


def _part(
    profile: str,
    params: Path,
    results: Path,
    make: Callable[[Iterable[Run]], PartT],
    cells: list[Cell],
) -> PartT:
    return make(_read(_opened(profile, params, results), cells))
