"""The published numbers, checked and in the shapes that our own runs have too.

The common shape is the cells frame: one row a method and scenario with columns method,
kind, scenario (a to d), mean, sem, n. ``cells_of`` makes it from any published table
with per-scenario columns, ``paper.compare`` from the records of a profile.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ibench import REPOSITORY
from ibench.analysis.paper.schema import Schema, load_schema, read_table
from ibench.errors import ParameterError
from ibench.files import file_sha256

__all__ = [
    "SCENARIOS",
    "SEED_PAIRS",
    "Published",
    "cells_of",
    "long_of",
    "rows_of",
]

SCENARIOS = ("a", "b", "c", "d")
# Each published cell is the mean over three seed pairs (paper, section 4).
SEED_PAIRS = 3


class Published:
    """The folder of published CSV files, read on demand and checked.

    Args:
        folder: the folder with the files and ``schema.yaml``; a relative path is the
            repository's, because kernels start elsewhere.

    Raises:
        ParameterError: the schema is missing or wrong.
    """

    def __init__(self, folder: Path | str) -> None:
        """Read the schema only."""
        self.folder = REPOSITORY / folder
        self._read: dict[str, pd.DataFrame] = {}

    @cached_property
    def schema(self) -> Schema:
        """The closed schema of all files."""
        return load_schema(self.folder)

    def __call__(self, name: str) -> pd.DataFrame:
        """Return a copy of one file's rows.

        Raises:
            ParameterError: no such file, or one that breaks its schema.
        """
        if name not in self.schema.files:
            raise ParameterError(
                self.folder / "schema.yaml", "files", name, "no such published file"
            )
        if name not in self._read:
            self._read[name] = read_table(self.folder, name, self.schema)
        return self._read[name].copy()

    def source(self, name: str) -> str:
        """Where the numbers of a file were printed."""
        return self.schema.files[name].source

    def edited(self) -> list[str]:
        """Names of files that are not as they were transcribed."""
        return [
            name
            for name, file in self.schema.files.items()
            if file_sha256(self.folder / f"{name}.csv") != file.sha256
        ]


def long_of(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Turn ``a_speedup`` to ``d_sem`` columns into one row a scenario.

    Args:
        frame: one row a method, columns ``<scenario>_speedup`` and, where printed,
            ``<scenario>_sem``.
        names: columns that name a row.
    """
    parts = []
    for scenario in SCENARIOS:
        part = frame[list(names)].copy()
        part["scenario"] = scenario
        part["mean"] = frame[f"{scenario}_speedup"].astype(float)
        sem = f"{scenario}_sem"
        part["sem"] = frame[sem].astype(float) if sem in frame else float("nan")
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def rows_of(frame: pd.DataFrame) -> Iterator[Any]:
    """Rows with columns as attributes; their types are the schema's business."""
    yield from frame.itertuples()


def cells_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells frame of a published leaderboard (columns method and kind)."""
    cells = long_of(frame, "method", "kind")
    # A SEM printed as a dash belongs to the baseline, which is 1 by definition.
    return cells.assign(n=SEED_PAIRS)
