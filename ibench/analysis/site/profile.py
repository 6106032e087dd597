"""A profile's finished runs as the site shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ibench.analysis.frames import Run, run_row
from ibench.analysis.runs import read_runs
from ibench.analysis.scores import with_speedups
from ibench.analysis.site.data import EvaluationView, Fact
from ibench.params import CONTROL, Stat
from ibench.study.definition import Cell, Study

__all__ = ["StudyView", "evaluations_of", "facts_of", "load_profile"]


@dataclass(frozen=True)
class StudyView:
    """What a profile has to show; ``frame`` has one row a run, in their order."""

    name: str
    model: str
    statistics: Stat
    root: Path
    cells: tuple[Cell, ...]
    runs: tuple[Run, ...]
    frame: pd.DataFrame
    planned: int
    problems: tuple[str, ...]


def load_profile(study: Study) -> StudyView:
    """Read every finished run of a study but the control's, which does not compete."""
    found = read_runs(study)
    statistics = study.profile.statistics
    controls = {m.name for m in study.profile.methods if m.kind == CONTROL}
    shown = [(c, run) for c, run in found.finished if c.method not in controls]
    planned = sum(c.method not in {"baseline", *controls} for c in study.cells())
    runs = tuple(run for _, run in shown)
    frame = pd.DataFrame([run_row(run) for run in runs])
    return StudyView(
        name=study.profile.name,
        model=study.profile.model,
        statistics=statistics,
        root=study.root,
        cells=tuple(cell for cell, _ in shown),
        runs=runs,
        frame=with_speedups(frame, statistics) if runs else frame,
        planned=planned,
        problems=tuple(_below(study.results, line) for line in found.problems),
    )


def _below(results: Path, line: str) -> str:
    """The message without the folders of this machine: the page may be shared."""
    return line.replace(f"{results}/", "")


def evaluations_of(run: Run) -> tuple[EvaluationView, ...]:
    """Trials of a search or evaluations of a session, at the time they ended."""
    trials = [
        EvaluationView(
            t_s=t.started_s + t.launch_s + t.evaluate_s,
            objective=t.objective,
            note="" if t.outcome == "ok" else t.outcome,
        )
        for t in run.submission.trials
    ]
    sessions = [
        EvaluationView(
            t_s=e.t_s,
            objective=e.objective,
            accuracy=e.accuracy,
            note=", ".join(filter(None, ("quick" if e.quick else "", e.note))),
        )
        for e in run.submission.evaluations
    ]
    return tuple(trials or sessions)


def facts_of(run: Run) -> Iterator[Fact]:
    """What the records say of a run, a line each; unknown numbers are left out."""
    verdict, quality = run.verdict, run.verdict.quality
    yield Fact(label="verdict", text=verdict.reason)
    if quality:
        text = (
            f"{quality.correct} of {quality.n} correct, baseline "
            f"{quality.baseline_correct}, McNemar p {quality.mcnemar_p:.2g}"
        )
        yield Fact(label="quality gate", text=text)
    failed = [f.rule for f in verdict.findings if f.status == "failed"]
    if failed:
        yield Fact(label="rules failed", text=", ".join(failed))
    if verdict.not_run:
        yield Fact(label="not run", text=", ".join(verdict.not_run))
    yield Fact(label="launch", text=str(run.evidence.launch.outcome))
    if run.submission.budget_s is not None:
        text = f"{run.submission.used_s:.0f} of {run.submission.budget_s:.0f} s"
        yield Fact(label="budget used", text=text)
