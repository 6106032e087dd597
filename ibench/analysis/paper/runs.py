"""A profile's records in the shapes of the published frames.

Reads what is finished and says what is not: a study under way can be compared too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ibench.analysis.frames import run_row
from ibench.analysis.paper.data import Published
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
    "unlike",
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


def aggregate_of(study: Study, method: str) -> tuple[float, str]:
    """Aggregate of one method of a profile, or NaN and why there is none."""
    try:
        runs = finished_runs(study).runs
    except CorruptResultError as error:
        return math.nan, str(error).partition(":")[2].strip()
    own = cells_of_runs(runs[runs.method == method])
    if len(own) < 4:
        return math.nan, f"{len(own)} of 4 scenarios of {method} are finished"
    value = math.exp(sum(math.log(m) for m in own["mean"]) / len(own))
    return value, f"{int(own['n'].min())} seed pairs or more"


def baseline_of(study: Study, scenario: str, metric: str) -> tuple[float, str]:
    """Mean of a baseline's metric over seed pairs, first phase, or NaN and why."""
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


def unlike(study: Study, data: Published, scenarios: Sequence[str]) -> str:
    """Why a profile's numbers cannot be held against the paper's; empty if they can.

    Base model, card, lengths, requests, concurrency and rates have to be those that
    the original ran; where TPOT is in the objective, its unit too: the paper's
    counts words or text chunks, ours tokens, and no record tells one from the other
    afterwards.

    Args:
        study: the profile.
        data: what the paper and its repository print.
        scenarios: those that the number is made of.
    """
    paper = data("paper_table18_hardware").iloc[0]
    model, host = study.model.model_id, study.host
    if model.rpartition("/")[2] != paper.base_model:
        return f"base model {model}, the paper's {paper.base_model}"
    if paper.hardware not in (host.gpu or ""):
        return f"measured on {host.name}, the paper on one {paper.hardware}"
    for name in scenarios:
        why = _other_load(study, data, name)
        if why:
            return f"scenario {name}: {why}"
    timed = [s for s in scenarios if "tpot" in study.scenarios[s].objective]
    if timed and study.profile.measure.tpot == "tokens":
        return (
            "the paper's TPOT is per word or text chunk, ours per token (measure.tpot: "
            "words measures the paper's)"
        )
    return ""


def _other_load(study: Study, data: Published, name: str) -> str:
    """How a scenario's load differs from the one that the original's code ran."""
    if name not in study.scenarios:
        return "not in the profile"
    ours, frame = study.scenarios[name], data("repo_scenario_config")
    theirs = frame[frame.scenario == name.upper()]
    lengths = (int(theirs.input_len.iloc[0]), int(theirs.output_len.iloc[0]))
    if (ours.input_tokens, ours.output_tokens) != lengths:
        mine = f"{ours.input_tokens} and {ours.output_tokens}"
        return f"{mine} tokens in and out, the paper's {lengths[0]} and {lengths[1]}"
    rates = theirs.rate_req_per_s.astype(float).fillna(0.0)
    columns = (theirs.num_requests, theirs.concurrency_executed, rates)
    wanted = sorted(zip(*columns, strict=True))
    found = sorted(
        (p.requests, p.concurrency, p.rate_per_s or 0.0) for p in ours.phases
    )
    for (requests, slots, rate), (n, c, r) in zip(found, wanted, strict=False):
        if (requests, slots, rate) != (n, c, r):
            mine = f"{requests} requests at concurrency {slots}"
            return f"{mine}, the original {n} at {c}"
    return "" if len(found) == len(wanted) else "other phases"
