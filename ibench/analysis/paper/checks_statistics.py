"""Checks of the paper's statistics: errors, shares, budgets, entropies, thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from ibench.analysis.paper.data import SCENARIOS, cells_of
from ibench.analysis.paper.derive import aggregate_cells
from ibench.analysis.paper.selecting import (
    CheckedNumber,
    Context,
    PublishedCell,
    Rows,
    checked_columns,
    numbers,
    value,
)

__all__ = ["STATISTICAL"]

BOARD = "paper_table02_leaderboard"


def sem_factor(context: Context) -> CheckedNumber:
    """Median ratio of the paper's SEMs over the README's."""
    ratio = _sem_ratios(context)
    return CheckedNumber(
        1.0, float(ratio.median()), f"{len(ratio)} cells; sqrt(1.5) = 1.2247"
    )


def sem_exceptions(context: Context) -> CheckedNumber:
    """Methods whose README SEM is not the paper's over sqrt(1.5), after rounding."""
    ratio = _sem_ratios(context)
    board = context.data(BOARD).set_index("method")
    off = set()
    for method, scenario in ratio.index:
        paper = float(board[f"{scenario}_sem"][method])
        readme = paper / float(ratio[(method, scenario)])
        if abs(readme - paper / math.sqrt(1.5)) > 0.0092:
            off.add(method)
    return CheckedNumber(0.0, float(len(off)), ", ".join(sorted(off)))


def _sem_ratios(context: Context) -> pd.Series:
    """Ratio by method and scenario; rows of both files stand in the same order."""
    paper, readme = context.data(BOARD), context.data("readme_leaderboard")
    values = {
        (method, s): a / b
        for s in SCENARIOS
        for method, a, b in zip(
            paper.method, paper[f"{s}_sem"], readme[f"{s}_sem"], strict=True
        )
        if b > 0
    }
    return pd.Series(values)


def propagated_sem(context: Context, *, method: str) -> CheckedNumber:
    """Printed SEM of an aggregate against first-order propagation of its cells."""
    frame = context.data(BOARD)
    if method not in set(frame.method):
        raise context.unknown("method", method, frame.method)
    row = frame[frame.method == method]
    again = aggregate_cells(cells_of(row))["sem"].iloc[0]
    return CheckedNumber(float(row.aggregate_sem.iloc[0]), float(again))


def whole_runs(context: Context, *, version: str, runs: int) -> CheckedNumber:
    """Largest distance of a printed share from the nearest whole number of runs."""
    frame = context.data("site_outcomes")
    shares = frame[frame.site_version == version].percent.to_numpy(float)
    nearest = 100 * np.round(shares * runs / 100) / runs
    worst = int(np.abs(nearest - shares).argmax())
    return CheckedNumber(
        float(shares[worst]), float(nearest[worst]), f"percent of {runs} runs"
    )


def quartile_denominators(context: Context) -> CheckedNumber:
    """Means of Table 10 that no sum of 15 whole quartile ranges gives."""
    frame = context.data("paper_table10_volatility")
    sums = frame.mean_quartile_range * frame.total_agents
    nearest = sums.round() / frame.total_agents
    off = (nearest - frame.mean_quartile_range).abs() > 0.005 + 1e-9
    return CheckedNumber(0.0, float(off.sum()), ", ".join(frame.scenario[off]))


def budget_share(
    context: Context, *, published: float, rows: Rows, hours: int
) -> CheckedNumber:
    """Smallest share of a model's largest gain over the baseline that it has by then.

    ``(best up to the budget - 1) / (best of all budgets - 1)``, the least over models.

    Args:
        context: what may be read.
        published: a bound of the share, for example 0.5 for "most".
        rows: model, budget and aggregate.
        hours: the budget.
    """
    names = ("model", "budget_hours", "aggregate_speedup")
    frame = checked_columns(context, rows, *names)
    shares = {}
    for model, group in frame.groupby("model"):
        early = group[group.budget_hours <= hours].aggregate_speedup.max()
        best = group.aggregate_speedup.max()
        shares[str(model)] = (early - 1) / (best - 1)
    least = min(shares, key=lambda name: shares[name])
    note = f"{len(shares)} models; least: {least}"
    return CheckedNumber(published, float(shares[least]), note)


def entropy(
    context: Context, *, published: PublishedCell, rows: Rows, column: str
) -> CheckedNumber:
    """Entropy of a column of counts over that of a uniform one with as many rows."""
    counts = numbers(context, rows, column)
    shares = counts[counts > 0] / counts.sum()
    again = float(-(shares * np.log(shares)).sum() / math.log(len(counts)))
    return CheckedNumber(value(context, published), again, f"{len(counts)} categories")


def quality_thresholds(context: Context, *, tau: float) -> CheckedNumber:
    """Printed thresholds that are not the fewest correct answers tau lets pass."""
    frame = context.data("quality_baselines").dropna(
        subset=["threshold_correct_at_tau_0_95"]
    )
    # The slack absorbs the rounding of the product.
    fewest = [math.ceil(tau * float(c) - 1e-9) for c in frame.correct]
    off = int((frame.threshold_correct_at_tau_0_95.astype(float) != fewest).sum())
    return CheckedNumber(0.0, float(off), f"{len(frame)} baselines")


def quality_accuracies(context: Context) -> CheckedNumber:
    """Printed accuracies that are not correct over asked, to three decimals."""
    frame = context.data("quality_baselines").dropna(subset=["correct", "n"])
    again = frame.correct.astype(float) / frame.n.astype(float)
    off = (frame.accuracy - again).abs() > 0.0005 + 1e-9
    return CheckedNumber(0.0, float(off.sum()), f"{len(frame)} baselines")


def quartile_counts(context: Context) -> CheckedNumber:
    """Rows of Table 10 whose counts are not all agents or do not fit the median.

    The middle one of the agents in order of their quartile range is stable (0),
    adjacent (1) or further (2 or more); the printed median must be of that kind.
    """
    frame = context.data("paper_table10_volatility")
    stable = frame.stable_agents
    adjacent = stable + frame.adjacent_agents
    whole = adjacent + frame.two_quartile_or_extreme_swing_agents == frame.total_agents
    middle = (frame.total_agents + 1) // 2
    kind = np.select([middle <= stable, middle <= adjacent], [0, 1], 2)
    off = ~whole | (frame.median_quartile_range.clip(upper=2).astype(int) != kind)
    return CheckedNumber(0.0, float(off.sum()), f"{len(frame)} scenarios")


def transitions(context: Context) -> CheckedNumber:
    """Transitions of July against its episodes, less one for each run."""
    stats = context.data("site_trajectory_stats").set_index(
        ["generated_on", "statistic"]
    )
    july = stats.value.loc["2026-07-28"]
    counted = context.data("site_trajectory_transitions_2026_07_28")["count"].sum()
    note = f"{july.total_episodes:g} episodes of {july.total_runs:g} runs"
    return CheckedNumber(
        float(july.total_episodes - july.total_runs), float(counted), note
    )


STATISTICAL: tuple[Callable[..., CheckedNumber], ...] = (
    sem_factor,
    sem_exceptions,
    propagated_sem,
    whole_runs,
    quartile_denominators,
    budget_share,
    entropy,
    quality_thresholds,
    quality_accuracies,
    quartile_counts,
    transitions,
)
