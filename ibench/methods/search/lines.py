"""A search in lines for people: trials as they end, then what ships and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ibench.methods.search.space import Value
from ibench.records import Confirmation, Submission, Trial

__all__ = ["submission_lines", "trial_line"]


def trial_line(trial: Trial, fixed: frozenset[str] = frozenset()) -> str:
    """Render one trial, without the parameters that no trial can change."""
    found = trial.outcome
    if trial.objective is not None:
        found += f" {trial.objective:.4g}"
        found += f" ({trial.requests} requests)" if trial.requests else ""
    times = _times(trial.launch_s, trial.evaluate_s, trial.teardown_s)
    shown = {k: v for k, v in trial.config.items() if k not in fixed}
    return f"{trial.index + 1:3}  {found:26}  {times}  {_config(shown)}"


def submission_lines(found: Submission) -> Iterator[str]:
    """Render what followed the trials: full evaluations, the choice, the time."""
    selection = found.selection
    if selection is None:
        return
    for row in (*selection.references, *selection.confirmations):
        yield _full_line(row)
    if selection.trial is not None:
        how = "confirmed" if selection.confirmed else "not confirmed"
        yield f"ships trial {selection.trial + 1}, {how}: {found.shipped:.4g}"
    trials = sum(t.launch_s + t.evaluate_s + t.teardown_s for t in found.trials)
    sampler = sum(t.sampler_s for t in found.trials)
    full = found.used_s - trials - sampler - selection.rest_s
    yield (
        f"used {found.used_s:.1f} of {found.budget_s:g} s: trials {trials:.1f}, "
        f"sampler {sampler:.1f}, full evaluations {full:.1f}, "
        f"other {selection.rest_s:.1f}"
    )


def _full_line(row: Confirmation) -> str:
    what = f"default of {row.engine}" if row.trial is None else f"trial {row.trial + 1}"
    found = row.outcome + (f" ({row.detail})" if row.detail else "")
    if row.objective is not None:
        found += f" {row.objective:.4g} ({row.requests} requests)"
    if row.correct is not None:
        found += f", {row.correct} of {row.questions} right"
    if row.reference_correct is not None:
        found += f", default {row.reference_correct}"
    times = _times(row.launch_s, row.evaluate_s, row.teardown_s)
    return f"full evaluation of {what}: {found}; {times}"


def _times(launch_s: float, evaluate_s: float, teardown_s: float) -> str:
    return (
        f"launch {launch_s:5.1f}  evaluate {evaluate_s:5.1f}  stop {teardown_s:4.1f} s"
    )


def _config(config: Mapping[str, Value]) -> str:
    return " ".join(f"{k}={v}" for k, v in config.items())
