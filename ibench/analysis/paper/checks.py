"""Generic checks: two numbers each, the published one and the one obtained here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import pandas as pd

from ibench.analysis.paper.selecting import (
    CheckedNumber,
    Context,
    PublishedCell,
    Rows,
    checked_columns,
    numbers,
    value,
)

__all__ = ["GENERIC"]


def two_numbers(
    context: Context,
    *,
    published: PublishedCell | float,
    obtained: PublishedCell | float,
) -> CheckedNumber:
    """One published number beside another one that should be the same."""
    return CheckedNumber(value(context, published), value(context, obtained))


def total(
    context: Context,
    *,
    published: PublishedCell | float,
    rows: Rows,
    column: str,
    distinct: str | None = None,
) -> CheckedNumber:
    """Sum of a column; ``distinct`` counts rows with the same value there once."""
    summed = numbers(context, rows, column)
    if distinct:
        kept = checked_columns(context, rows, distinct).drop_duplicates(distinct).index
        summed = summed.loc[kept]
    return CheckedNumber(
        value(context, published), float(summed.sum()), f"{len(summed)} rows"
    )


def extreme(
    context: Context,
    *,
    published: PublishedCell | float,
    rows: Rows,
    column: str,
    how: Literal["max", "min", "median"],
) -> CheckedNumber:
    """Largest, smallest or median value of a column."""
    best = numbers(context, rows, column).agg(how)
    return CheckedNumber(value(context, published), float(best))


def percentages(
    context: Context,
    *,
    rows: Rows,
    runs: str,
    percent: str,
    of: PublishedCell | float,
    decimals: int = 1,
) -> CheckedNumber:
    """Rows whose percentage is not that of their count, after rounding."""
    frame = checked_columns(context, rows, runs, percent).dropna(subset=[runs])
    again = 100 * frame[runs].astype(float) / value(context, of)
    off = (frame[percent].astype(float) - again).abs() > 0.5 * 10**-decimals + 1e-9
    note = f"{len(frame)} rows" + named(frame[off])
    return CheckedNumber(0.0, float(off.sum()), note)


def ranks(context: Context, *, rows: Rows, rank: str, by: str) -> CheckedNumber:
    """Rows out of order: a better rank with a smaller value."""
    frame = checked_columns(context, rows, rank, by)
    frame = frame.dropna(subset=[rank]).sort_values(rank)
    wrong = frame[by].astype(float).diff() > 1e-9
    return CheckedNumber(
        0.0, float(wrong.sum()), f"{len(frame)} rows" + named(frame[wrong])
    )


def same_columns(
    context: Context,
    *,
    rows: Rows,
    key: str,
    other: Rows,
    other_key: str,
    columns: dict[str, str],
) -> CheckedNumber:
    """Largest difference between columns of two files, row by row.

    Args:
        context: what may be read.
        rows: the first file's rows.
        key: its column that names a row.
        other: the second file's rows.
        other_key: its column that names the same row.
        columns: column of the first file: column of the second.
    """
    first = checked_columns(context, rows, key, *columns).set_index(key)
    second = checked_columns(context, other, other_key, *columns.values())
    second = second.set_index(other_key)
    shared = [k for k in first.index if k in second.index]
    worst, where = 0.0, ""
    for a, b in columns.items():
        difference = (
            first.loc[shared, a].astype(float) - second.loc[shared, b].astype(float)
        ).abs()
        if len(difference) and difference.max() > worst:
            worst, where = float(difference.max()), f"{difference.idxmax()}, {a}"
    note = f"{len(shared)} rows" + (f"; largest: {where}" if where else "")
    return CheckedNumber(
        0.0 if shared else math.nan, worst if shared else math.nan, note
    )


def transcription(context: Context) -> CheckedNumber:
    """Files whose bytes are not those that were transcribed."""
    edited = context.data.edited()
    return CheckedNumber(0.0, float(len(edited)), ", ".join(f"{e}.csv" for e in edited))


def named(frame: pd.DataFrame) -> str:
    """Text that names up to three rows which break a rule; empty for none."""
    names = [" / ".join(map(str, row[:2])) for row in frame.itertuples(index=False)]
    return f"; wrong: {', '.join(names[:3])}" if names else ""


GENERIC: tuple[Callable[..., CheckedNumber], ...] = (
    two_numbers,
    total,
    extreme,
    percentages,
    ranks,
    same_columns,
    transcription,
)
