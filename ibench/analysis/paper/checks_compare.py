"""Checks of comparing sentences: who is ahead of whom, by how much, how often."""

from __future__ import annotations

import statistics
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
    select,
    value,
)

__all__ = ["COMPARING"]

NAMES = ("row_key", "method", "condition", "configuration", "agent", "model")


def difference(
    context: Context,
    *,
    published: PublishedCell | float,
    first: PublishedCell | float,
    second: PublishedCell | float,
) -> CheckedNumber:
    """``first - second`` of two cells."""
    again = value(context, first) - value(context, second)
    return CheckedNumber(value(context, published), again)


def _names(context: Context, rows: Rows) -> pd.Series:
    """What names each row: the first of the columns that name one."""
    frame = select(context, rows)
    column = next((c for c in NAMES if c in frame), frame.columns[0])
    return frame[column].astype(str)


def ratio(
    context: Context,
    *,
    published: PublishedCell | float,
    over: PublishedCell | float,
    under: PublishedCell | float,
    scale: float = 1.0,
) -> CheckedNumber:
    """``scale * over / under`` of two cells; a scale of 100 gives percent."""
    first, second = value(context, over), value(context, under)
    return CheckedNumber(
        value(context, published), scale * first / second, f"{first:g} / {second:g}"
    )


def sum_of(
    context: Context,
    *,
    published: PublishedCell | float,
    terms: tuple[PublishedCell, ...],
) -> CheckedNumber:
    """Sum of some cells; a negative ``scale`` subtracts."""
    parts = [value(context, term) for term in terms]
    note = " + ".join(f"{part:g}" for part in parts)
    return CheckedNumber(value(context, published), sum(parts), note)


def number_of_rows(
    context: Context,
    *,
    published: PublishedCell | float,
    rows: Rows,
    distinct: str | None = None,
    filled: str | None = None,
) -> CheckedNumber:
    """How many rows there are.

    Args:
        context: what may be read.
        published: how many there should be.
        rows: which.
        distinct: rows with the same value in this column count once.
        filled: rows with an empty cell in this column do not count.
    """
    frame = checked_columns(context, rows, *(c for c in (distinct, filled) if c))
    frame = frame.dropna(subset=[filled]) if filled else frame
    frame = frame.drop_duplicates(distinct) if distinct else frame
    return CheckedNumber(value(context, published), float(len(frame)))


def place(
    context: Context, *, published: float, of: PublishedCell, rows: Rows
) -> CheckedNumber:
    """Place of one cell among the rows: one more than the rows that are larger."""
    own = value(context, of)
    field = numbers(context, rows, of.column)
    larger = field > own + 1e-9
    names = _names(context, rows)[larger]
    note = f"of {len(field)} rows" + (
        f"; ahead: {', '.join(names[:3])}" if len(names) else ""
    )
    return CheckedNumber(published, float(larger.sum() + 1), note)


def ahead(
    context: Context,
    *,
    published: PublishedCell | float,
    rows: Rows,
    others: Rows,
    columns: dict[str, str],
    of: Literal["every", "any", "pairs"],
) -> CheckedNumber:
    """How many cells of the rows are larger than those of other rows.

    Args:
        context: what may be read.
        published: how many the source says, or a bound of it.
        rows: whose cells are counted.
        others: what they are compared with.
        columns: column of the rows: column of the others.
        of: ``every``: larger than all others; ``any``: than one of them; ``pairs``:
            pairs of a row and another are counted.
    """
    count, total, cases = 0, 0, []
    for column, other in columns.items():
        ours, theirs = numbers(context, rows, column), numbers(context, others, other)
        if of == "pairs":
            count += sum(int((ours > bound).sum()) for bound in theirs)
            total += len(ours) * len(theirs)
            continue
        bound = theirs.max() if of == "every" else theirs.min()
        larger = ours > bound
        count, total = count + int(larger.sum()), total + len(ours)
        cases += [
            f"{name} {own:g} > {bound:g}"
            for name, own in zip(
                _names(context, rows)[larger], ours[larger], strict=True
            )
        ]
    note = f"of {total}" + (f": {', '.join(cases[:3])}" if cases else "")
    return CheckedNumber(value(context, published), float(count), note)


def not_above(
    context: Context,
    *,
    published: float,
    before: Rows,
    after: Rows,
    key: str,
    columns: tuple[str, ...],
) -> CheckedNumber:
    """Cells that are not larger in the second condition than in the first.

    Args:
        context: what may be read.
        published: how many the source says.
        before: rows of the first condition.
        after: rows of the second, one or several for each of the first.
        key: column that pairs them.
        columns: the cells compared.
    """
    cases, total = [], 0
    for column in columns:
        first = numbers(context, before, column)
        first.index = pd.Index(checked_columns(context, before, key)[key])
        second = numbers(context, after, column)
        names = checked_columns(context, after, key)[key]
        for name, then in zip(names, second, strict=True):
            total += 1
            if then <= first[name] + 1e-9:
                cases.append(f"{name} {first[name]:g} to {then:g} ({column})")
    note = f"of {total}" + (f": {', '.join(cases[:3])}" if cases else "")
    return CheckedNumber(published, float(len(cases)), note)


def largest_ratio(
    context: Context, *, published: float, rows: Rows, over: str, under: str
) -> CheckedNumber:
    """Largest quotient of two columns, row by row."""
    quotient = numbers(context, rows, over) / numbers(context, rows, under)
    return CheckedNumber(published, float(quotient.max()), f"{len(quotient)} rows")


def distribution(
    context: Context,
    *,
    published: PublishedCell | float,
    rows: Rows,
    values: str,
    weights: str,
    how: Literal["mean", "median"],
) -> CheckedNumber:
    """Mean or median of a printed distribution; ``3+`` counts as 3, the least it is."""
    sizes = [
        int(text.rstrip("+")) for text in checked_columns(context, rows, values)[values]
    ]
    shares = numbers(context, rows, weights)
    if how == "mean":
        pairs = zip(sizes, shares, strict=True)
        again = sum(n * w for n, w in pairs) / float(shares.sum())
    else:
        counts = [round(w) for w in shares]  # whole percents
        drawn = [n for n, c in zip(sizes, counts, strict=True) for _ in range(c)]
        again = float(statistics.median(drawn))
    return CheckedNumber(value(context, published), again)


COMPARING: tuple[Callable[..., CheckedNumber], ...] = (
    difference,
    ratio,
    sum_of,
    number_of_rows,
    place,
    ahead,
    not_above,
    largest_ratio,
    distribution,
)
