"""A folder of runs as tables: each run by itself, then everything in order.

A run is read and labelled in one of several processes, which gives back Arrow tables
and counts. The parent puts them into the files run by run, so that these are the same
whatever the number of processes.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from ibench.analysis.trajectories import summary
from ibench.analysis.trajectories.discover import RunFiles, find_runs
from ibench.analysis.trajectories.events import Count, Family, RunFacts
from ibench.analysis.trajectories.export import render_run, write_list
from ibench.analysis.trajectories.labels import label_run, problem_of
from ibench.analysis.trajectories.pool import available_processes, in_order
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

# To start a process takes as long as to label some ten megabytes.
BYTES_A_PROCESS = 16_000_000


@dataclass(frozen=True)
class Written:
    """What is left of a folder of runs when its tables are written.

    Attributes:
        problems: what could not be read, a line each.
        table: one row a run, see ``table.fact_row``.
        facts: facts without the numbers and indices of events, which can be many.
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


def write_all(folder: Path, out: Path, processes: int | None = 1) -> Written:
    """Label every run below a folder and write what is known of it.

    Writes ``events.parquet``, ``episodes.parquet``, ``runs.parquet``,
    ``transitions.csv``, and the viewer's ``runs.json`` and ``runs/``. The bytes do not
    depend on ``processes``.

    Args:
        folder: runs of any layout below it.
        out: folder to write.
        processes: how many label at once; with None as many as there are cores, fewer
            if there is little to read. More than one start fresh interpreters: a
            script needs its ``if __name__ == "__main__"``.

    Raises:
        UserError: there is no such folder, no run in it, or no process allowed.
    """
    if processes is not None and processes < 1:
        raise UserError(f"processes: {processes} is too few; give 1 or more")
    found = find_runs(folder)
    problems, kept = list(found.problems), list[_Counts]()
    parts = _parts(found.runs, out, processes or _worth(found.runs), problems)
    with closing(parts):
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


def _worth(runs: Sequence[RunFiles]) -> int:
    """As many processes as there are cores, fewer for little to read."""
    size = sum(r.events.stat().st_size for r in runs if r.events.is_file())
    return max(1, min(available_processes(), size // BYTES_A_PROCESS))


def _parts(
    runs: Sequence[RunFiles], out: Path, processes: int, problems: list[str]
) -> Generator[_RunTables]:
    work = functools.partial(_part_of, out=out)
    with closing(in_order(work, runs, processes)) as results:
        for files, result in zip(runs, results, strict=True):
            if result is None:
                problems.append(f"{files.run_id}: left out, its process died")
                continue
            part, own = result
            problems.extend(own)
            if part is not None:
                yield part


def _part_of(files: RunFiles, out: Path) -> tuple[_RunTables | None, list[str]]:
    """Label one run and write its file for the viewer; what fails is a problem.

    Raises:
        OSError: the file cannot be written, which the next run could not either.
    """
    problems: list[str] = []
    try:
        with _no_collection():
            made = _made(files, problems)
    except Exception as error:  # noqa: BLE001 (whatever it is, the others go on)
        return None, [*problems, problem_of(files, error)]
    if made is None:
        return None, problems
    part, document = made
    write_atomic(out / str(part.counts.shown["episodes_file"]), document)
    return part, problems


def _made(files: RunFiles, problems: list[str]) -> tuple[_RunTables, bytes] | None:
    """What is kept of a run; its events are let go on return."""
    labelled = label_run(files, problems)
    if not labelled.events:
        return None
    shown, document = render_run(labelled)
    counts = _Counts(
        shown=shown,
        row=fact_row(labelled.run, labelled.facts),
        facts=_slim(labelled.facts),
        families=tuple(e.family for e in labelled.episodes),
    )
    events, episodes = event_table(labelled.events), episode_table(labelled.episodes)
    return _RunTables(events, episodes, counts), document


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave out searches for cycles: a run is many small objects and has none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _slim(facts: RunFacts) -> RunFacts:
    """Facts with counts only: 300 runs of them must fit beside one whole run."""
    techniques = tuple(
        t.model_copy(
            update={"mentioned": _bare(t.mentioned), "launched": _bare(t.launched)}
        )
        for t in facts.techniques
    )
    names = ("launches", "relaunches_unchanged", "distinct_configs", "evaluations")
    bare = {name: _bare(getattr(facts, name)) for name in names}
    modes = dict.fromkeys(facts.failure_modes, ())
    update = {"measurements": (), "techniques": techniques, "failure_modes": modes}
    return facts.model_copy(update=update | bare)


def _bare(count: Count) -> Count:
    return Count(n=count.n)
