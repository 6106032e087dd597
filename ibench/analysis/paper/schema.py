"""Closed schemas of the published CSV files; one line for whatever breaks them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field, model_validator

from ibench.errors import ParameterError
from ibench.params.files import load_yaml
from ibench.records import Closed

__all__ = ["ColumnType", "FileSchema", "Schema", "load_schema", "read_table"]

OPTIONAL = " or empty"


class ColumnType(Closed):
    """What may stand in the cells of a column."""

    kind: Literal["text", "number", "integer", "boolean"]
    low: float | None = Field(None, description="smallest value, included")
    high: float | None = Field(None, description="largest value, included")
    values: tuple[str, ...] = Field((), description="the only texts allowed")


class FileSchema(Closed):
    """One file: where its numbers come from and what its columns hold."""

    content: str
    source: str = Field(description="where the numbers were printed")
    key: tuple[str, ...] = Field(description="columns that name a row")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="file as transcribed")
    columns: dict[str, str] = Field(description="column: its type")


class Schema(Closed):
    """Every published file; types are named once."""

    types: dict[str, ColumnType]
    files: dict[str, FileSchema]

    @model_validator(mode="after")
    def _types_exist(self) -> Schema:
        for name, file in self.files.items():
            for column, kind in file.columns.items():
                if kind.removesuffix(OPTIONAL) not in self.types:
                    raise ValueError(f"{name}.{column}: no type {kind!r}")
            if not set(file.key) <= set(file.columns):
                raise ValueError(f"{name}: a key column is not a column")
        return self


def load_schema(folder: Path) -> Schema:
    """Read ``schema.yaml`` beside the files it describes."""
    return load_yaml(Schema, folder / "schema.yaml")


def read_table(folder: Path, name: str, schema: Schema) -> pd.DataFrame:
    """Read one published file, every cell checked.

    Empty cells become missing values; optional integers use pandas' nullable type.

    Raises:
        ParameterError: missing file, missing or unknown column, bad or doubled value.
    """
    path, file = folder / f"{name}.csv", schema.files[name]
    header, rows = _raw(path)
    _check_header(path, header, list(file.columns))
    columns = {}
    for i, (column, text) in enumerate(file.columns.items()):
        kind, optional = schema.types[text.removesuffix(OPTIONAL)], OPTIONAL in text
        cells = [
            _cell(path, f"line {line}, {column}", row[i], kind, optional=optional)
            for line, row in enumerate(rows, start=2)
        ]
        columns[column] = pd.Series(cells, dtype=_dtype(kind, optional=optional))
    frame = pd.DataFrame(columns)
    doubled = frame.duplicated(subset=list(file.key))
    if doubled.any():
        line = int(doubled.to_numpy().argmax())
        value = " / ".join(str(frame[k][line]) for k in file.key)
        raise ParameterError(
            path,
            f"line {line + 2}, {', '.join(file.key)}",
            value,
            "stands twice; a key names one row",
        )
    return frame


def _raw(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
    except OSError as error:
        raise ParameterError(path, "-", "-", error.strerror or "unreadable") from error
    except (ValueError, csv.Error) as error:
        raise ParameterError(path, "-", "-", "not a CSV file in UTF-8") from error
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ParameterError(
                path, f"line {line}", len(row), f"must have {len(header)} cells"
            )
    return header, rows


def _check_header(path: Path, found: list[str], wanted: list[str]) -> None:
    for column in wanted:
        if column not in found:
            raise ParameterError(path, "column", column, "missing; restore the column")
    for column in found:
        if column not in wanted:
            raise ParameterError(path, "column", column, "unknown; see schema.yaml")
    if found != wanted:
        raise ParameterError(
            path, "column", found[0], f"columns must stand as {', '.join(wanted)}"
        )


def _dtype(kind: ColumnType, *, optional: bool) -> str:
    if kind.kind == "integer":
        return "Int64" if optional else "int64"
    if kind.kind == "boolean":
        return "boolean" if optional else "bool"
    return "float64" if kind.kind == "number" else "object"


def _cell(
    path: Path, key: str, text: str, kind: ColumnType, *, optional: bool
) -> str | float | int | bool | None:
    """Turn one cell into a value of its column's type."""
    if text == "":
        if optional:
            return None
        raise ParameterError(path, key, text, "empty; the column needs a value")
    if kind.kind == "text":
        if kind.values and text not in kind.values:
            raise ParameterError(path, key, text, f"one of {', '.join(kind.values)}")
        return text
    if kind.kind == "boolean":
        if text not in ("true", "false"):
            raise ParameterError(path, key, text, "must be true or false")
        return text == "true"
    try:
        value = int(text) if kind.kind == "integer" else float(text)
    except ValueError as error:
        raise ParameterError(path, key, text, f"is no {kind.kind}") from error
    low = kind.low if kind.low is not None else float("-inf")
    high = kind.high if kind.high is not None else float("inf")
    if not low <= value <= high:
        raise ParameterError(path, key, text, f"must lie in [{low:g}, {high:g}]")
    return value
