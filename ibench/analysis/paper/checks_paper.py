"""Checks that know the paper: its formulas, its tables, our runs of its methods."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd

from ibench.analysis.paper.checks import (
    CheckedNumber,
    Context,
    PublishedCell,
    Rows,
    select,
    value,
)
from ibench.analysis.paper.data import SCENARIOS, cells_of, rows_of
from ibench.analysis.paper.derive import (
    aggregate_cells,
    all_aggregates,
    best_of_three,
    geometric,
    implied_costs,
    native_units,
)
from ibench.analysis.paper.runs import aggregate_of, baseline_of

__all__ = ["SPECIFIC"]

MEANS = [f"{s}_speedup" for s in SCENARIOS]
BOARD = "paper_table02_leaderboard"
# A quarter of 12 runs: one scenario's six hours of GPU at 1.99 USD.
GPU_USD_PER_CELL = 3 * 2 * 1.99


def _largest(frame: pd.DataFrame, values: pd.Series) -> pd.Series:
    """The row with the largest absolute value."""
    return frame.iloc[int(np.abs(values.to_numpy(float)).argmax())]


def aggregates(context: Context) -> CheckedNumber:
    """Rows whose aggregate is not the geometric mean of their means, after rounding."""
    rows = all_aggregates(context.data)
    off = rows[rows.excess > 1e-9]
    worst = _largest(rows, rows.deviation)
    note = (
        f"{len(rows)} rows; worst {worst.printed:.2f} against {worst.recomputed:.4f}: "
        f"{worst.row} in {worst.file}"
    )
    if len(off):
        note = "wrong: " + "; ".join(
            f"{r.row} in {r.file} ({r.printed:.2f} against {r.recomputed:.3f})"
            for r in rows_of(off.head(3))
        )
    return CheckedNumber(0.0, float(len(off)), note)


def aggregate_of_maxima(
    context: Context, *, published: PublishedCell | float, rows: Rows
) -> CheckedNumber:
    """Geometric mean of the best value of each scenario."""
    best = select(context, rows)[MEANS].max()
    again = geometric(pd.DataFrame([best]).astype(float)).iloc[0]
    return CheckedNumber(value(context, published), float(again))


def best_of_three_bounds(context: Context) -> CheckedNumber:
    """Table 16 rows outside of what means and SEMs of three seeds allow."""
    rows = context.data("paper_table16_best_of_three").merge(
        best_of_three(context.data(BOARD)), left_on="agent", right_on="method"
    )
    low = rows.bon_aggregate_speedup < rows.bound_low - 0.005
    high = rows.bon_aggregate_speedup > rows.bound_high + 0.005
    off = rows[low | high]
    note = f"{len(rows)} rows" + "".join(f"; wrong: {a}" for a in off.agent)
    return CheckedNumber(0.0, float(len(off)), note)


def cost_totals(context: Context) -> CheckedNumber:
    """Largest difference between API + GPU and the printed total, USD."""
    frame = context.data("paper_table12_cost")
    off = (frame.api_usd + frame.gpu_usd - frame.total_usd).round(6)
    return CheckedNumber(
        0.0, float(off.abs().max()), f"largest: {_largest(frame, off).agent}"
    )


def cost_per_speedup(context: Context) -> CheckedNumber:
    """Largest difference between Table 13 x Table 2, summed, and Table 12, USD."""
    frame = implied_costs(context.data).dropna(subset=["difference_usd"])
    worst = _largest(frame, frame.difference_usd)
    note = f"{len(frame)} agents with four cells; largest: {worst.agent}"
    return CheckedNumber(0.0, abs(float(worst.difference_usd)), note)


def cost_lower_bound(context: Context, *, agent: str) -> CheckedNumber:
    """Printed total against the cells that Table 13 implies, GPU time for the rest."""
    rows = implied_costs(context.data)
    row = rows[rows.agent == agent].iloc[0]
    empty = sum(math.isnan(row[f"{s}_usd"]) for s in SCENARIOS)
    bound = row.known_cells_usd + empty * GPU_USD_PER_CELL
    return CheckedNumber(
        float(row.total_usd), float(bound), "obtained is a lower bound"
    )


def ratios(context: Context) -> CheckedNumber:
    """Table 17 ratios that rounding of their two aggregates cannot explain."""
    frame = context.data("paper_table17_best_functioning")
    seen, final = frame.best_seen_aggregate_speedup, frame.final_aggregate_speedup
    low = (seen - 0.005) / (final + 0.005) - 0.005
    high = (seen + 0.005) / (final - 0.005) + 0.005
    off = frame[(frame.ratio < low - 1e-9) | (frame.ratio > high + 1e-9)]
    note = f"{len(frame)} rows" + "".join(f"; wrong: {a}" for a in off.agent)
    return CheckedNumber(0.0, float(len(off)), note)


def agents_ahead(
    context: Context,
    *,
    searches: Literal["every", "best"],
    over: Literal["aggregate", "scenarios"],
) -> CheckedNumber:
    """Cases in which an agent is ahead of a search (of every one, or of the best)."""
    frame = context.data(BOARD)
    columns = ["aggregate_speedup"] if over == "aggregate" else MEANS
    agents = frame[frame.kind == "agent"].set_index("method")
    search = frame[frame.kind == "search"].set_index("method")
    cases = []
    for column in columns:
        field = search[column]
        for method, speedup in (
            field.items() if searches == "every" else [(field.idxmax(), field.max())]
        ):
            best = agents[column].max()
            if best > speedup:
                name = agents[column].idxmax()
                cases.append(
                    f"{method} {speedup:.2f} < {best:.2f} {name} "
                    f"({column.split('_')[0].upper()})"
                )
    return CheckedNumber(0.0, float(len(cases)), "; ".join(cases))


def derived_native_cells(context: Context) -> CheckedNumber:
    """Cells of Table 11 that equal baseline and mean speedup within 0.3 %."""
    rows = native_units(context.data)
    same = rows.relative_deviation.abs() <= 0.003
    return CheckedNumber(0.0, float(same.sum()), f"of {len(rows)} filled cells")


def native_deviation(context: Context) -> CheckedNumber:
    """Largest relative deviation of a Table 11 cell from baseline and speedup, %."""
    rows = native_units(context.data)
    worst = _largest(rows, rows.relative_deviation)
    note = f"{len(rows)} cells; largest: {worst.method}, {worst.scenario.upper()}"
    return CheckedNumber(0.0, 100 * abs(float(worst.relative_deviation)), note)


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


def unchanged_rows(context: Context, *, published: float) -> CheckedNumber:
    """Agents of the paper whose five numbers still stand in September 2026."""
    names = {"Claude Opus 4.7": "opus-4-7-v2114"}
    later = {r.row_key: r for r in rows_of(context.data("site_v1_0_5_leaderboard"))}
    by_model = {r.model: k for k, r in later.items() if k not in names.values()}
    columns = ["aggregate_speedup", *MEANS]
    kept = []
    board = context.data(BOARD)
    for row in rows_of(board[board.kind == "agent"]):
        now = later.get(names.get(row.method, by_model.get(row.method, "")))
        if now and all(getattr(now, c) == getattr(row, c) for c in columns):
            kept.append(row.method)
    return CheckedNumber(published, float(len(kept)), ", ".join(kept))


def our_aggregate(
    context: Context, *, published: PublishedCell, method: str
) -> CheckedNumber:
    """Aggregate of a method in the records of the profile given on the command line."""
    ours, note = aggregate_of(context.params, context.results, context.profile, method)
    return CheckedNumber(value(context, published), ours, note)


def our_baseline(
    context: Context,
    *,
    published: PublishedCell,
    scenario: str,
    metric: str,
    scale: float,
) -> CheckedNumber:
    """A native-unit baseline in the records of that profile, times ``scale``."""
    ours, note = baseline_of(
        context.params, context.results, context.profile, scenario, metric
    )
    return CheckedNumber(value(context, published), ours * scale, note)


SPECIFIC: tuple[Callable[..., CheckedNumber], ...] = (
    aggregates,
    aggregate_of_maxima,
    best_of_three_bounds,
    cost_totals,
    cost_per_speedup,
    cost_lower_bound,
    ratios,
    agents_ahead,
    derived_native_cells,
    native_deviation,
    sem_factor,
    sem_exceptions,
    propagated_sem,
    whole_runs,
    quartile_denominators,
    unchanged_rows,
    our_aggregate,
    our_baseline,
)
