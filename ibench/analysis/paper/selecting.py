"""Which published numbers a claim names; a name that does not exist is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import Field

from ibench.analysis.paper.data import Published
from ibench.errors import ParameterError, unknown_name
from ibench.records import Closed

__all__ = [
    "CheckedNumber", "Context", "PublishedCell", "Rows", "checked_columns", "numbers",
    "select", "value",
]  # fmt: skip


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
    """What a check may read, and which claim it is made for.

    Attributes:
        data: the published numbers.
        params: parameter folder; the claims stand in its ``claims.yaml``.
        results: results root with our records.
        profile: study whose records are checked too, or None.
        claim: id of the claim, named in what is refused.
    """

    data: Published
    params: Path
    results: Path
    profile: str | None
    claim: str = "-"

    def unknown(self, key: str, value: str, known: Iterable[str]) -> ParameterError:
        """Make the one line for a name that the published files do not have."""
        return unknown_name(self.params / "claims.yaml", self.at(key), value, known)

    def at(self, key: str) -> str:
        """Place a key of this claim has in its file, for messages."""
        return f"{self.claim}.arguments.{key}"


@dataclass(frozen=True)
class CheckedNumber:
    """What was printed, what came out here; unknown is NaN.

    Attributes:
        published: as it stands in the source.
        obtained: from the published data, or from our records.
        note: what the numbers were taken from, or what breaks the claim.
        unlike: why our records cannot be held against the source, if so.
    """

    published: float
    obtained: float
    note: str = ""
    unlike: str = ""


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
        ParameterError: a file, a column or a value that does not exist, for example a
            model that the file does not have.
    """
    if rows.file not in context.data.schema.files:
        raise context.unknown("file", rows.file, context.data.schema.files)
    frame = whole = context.data(rows.file)
    without = rows.without if isinstance(rows, Rows) else {}
    for key, chosen, keep in (("where", rows.where, True), ("without", without, False)):
        for column, text in chosen.items():
            if column not in whole:
                raise context.unknown(f"{rows.file}.{key}", column, whole.columns)
            known = sorted(set(_texts(whole[column].dropna())))
            if text not in known:
                raise context.unknown(f"{rows.file}.{key}.{column}", text, known)
            frame = frame[(_texts(frame[column]) == text) == keep]
    return frame


def checked_columns(
    context: Context, rows: Rows | PublishedCell, *columns: str
) -> pd.DataFrame:
    """The rows that a claim names, if they have these columns.

    Raises:
        ParameterError: as ``select``, or a column does not exist.
    """
    frame = select(context, rows)
    for column in columns:
        if column not in frame:
            raise context.unknown(f"{rows.file}.column", str(column), frame.columns)
    return frame


def numbers(context: Context, rows: Rows | PublishedCell, column: str) -> pd.Series:
    """A column of the rows that a claim names, as numbers.

    Raises:
        ParameterError: as ``select``, or the column does not exist or holds texts.
    """
    frame = checked_columns(context, rows, column)
    try:
        return frame[column].astype(float)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            context.params / "claims.yaml", context.at(f"{rows.file}.column"), column,
            "holds texts; name a column of numbers",
        ) from error  # fmt: skip


def value(context: Context, cell: PublishedCell | float) -> float:
    """The number in a cell, or a number as it is.

    Raises:
        ParameterError: the claim does not name exactly one row.
    """
    if not isinstance(cell, PublishedCell):
        return float(cell)
    column = numbers(context, cell, cell.column)
    if len(column) != 1:
        raise ParameterError(
            context.params / "claims.yaml", context.at(f"{cell.file}.where"),
            dict(cell.where), f"names {len(column)} rows, not one",
        )  # fmt: skip
    return float(column.iloc[0]) * cell.scale
