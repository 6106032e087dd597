"""Events, episodes and facts as tables; events go to Parquet batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ibench.analysis.trajectories.events import AgentRun, Episode, Event, RunFacts

__all__ = [
    "EPISODE_COLUMNS",
    "EVENT_COLUMNS",
    "EpisodeWriter",
    "EventWriter",
    "episode_frame",
    "episode_table",
    "event_frame",
    "event_table",
    "fact_frame",
    "fact_row",
]

EVENT_COLUMNS: dict[str, str] = {
    "run_id": "string",
    "index": "Int64",
    "t_s": "Float64",
    "kind": "string",
    "source": "string",
    "tool": "string",
    "text": "string",
    "length": "Int64",
    "path": "string",
    "exit_code": "Int64",
    "is_error": "boolean",
    "call": "Int64",
}
EPISODE_COLUMNS: dict[str, str] = {
    "run_id": "string",
    "index": "Int64",
    "first": "Int64",
    "last": "Int64",
    "t_start_s": "Float64",
    "t_end_s": "Float64",
    "family": "string",
    "tier": "string",
    "engine": "string",
    "evidence": "string",
    "confidence": "Float64",
    "had_launch": "boolean",
    "had_eval": "boolean",
    "score": "Float64",
    "summary": "string",
}
_ARROW = {
    "string": pa.string(),
    "Int64": pa.int64(),
    "Float64": pa.float64(),
    "boolean": pa.bool_(),
}
# What is held before a row group is written.
BATCH_BYTES = 16_000_000
BATCH_ROWS = 20_000
EVIDENCE_MARK = " | "


def _schema(columns: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])


_EVENTS, _EPISODES = _schema(EVENT_COLUMNS), _schema(EPISODE_COLUMNS)


def event_table(events: Iterable[Event]) -> pa.Table:
    """Put events into an Arrow table of ``EVENT_COLUMNS``."""
    return _arrow(events, _EVENTS)


def episode_table(episodes: Iterable[Episode]) -> pa.Table:
    """Put episodes into an Arrow table of ``EPISODE_COLUMNS``; evidence is one text."""
    return _arrow(map(_episode_row, episodes), _EPISODES)


def _episode_row(episode: Episode) -> tuple[Any, ...]:
    fields = vars(episode) | {"evidence": EVIDENCE_MARK.join(episode.evidence)}
    return tuple(fields[name] for name in EPISODE_COLUMNS)


def _arrow(rows: Iterable[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    return pa.table(columns, schema=schema) if columns else schema.empty_table()


class TableWriter:
    """Writes the tables of many runs into one Parquet file, holding one batch at most.

    The bytes depend on the tables and their order alone.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, batch_rows: int = BATCH_ROWS
    ) -> None:
        """Open the file beside its final name; it is renamed when complete."""
        self._path, self._part = path, path.with_suffix(".part")
        self._writer = pq.ParquetWriter(self._part, schema, compression="zstd")
        self._batch_rows = batch_rows
        self._held: list[pa.Table] = []

    def write_table(self, table: pa.Table) -> None:
        """Add a table."""
        self._held.append(table)
        rows = sum(t.num_rows for t in self._held)
        if rows >= self._batch_rows or sum(t.nbytes for t in self._held) >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.concat_tables(self._held))
        self._held = []

    def __enter__(self) -> Self:
        """Give the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file, or take the half of it away after an error."""
        if kind is None and self._held:
            self._flush()
        self._writer.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)


class EventWriter(TableWriter):
    """Writes the events of many runs."""

    def __init__(self, path: Path, batch_rows: int = BATCH_ROWS) -> None:
        """Open the file beside its final name; it is renamed when complete."""
        super().__init__(path, _EVENTS, batch_rows)

    def write(self, events: Iterable[Event]) -> None:
        """Add events in order."""
        self.write_table(event_table(events))


class EpisodeWriter(TableWriter):
    """Writes the episodes of many runs; evidence becomes one text."""

    def __init__(self, path: Path, batch_rows: int = BATCH_ROWS) -> None:
        """Open the file beside its final name; it is renamed when complete."""
        super().__init__(path, _EPISODES, batch_rows)

    def write(self, episodes: Iterable[Episode]) -> None:
        """Add episodes in order."""
        self.write_table(episode_table(episodes))


def event_frame(events: Iterable[Event]) -> pd.DataFrame:
    """Put events into a frame of ``EVENT_COLUMNS``."""
    rows = list(events)
    data = {
        name: pd.array([getattr(e, name) for e in rows], dtype=kind)  # type: ignore[call-overload]
        for name, kind in EVENT_COLUMNS.items()
    }
    return pd.DataFrame(data)


def episode_frame(episodes: Iterable[Episode]) -> pd.DataFrame:
    """Put episodes into a frame, one row each; evidence becomes one text."""
    rows = [
        e.model_dump() | {"evidence": EVIDENCE_MARK.join(e.evidence)} for e in episodes
    ]
    return pd.DataFrame(rows, columns=list(Episode.model_fields))


def fact_row(run: AgentRun, facts: RunFacts) -> dict[str, Any]:
    """What a run's row shows: counts instead of events, names instead of models."""
    best = facts.best_seen
    row: dict[str, Any] = {
        "run_id": run.run_id,
        "agent": run.agent,
        "scenario": run.scenario,
        "seeds": run.seeds,
        "outcome": run.outcome,
        "objective": run.objective,
        "speedup": run.speedup,
        "launches": facts.launches.n,
        "relaunches_unchanged": facts.relaunches_unchanged.n,
        "distinct_configs": facts.distinct_configs.n,
        "engine_shipped": facts.engine_shipped,
        "shipped_config": facts.shipped_config,
        "evaluations": facts.evaluations.n,
        "measurements": len(facts.measurements),
        "best_seen": None if best is None else best.value,
        "shipped_value": facts.shipped_value,
        "shipped_measured": facts.shipped_measured,
        "failure_modes": " ".join(sorted(facts.failure_modes)),
    }
    row |= {f"mentions_{t.name}": t.mentioned.n for t in facts.techniques}
    return row | {f"launched_{t.name}": t.launched.n for t in facts.techniques}


def fact_frame(pairs: Sequence[tuple[AgentRun, RunFacts]]) -> pd.DataFrame:
    """Put the facts of runs into a frame, one row each."""
    return pd.DataFrame([fact_row(run, facts) for run, facts in pairs])
