"""From records to frames: one row a run, one row a step of progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from ibench.records import Evidence, Submission, Verdict, canonical_json

__all__ = [
    "Run",
    "found_frame",
    "progress_rows",
    "run_row",
    "trial_rows",
]


READABLE_ROWS = 60


@dataclass(frozen=True)
class Run:
    """The three results of one run, and where it stands in the grid."""

    scenario: str
    method: str
    kind: str
    seeds: str
    submission: Submission
    evidence: Evidence
    verdict: Verdict


def run_row(run: Run) -> dict[str, Any]:
    """One row of the runs table; unknown numbers stay None."""
    verdict, evidence, quality = run.verdict, run.evidence, run.verdict.quality
    first = evidence.phases[0] if evidence.phases else None
    return {
        "scenario": run.scenario,
        "method": run.method,
        "kind": run.kind,
        "seeds": run.seeds,
        "outcome": str(verdict.outcome),
        "reason": verdict.reason,
        "objective": verdict.objective,
        "baseline_objective": verdict.baseline_objective,
        **_ratio(verdict),
        "ttft_p50_s": first.ttft_p50_s if first else None,
        "tpot_p50_s": first.tpot_p50_s if first else None,
        "request_rate_per_s": first.request_rate_per_s if first else None,
        "failure_rate": evidence.failure_rate,
        "accuracy": quality.correct / quality.n if quality else None,
        "baseline_accuracy": quality.baseline_correct / quality.n if quality else None,
        "mcnemar_p": quality.mcnemar_p if quality else None,
        "launch": str(evidence.launch.outcome),
        "ready_s": evidence.launch.ready_s,
        "sandbox": evidence.launch.sandbox,
        "judge": verdict.judge,
        "not_run": ", ".join(verdict.not_run),
        "budget_s": run.submission.budget_s,
        "used_s": run.submission.used_s,
        "best_seen": run.submission.best_seen,
        "shipped": run.submission.shipped,
        "trials": len(run.submission.trials) + len(run.submission.evaluations),
    }


def _ratio(verdict: Verdict) -> dict[str, float | None]:
    """The run's speedup with its interval, and the one against stage 1 beside it."""
    names = ("ratio", "ratio_low", "ratio_high", "ratio_unpaired")
    found = verdict.speedup
    if found is not None:
        values = (found.value, found.low, found.high, found.unpaired)
        return dict(zip(names, values, strict=True))
    base = verdict.baseline_objective
    alone = verdict.objective / base if verdict.objective and base else None
    return dict.fromkeys(names) | {"ratio": alone}


def progress_rows(run: Run) -> list[dict[str, Any]]:
    """Best development objective so far, relative to the run's baseline.

    One row a successful measurement: failed trials leave no step, and without a
    baseline there is nothing to compare with.
    """
    base, best, rows = run.verdict.baseline_objective, 0.0, []
    for t_s, value in _steps(run.submission):
        if not base or value is None:
            continue
        best = max(best, value / base)
        rows.append({"t_s": t_s, "value": value / base, "best": best} | _where(run))
    return rows


def _where(run: Run) -> dict[str, str]:
    return {"scenario": run.scenario, "method": run.method, "seeds": run.seeds}


def _steps(submission: Submission) -> list[tuple[float, float | None]]:
    trials = [
        (t.started_s + t.launch_s + t.evaluate_s, t.objective)
        for t in submission.trials
        if t.outcome == "ok"
    ]
    return trials or [(e.t_s, e.objective) for e in submission.evaluations]


def trial_rows(run: Run) -> list[dict[str, Any]]:
    """Every search trial: configuration, outcome, timings."""
    return [
        _where(run)
        | {
            "trial": t.index + 1,
            "configuration": canonical_json(t.config),
            "outcome": t.outcome,
            "objective": t.objective,
            "launch_s": t.launch_s,
            "evaluate_s": t.evaluate_s,
        }
        for t in run.submission.trials
    ]


def found_frame(scored: pd.DataFrame) -> pd.DataFrame:
    """Best seen in development against what the submission scored.

    Args:
        scored: the runs table with speedups. Runs without a full development
            measurement are left out: nothing was found that could be compared.
            More than a page of them are shown as means over seed pairs.
    """
    found = scored[scored.best_seen.notna()]
    base = found.baseline_objective.astype(float)
    table = pd.DataFrame(
        {
            "scenario": found.scenario,
            "method": found.method,
            "seeds": found.seeds,
            "best_seen": found.best_seen.astype(float) / base,
            "submitted": found.speedup,
        }
    )
    if len(table) <= READABLE_ROWS:
        return table.reset_index(drop=True)
    means = table.groupby(["scenario", "method"], sort=False).mean(numeric_only=True)
    return means.reset_index().assign(seeds="mean")
