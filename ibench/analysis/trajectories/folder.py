"""A folder of runs as tables: each run by itself, then everything in order.

A run is read, labelled, written and let go before the next one is read.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from ibench.analysis.trajectories import summary
from ibench.analysis.trajectories.discover import RunFiles, find_runs
from ibench.analysis.trajectories.events import Family, RunFacts
from ibench.analysis.trajectories.export import render_run, write_list
from ibench.analysis.trajectories.labels import label_run, problem_of
from ibench.analysis.trajectories.table import (
    EPISODES,
    EVENTS,
    TableWriter,
    episode_table,
    event_table,
    fact_row,
)
from ibench.errors import UserError
from ibench.files import write_atomic

__all__ = ["Written", "write_all"]


@dataclass(frozen=True)
class Written:
    """What is left of a folder of runs when its tables are written.

    Attributes:
        problems: what could not be read, a line each.
        table: one row a run, see ``table.fact_row``.
        facts: what every run did.
    """

    problems: list[str]
    table: pd.DataFrame
    facts: list[RunFacts]


@dataclass(frozen=True)
class _Counts:
    """What is kept of a run until the last one is read."""

    shown: dict[str, Any]
    row: dict[str, Any]
    facts: RunFacts
    families: tuple[Family, ...]


@dataclass(frozen=True)
class _RunTables:
    """What one run adds to the tables."""

    events: pa.Table
    episodes: pa.Table
    counts: _Counts


def write_all(folder: Path, out: Path) -> Written:
    """Label every run below a folder and write what is known of it.

    Writes ``events.parquet``, ``episodes.parquet``, ``runs.parquet``,
    ``transitions.csv``, and the viewer's ``runs.json`` and ``runs/``.

    Args:
        folder: runs of any layout below it.
        out: folder to write.

    Raises:
        UserError: there is no such folder or no run in it.
    """
    found = find_runs(folder)
    problems, kept = list(found.problems), list[_Counts]()
    parts = _parts(found.runs, out, problems)
    first = next(parts, None)
    if first is None:
        why = f" ({problems[0]})" if problems else ""
        raise UserError(f"{folder}: no readable trajectory below it{why}")
    out.mkdir(parents=True, exist_ok=True)
    with (
        TableWriter(out / "events.parquet", EVENTS) as events,
        TableWriter(out / "episodes.parquet", EPISODES) as episodes,
    ):
        for part in chain([first], parts):
            events.write(part.events)
            episodes.write(part.episodes)
            kept.append(part.counts)
    write_list([counts.shown for counts in kept], out)
    frame = pd.DataFrame([counts.row for counts in kept])
    frame.to_parquet(out / "runs.parquet", index=False)
    moves = summary.transitions(counts.families for counts in kept)
    moves.to_csv(out / "transitions.csv")
    return Written(problems, frame, [counts.facts for counts in kept])


def _parts(
    runs: Sequence[RunFiles], out: Path, problems: list[str]
) -> Generator[_RunTables]:
    """Label runs and write each one's file for the viewer; what fails is a problem.

    Raises:
        OSError: a file cannot be written, which the next run could not either.
    """
    for files in runs:
        try:
            made = _made(files, problems)
        except Exception as error:  # noqa: BLE001 (whatever it is, the others go on)
            problems.append(problem_of(files, error))
            continue
        if made is not None:
            part, document = made
            write_atomic(out / str(part.counts.shown["episodes_file"]), document)
            yield part


def _made(files: RunFiles, problems: list[str]) -> tuple[_RunTables, bytes] | None:
    """What is kept of a run; its events are let go on return."""
    labelled = label_run(files, problems)
    if not labelled.events:
        return None
    shown, document = render_run(labelled)
    counts = _Counts(
        shown=shown,
        row=fact_row(labelled.run, labelled.facts),
        facts=labelled.facts,
        families=tuple(e.family for e in labelled.episodes),
    )
    events, episodes = event_table(labelled.events), episode_table(labelled.episodes)
    return _RunTables(events, episodes, counts), document
