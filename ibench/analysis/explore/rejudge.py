"""Other gates over the same evidence: tau, the floor rule, the judge on or off.

A profile's runs are judged again by ``ibench.gates``. An outcome depends on tau only
through whether the accuracy ratio reaches it, so that two judgements a run, at the
loosest and at the strictest tau, give the outcome at every tau between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ibench.analysis.explore.data import PanelData
from ibench.analysis.frames import Run, run_row
from ibench.analysis.runs import read_baseline
from ibench.analysis.scores import (
    aggregate_table,
    competitors,
    outcome_table,
    with_speedups,
)
from ibench.errors import UserError
from ibench.params import Gates, Stat
from ibench.records import Verdict
from ibench.study.definition import Cell, Study
from ibench.study.judging import Case, open_case

__all__ = ["Judged", "Rejudged", "judge_again", "open_rejudged"]

LOOSEST, STRICTEST = 0.01, 1.0
# Rounding of tau times the baseline's count, as in the gate itself.
SLACK = 1e-9


@dataclass(frozen=True)
class Judged:
    """One run under the loosest and the strictest tau; the judge on or off."""

    run: Run
    loose: Verdict
    strict: Verdict

    def at(self, tau: float) -> Verdict:
        """The verdict at a tau in between."""
        quality = self.loose.quality
        if quality is None:
            return self.loose
        passed = quality.correct >= tau * quality.baseline_correct - SLACK
        return self.loose if passed else self.strict


def judge_again(run: Run, case: Case, gates: Gates, *, judge: bool) -> Judged:
    """Judge a run at both ends of tau, as stage 4 does.

    Args:
        run: the finished run; its recorded judge label is used, none is asked for.
        case: its evidence and tables, and those of its baseline.
        gates: of the profile; its tau is replaced.
        judge: on: the recorded label counts and is required; off: neither.
    """
    others = tuple(c for c in gates.required_checks if c != "judge")
    required = (*others, "judge") if judge else others
    label = run.verdict.judge if judge else "not_run"
    changed = {"required_checks": required}
    loose, strict = (
        case.judge(gates.model_copy(update=changed | {"tau": tau}), label)
        for tau in (LOOSEST, STRICTEST)
    )
    return Judged(run, loose, strict)


@dataclass(frozen=True)
class Rejudged:
    """A study's runs, judged at every tau, with the judge on and off."""

    runs: dict[bool, tuple[Judged, ...]]
    statistics: Stat
    tau: float
    judge: bool

    def frame(self, tau: float, *, floor: bool, judge: bool) -> pd.DataFrame:
        """The runs table under other rules; runs without a score have speedup NaN."""
        rows = [
            run_row(j.run) | {"outcome": str(j.at(tau).outcome)}
            for j in self.runs[judge]
        ]
        choices = self.statistics.model_copy(update={"floor_below_baseline": floor})
        # The recorded reason belongs to the recorded rules.
        return with_speedups(pd.DataFrame(rows).drop(columns="reason"), choices)

    def board(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Aggregate of the methods that compete, best first; no score: no place."""
        table = aggregate_table(competitors(frame), self.statistics)
        return table[table.scored > 0].reset_index(drop=True)

    def outcomes(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Count outcomes per method."""
        return outcome_table(frame)


def open_rejudged(source: PanelData) -> Rejudged | str:
    """Judge every finished run of a profile again; or say why it cannot be done."""
    study = source.study
    if study is None:
        return source.why
    runs: dict[bool, list[Judged]] = {False: [], True: []}
    try:
        # One run's tables at a time: those of a whole study may not fit in memory.
        for cell, run in source.finished:
            for judge, judged in _judge_cell(study, cell, run).items():
                runs[judge].append(judged)
    except UserError as error:
        return str(error)
    return Rejudged(
        {judge: tuple(rows) for judge, rows in runs.items()},
        study.profile.statistics,
        study.gates.tau,
        "judge" in study.gates.required_checks,
    )


def _judge_cell(study: Study, cell: Cell, run: Run) -> dict[bool, Judged]:
    job = study.job(f"{cell.path}/gating")
    base = study.root / Cell(cell.scenario, "baseline", cell.seeds).path / "baseline"
    case = open_case(
        study,
        cell.scenario,
        (study.root / cell.path / "relaunch", run.evidence),
        (base, read_baseline(study, cell)),
        job.spec.get("forced_engine"),
    )
    return {j: judge_again(run, case, study.gates, judge=j) for j in (False, True)}
