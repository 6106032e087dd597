"""Checks that know the paper: its formulas and its tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd

from ibench.analysis.paper.data import SCENARIOS, rows_of
from ibench.analysis.paper.derive import (
    all_aggregates,
    best_of_three,
    geometric,
    implied_costs,
    native_units,
)
from ibench.analysis.paper.selecting import (
    CheckedNumber,
    Context,
    PublishedCell,
    Rows,
    numbers,
    value,
)

__all__ = ["SPECIFIC"]

MEANS = [f"{s}_speedup" for s in SCENARIOS]
BOARD = "paper_table02_leaderboard"
DOLLARS_PER_HOUR = 1.99  # of one H100, as Table 12 says


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
    best = {column: numbers(context, rows, column).max() for column in MEANS}
    again = geometric(pd.DataFrame([best])).iloc[0]
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
    if agent not in set(rows.agent):
        raise context.unknown("agent", agent, rows.agent)
    row = rows[rows.agent == agent].iloc[0]
    empty = sum(math.isnan(row[f"{s}_usd"]) for s in SCENARIOS)
    gpu = context.data("paper_table12_cost").set_index("agent").gpu_usd[agent]
    # A scenario has a quarter of the runs, and each run costs its GPU at least.
    bound = row.known_cells_usd + empty * float(gpu) / len(SCENARIOS)
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


def gpu_usd(context: Context, *, published: PublishedCell, hours: int) -> CheckedNumber:
    """Runs of an agent times hours times the printed price of an hour, USD."""
    prices = context.data("paper_table12_cost")
    runs = numbers(context, Rows(file="paper_table05_structured_prompt"), "total_runs")
    again = float(runs.max()) * hours * DOLLARS_PER_HOUR
    return CheckedNumber(value(context, published), again, f"{len(prices)} agents")


def empty_where_no_gain(context: Context, *, file: str) -> CheckedNumber:
    """Cells that are empty without a mean speedup of 1.00, or printed in spite of one.

    Tables 11 and 13 print nothing where all three runs count as the baseline.
    """
    frame = context.data(file)
    name = "agent" if "agent" in frame else "method"
    means = context.data(BOARD).set_index("method")
    cases, total = [], 0
    for scenario, mean in zip(SCENARIOS, MEANS, strict=True):
        (column,) = [c for c in frame.columns if c.startswith(f"{scenario}_")]
        for row, cell in zip(frame[name], frame[column], strict=True):
            if means.kind[row] == "baseline":
                continue
            total += 1
            if math.isnan(cell) != (means[mean][row] == 1.0):
                cases.append(f"{row} ({scenario.upper()})")
    return CheckedNumber(0.0, float(len(cases)), f"of {total}{_wrong(cases)}")


def _wrong(cases: list[str]) -> str:
    return f"; wrong: {', '.join(cases[:3])}" if cases else ""


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
    unchanged_rows,
    gpu_usd,
    empty_where_no_gain,
)
