"""A profile's records in the shapes of the published frames.

Reads what is finished and says what is not: a study under way can be compared too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ibench.analysis.frames import run_row
from ibench.analysis.runs import read_baseline, read_runs
from ibench.analysis.scores import cell_table, competitors, with_speedups
from ibench.errors import CorruptResultError
from ibench.store import RECORD
from ibench.study.definition import Study

__all__ = [
    "FinishedRuns",
    "aggregate_of",
    "baseline_of",
    "cells_of_runs",
    "finished_runs",
]


@dataclass(frozen=True)
class FinishedRuns:
    """The runs table of a profile with speedups, and how much of the grid it is."""

    runs: pd.DataFrame
    planned: int
    problems: tuple[str, ...]


def finished_runs(study: Study) -> FinishedRuns:
    """Read every finished run of a profile and score it.

    Raises:
        CorruptResultError: no run is finished, or none can be read.
    """
    found = read_runs(study)
    if not found.runs:
        why = f"{study.root}: no finished run: `make reproduce " + (
            f"PROFILE={study.profile.name}` makes them"
        )
        raise CorruptResultError(found.problems[0] if found.problems else why)
    rows = pd.DataFrame([run_row(run) for run in found.runs])
    frame = with_speedups(rows, study.profile.statistics)
    # A run without a required check has no score, and the control does not compete.
    scored = competitors(frame[frame.speedup.notna()])
    return FinishedRuns(scored, found.planned, found.problems)


def cells_of_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The cells frame of our own runs, in the shape of the published one."""
    cells = cell_table(runs)
    kinds = runs.drop_duplicates("method").set_index("method").kind
    return cells.assign(kind=cells.method.map(kinds))


def aggregate_of(
    params: Path, results: Path, profile: str | None, method: str
) -> tuple[float, str]:
    """Aggregate of one method of a profile, or NaN and why there is none."""
    study, why = _study(params, results, profile)
    if study is None:
        return math.nan, why
    try:
        runs = finished_runs(study).runs
    except CorruptResultError as error:
        return math.nan, str(error).partition(":")[2].strip()
    own = cells_of_runs(runs[runs.method == method])
    if len(own) < 4:
        return math.nan, f"{len(own)} of 4 scenarios of {method} are finished"
    value = math.exp(sum(math.log(m) for m in own["mean"]) / len(own))
    return value, f"{int(own['n'].min())} seed pairs or more"


def baseline_of(
    params: Path, results: Path, profile: str | None, scenario: str, metric: str
) -> tuple[float, str]:
    """Mean of a baseline's metric over seed pairs, first phase, or NaN and why."""
    study, why = _study(params, results, profile)
    if study is None:
        return math.nan, why
    values = []
    for cell in study.cells():
        folder = study.root / cell.path / "baseline"
        if (cell.method, cell.scenario) != ("baseline", scenario):
            continue
        if not (folder / RECORD).exists():
            continue
        phases = read_baseline(study, cell).evidence.phases
        values += [getattr(phase, metric) for phase in phases[:1]]
    known = [v for v in values if v is not None]
    if not known:
        return math.nan, "no finished baseline"
    return sum(known) / len(known), f"{len(known)} seed pairs"


def _study(
    params: Path, results: Path, profile: str | None
) -> tuple[Study | None, str]:
    if profile is None:
        return None, "needs runs: call with --profile"
    return Study(profile, params, results), ""
