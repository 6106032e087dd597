"""Generic checks: two numbers each, the published one and the one obtained here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from ibench.analysis.paper.data import Published
from ibench.errors import ParameterError
from ibench.records import Closed

__all__ = ["GENERIC", "CheckedNumber", "Context", "PublishedCell", "Rows", "select"]


class PublishedCell(Closed):
    """One published cell: file, the row's key, column."""

    file: str
    where: dict[str, str] = Field(description="column: value; must name one row")
    column: str
    scale: float = 1.0


class Rows(Closed):
    """Some rows of a published file."""

    file: str
    where: dict[str, str] = Field(default={}, description="column: value")
    without: dict[str, str] = Field(default={}, description="column: value")


@dataclass(frozen=True)
class Context:
    """What a check may read."""

    data: Published
    params: Path
    results: Path
    profile: str | None


@dataclass(frozen=True)
class CheckedNumber:
    """What was printed, what came out here; unknown is NaN."""

    published: float
    obtained: float
    note: str = ""


def _texts(column: pd.Series) -> pd.Series:
    """Cells as they stand in the file, for comparison with a claim's text."""
    if column.dtype == bool:
        return column.map({True: "true", False: "false"})
    if column.dtype == float:
        return column.map(lambda x: f"{x:g}")
    return column.astype(str)


def select(context: Context, rows: Rows | PublishedCell) -> pd.DataFrame:
    """The rows that a claim names; ``tau: 0.95`` is written as text.

    Raises:
        ParameterError: a column that the file does not have.
    """
    frame = context.data(rows.file)
    without = rows.without if isinstance(rows, Rows) else {}
    for column, value in [*rows.where.items(), *without.items()]:
        if column not in frame:
            raise ParameterError("claims.yaml", rows.file, column, "no such column")
        same = _texts(frame[column]) == value
        frame = frame[same if column in rows.where else ~same]
    return frame


def value(context: Context, cell: PublishedCell | float) -> float:
    """The number in a cell, or a number as it is.

    Raises:
        ParameterError: the claim does not name exactly one row.
    """
    if not isinstance(cell, PublishedCell):
        return float(cell)
    frame = select(context, cell)
    if len(frame) != 1 or cell.column not in frame:
        raise ParameterError(
            "claims.yaml", f"{cell.file}.{cell.column}", dict(cell.where),
            f"names {len(frame)} rows, not one",
        )  # fmt: skip
    return float(frame[cell.column].iloc[0]) * cell.scale


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
    frame = select(context, rows)
    frame = frame.drop_duplicates(distinct) if distinct else frame
    return CheckedNumber(
        value(context, published), float(frame[column].sum()), f"{len(frame)} rows"
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
    column_ = select(context, rows)[column].astype(float)
    return CheckedNumber(value(context, published), float(column_.agg(how)))


def percentages(
    context: Context,
    *,
    rows: Rows,
    runs: str,
    percent: str,
    of: int,
    decimals: int = 1,
) -> CheckedNumber:
    """Rows whose percentage is not that of their count, after rounding."""
    frame = select(context, rows).dropna(subset=[runs])
    again = 100 * frame[runs].astype(float) / of
    off = (frame[percent].astype(float) - again).abs() > 0.5 * 10**-decimals + 1e-9
    note = f"{len(frame)} rows" + _named(frame[off])
    return CheckedNumber(0.0, float(off.sum()), note)


def ranks(context: Context, *, rows: Rows, rank: str, by: str) -> CheckedNumber:
    """Rows out of order: a better rank with a smaller value."""
    frame = select(context, rows).dropna(subset=[rank]).sort_values(rank)
    wrong = frame[by].astype(float).diff() > 1e-9
    return CheckedNumber(
        0.0, float(wrong.sum()), f"{len(frame)} rows" + _named(frame[wrong])
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
    first = select(context, rows).set_index(key)
    second = select(context, other).set_index(other_key)
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


def rows_above(
    context: Context, *, published: float, rows: Rows, column: str, limit: PublishedCell
) -> CheckedNumber:
    """How many rows lie above a cell."""
    frame, bound = select(context, rows), value(context, limit)
    return CheckedNumber(
        published,
        float((frame[column].astype(float) > bound).sum()),
        f"above {bound:g}",
    )


def transcription(context: Context) -> CheckedNumber:
    """Files whose bytes are not those that were transcribed."""
    edited = context.data.edited()
    return CheckedNumber(0.0, float(len(edited)), ", ".join(f"{e}.csv" for e in edited))


def _named(frame: pd.DataFrame) -> str:
    """Name up to three rows that break a rule."""
    names = [" / ".join(map(str, row[:2])) for row in frame.itertuples(index=False)]
    return f"; wrong: {', '.join(names[:3])}" if names else ""


GENERIC: tuple[Callable[..., CheckedNumber], ...] = (
    two_numbers,
    total,
    extreme,
    percentages,
    ranks,
    same_columns,
    rows_above,
    transcription,
)
