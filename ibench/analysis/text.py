"""Sentences of the report, computed from what ran."""

from __future__ import annotations

import json
import math

import pandas as pd

from ibench.analysis.scores import competitors
from ibench.analysis.style import titles
from ibench.params import Gates, Profile, Stat
from ibench.records import Record

__all__ = [
    "CAPTIONS", "aggregate_caption", "careful_paragraph", "cell_matrix",
    "comparison_caption",
    "control_caption", "floor_caption", "gate_caption", "gate_table", "native_table",
    "not_run_paragraph", "provenance_table", "scenario_caption", "study_paragraph",
    "trial_table",
]  # fmt: skip


def aggregate_caption(runs: pd.DataFrame, choices: Stat) -> str:
    """Caption: n, bar type, whiskers, floor rule."""
    seeds, scenarios = runs.seeds.nunique(), runs.scenario.nunique()
    rule = (
        "A valid server slower than the baseline counts as 1.00x."
        if choices.floor_below_baseline
        else "A valid server slower than the baseline counts as it is, below 1.00x."
    )
    whiskers = (
        f"Whiskers: {choices.confidence:.0%} interval over seed pairs (Student's t on "
        "logarithms, from the spread within scenarios). "
        if seeds > 1
        else "One seed pair gives no whiskers. "
    )
    return (
        f"*Bars: geometric mean over {scenarios} scenarios of the mean over {seeds} "
        f"seed pair{'s' * (seeds > 1)}. Dots: scenario means. {whiskers}Failed and "
        "gated runs count as 1.00x; a run without a score is left out and counted. "
        f"{rule} The control is not drawn.*"
    )


def control_caption(control: pd.DataFrame) -> str:
    """Say what the control's table is."""
    if control.empty:
        return "*This profile has no method of kind `control`.*"
    return (
        "*The control: the baseline's own launcher, taken through every stage as a "
        "competitor is. Its speedup is 1.00x, and what it measures instead is the "
        "study's error. Only runs that passed every required check count; the interval "
        "is over seed pairs, or over one pair the run's own where it has one.*"
    )


def scenario_caption(runs: pd.DataFrame) -> str:
    """Caption of the per-scenario figure."""
    return (
        f"*Each dot is one seed pair (n = {runs.seeds.nunique()}); the bar is their "
        "mean; a hollow dot is a failed or gated run, counted as 1.00x.*"
    )


def native_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Per run, in the units of the scenario."""
    table = runs[["scenario", "method", "seeds", "outcome"]].copy()
    table["TTFT p50 (ms)"] = (runs.ttft_p50_s.astype(float) * 1e3).round(2)
    table["TPOT p50 (ms)"] = (runs.tpot_p50_s.astype(float) * 1e3).round(3)
    table["req/s (first phase)"] = runs.request_rate_per_s.astype(float).round(3)
    table["speedup"] = runs.speedup.round(3)
    table["reason"] = runs.reason.where(runs.outcome != "ok", "")
    return table


def gate_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Quality gate per method: accuracies, ratio, smallest paired p-value."""
    grouped = runs.groupby("method", sort=False)
    table = grouped.agg(
        runs=("outcome", "size"),
        accuracy=("accuracy", "mean"),
        baseline=("baseline_accuracy", "mean"),
        smallest_p=("mcnemar_p", "min"),
    ).reset_index()
    table.insert(4, "ratio", table.accuracy / table.baseline)
    return table.round(3)


def trial_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Search trials, one column a searched parameter; fixed ones are left out."""
    if trials.empty:
        return pd.DataFrame({"search trials": ["none"]})
    configs = pd.DataFrame([json.loads(c) for c in trials.configuration])
    varied = configs.loc[:, configs.nunique(dropna=False) > 1]
    rows = trials.reset_index(drop=True)
    where = rows[["scenario", "method", "seeds", "trial"]]
    where = where.assign(scenario=where.scenario.str.upper())
    if where.method.nunique() == 1:
        where = where.drop(columns="method")
    result = rows[["objective", "launch_s", "evaluate_s", "outcome"]]
    table = pd.concat([where, varied, result], axis=1)
    # Spaces let long headings wrap.
    return table.rename(columns=lambda name: name.replace("_", " "))


def not_run_paragraph(runs: pd.DataFrame) -> str:
    """Say which checks exist and were not run: they are not passes."""
    names = sorted({n for row in runs.not_run for n in row.split(", ") if n})
    sandboxes = ", ".join(sorted(set(runs.sandbox)))
    text = f"Servers ran in the sandbox kind: {sandboxes}. "
    if not names:
        return text + "Every check that exists was run."
    return text + (
        f"**Not run: {', '.join(names)}.** A check that was not run is not a pass; the "
        "profile does not require it for a score."
    )


def careful_paragraph(runs: pd.DataFrame, careful: str, quick: str) -> str:
    """What measuring pays: one agent against the other, cell by cell."""
    both = runs[runs.method.isin([careful, quick])]
    wide = both.pivot_table(
        index=["scenario", "seeds"], columns="method", values="speedup"
    )
    if not {careful, quick} <= set(runs.method):
        return f"This profile does not hold both {careful} and {quick}."
    wide = wide.reindex(columns=[careful, quick]).dropna()
    if wide.empty:
        return f"No pair of runs of `{careful}` and `{quick}` has two scores."
    ahead = int((wide[careful] > wide[quick]).sum())
    lines = [
        f"- {titles(str(scenario))}: {careful} {group[careful].mean():.2f}x, "
        f"{quick} {group[quick].mean():.2f}x"
        for scenario, group in wide.groupby(level="scenario")
    ]
    return (
        f"`{careful}` measures each change and keeps what is better; `{quick}` ships "
        f"the first server that answers. `{careful}` is ahead in **{ahead} of "
        f"{len(wide)}** pairs of runs:\n\n" + "\n".join(lines)
    )


CAPTIONS = {
    "convergence": (
        "*Best development objective so far over the wall-clock budget, divided by the "
        "baseline's evaluation objective; one step line a seed pair, one dot a "
        "measurement. Search counts quick evaluations of its trials, agents their full "
        "evaluations: read the shapes, compare levels with care.*"
    ),
    "found_vs_submitted": (
        "*Found: best full development measurement of the session (search: of its best "
        "trial). Submitted: the score after relaunch on evaluation requests. A "
        "submitted 1.00x is a failed or gated run.*"
    ),
}


def study_paragraph(profile: Profile, runs: pd.DataFrame, host: dict[str, str]) -> str:
    """What this study is: size, model, machine."""
    methods = competitors(runs).method.nunique()
    control = " and a control" * (methods < runs.method.nunique())
    return (
        f"Profile `{profile.name}`: {profile.description} {len(runs)} runs: "
        f"{runs.scenario.nunique()} scenarios, {methods} methods{control}, "
        f"{runs.seeds.nunique()} seed pairs. Machine: {host['cpu']}, {host['cores']} "
        f"cores, GPU: {host['gpu']}. Speedups compare with the PyTorch baseline of "
        "the same model, scenario, seed and host. Absolute numbers of a small model on "
        "a CPU say nothing about an H100; the method is the paper's."
    )


def comparison_caption(choices: Stat) -> str:
    """Say what the table of ratios compares."""
    return (
        "*How many times as fast the first method is as each other one, over the runs "
        f"that both have: {choices.confidence:.0%} interval of the ratio of their "
        "aggregates, paired by seed. An interval that holds 1.00 does not tell the two "
        "apart; each stands for itself: one in twenty may miss.*"
    )


def floor_caption(choices: Stat) -> str:
    """Say which floor rule the second table shows."""
    now, other = (
        ("floored at 1.00x", "as they are")
        if choices.floor_below_baseline
        else ("as they are", "floored at 1.00x")
    )
    return (
        f"Above, valid servers slower than the baseline count {now}; below, the same "
        f"table with them {other} (the paper's tables and its site differ here)."
    )


def cell_matrix(cells: pd.DataFrame) -> pd.DataFrame:
    """Methods by scenarios: ``mean ± SEM``; an unknown SEM is left out.

    A cell with runs that have no score says of how many runs it is.
    """
    columns = (cells["mean"], cells["sem"], cells["n"], cells["runs"])
    shown = cells.assign(
        text=[_cell(*row) for row in zip(*columns, strict=True)],
        scenario=cells.scenario.str.upper(),
    )
    order = list(dict.fromkeys(cells.method))
    matrix = shown.pivot_table(
        index="method", columns="scenario", values="text", aggfunc="first"
    )
    return matrix.reindex(order).rename_axis(None, axis=1).reset_index()


def _cell(mean: float, sem: float, n: int, runs: int) -> str:
    if not n:
        return "no score"
    text = f"{mean:.2f}" + ("" if math.isnan(sem) else f" ± {sem:.2f}")
    return text + f" ({n} of {runs} runs)" * (n < runs)


def gate_caption(gates: Gates, runs: pd.DataFrame) -> str:
    """Explain the gate's table and how sharp the gate is."""
    accuracy = float(runs.baseline_accuracy.astype(float).mean())
    shown = "unknown" if math.isnan(accuracy) else f"{accuracy:.2f}"
    return (
        f"*Pass: at least {gates.tau:.2f} of the baseline's correct answers "
        f"(baseline accuracy {shown}). smallest_p: smallest exact McNemar "
        "p-value over the method's runs; the answers are paired by question.*"
    )


def provenance_table(record: Record) -> pd.DataFrame:
    """Where the numbers come from."""
    source = record.provenance
    dirty = " (with uncommitted changes)" if source.git_dirty else ""
    rows = {
        "run id": record.run_id[:16],
        "git commit": f"{source.git_commit or 'unknown'}{dirty}",
        "lock": (source.lock_sha256 or "missing")[:16],
        "records read": str(len(source.inputs)),
        **{name: value for name, value in sorted(source.versions.items())},
        **{name: str(value) for name, value in sorted(source.host.items())},
    }
    return pd.DataFrame({"field": list(rows), "value": list(rows.values())})
