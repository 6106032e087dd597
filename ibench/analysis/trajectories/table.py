"""Events, episodes and facts as tables; events go to Parquet run by run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from ibench.analysis.trajectories.events import AgentRun, Episode, Event, RunFacts

__all__ = [
    "EPISODES",
    "EVENTS",
    "TableWriter",
    "episode_table",
    "event_table",
    "fact_row",
]

EVENTS = pa.schema(
    {
        "run_id": pa.string(),
        "index": pa.int64(),
        "t_s": pa.float64(),
        "kind": pa.string(),
        "source": pa.string(),
        "tool": pa.string(),
        "text": pa.string(),
        "length": pa.int64(),
        "path": pa.string(),
        "exit_code": pa.int64(),
        "is_error": pa.bool_(),
        "call": pa.int64(),
    }
)
EPISODES = pa.schema(
    {
        "run_id": pa.string(),
        "index": pa.int64(),
        "first": pa.int64(),
        "last": pa.int64(),
        "t_start_s": pa.float64(),
        "t_end_s": pa.float64(),
        "family": pa.string(),
        "tier": pa.string(),
        "engine": pa.string(),
        "evidence": pa.string(),
        "confidence": pa.float64(),
        "had_launch": pa.bool_(),
        "had_eval": pa.bool_(),
        "score": pa.float64(),
        "summary": pa.string(),
    }
)
EVIDENCE_MARK = " | "


def event_table(events: Iterable[Event]) -> pa.Table:
    """Put events into an Arrow table of the columns of ``EVENTS``."""
    return _arrow(events, EVENTS)


def episode_table(episodes: Iterable[Episode]) -> pa.Table:
    """Put episodes into an Arrow table of ``EPISODES``; evidence is one text."""
    return _arrow(map(_episode_row, episodes), EPISODES)


def _episode_row(episode: Episode) -> tuple[Any, ...]:
    fields = vars(episode) | {"evidence": EVIDENCE_MARK.join(episode.evidence)}
    return tuple(fields[name] for name in EPISODES.names)


def _arrow(rows: Iterable[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    return pa.table(columns, schema=schema) if columns else schema.empty_table()


class TableWriter:
    """Writes the tables of many runs into one Parquet file, a row group a run."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Open the file beside its final name; it is renamed when complete."""
        self._path, self._part = path, path.with_suffix(".part")
        self._writer = pq.ParquetWriter(self._part, schema, compression="zstd")

    def write(self, table: pa.Table) -> None:
        """Add a table."""
        self._writer.write_table(table)

    def __enter__(self) -> Self:
        """Give the writer."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Finish the file, or take the half of it away after an error."""
        self._writer.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)


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
