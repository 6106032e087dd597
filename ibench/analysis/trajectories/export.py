"""Runs as JSON for the static viewer: one list, one file a run.

The shape is a contract with the viewer: ``docs/trajectories.md`` names every key.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from ibench.analysis.trajectories.events import AgentRun, Episode, Event, RunFacts
from ibench.analysis.trajectories.labels import Labelled
from ibench.files import write_atomic

__all__ = [
    "TEXT_LIMIT",
    "render_run",
    "write_list",
]

TEXT_LIMIT = 2000


def render_run(labelled: Labelled) -> tuple[dict[str, Any], bytes]:
    """Give a run's row of the list, and the text of its own file."""
    run, facts = labelled.run, labelled.facts
    row = _row(run, facts, len(labelled.events))
    document = {k: v for k, v in row.items() if k != "episodes_file"}
    document["evaluations"] = _evaluations(facts)
    document["episodes"] = [_episode(e, labelled.events) for e in labelled.episodes]
    return row, orjson.dumps(document)


def write_list(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write the list of runs."""
    write_atomic(folder / "runs.json", orjson.dumps(list(rows)))


def _row(run: AgentRun, facts: RunFacts, n_events: int) -> dict[str, Any]:
    return {
        "id": run.run_id,
        "agent": run.agent,
        "scenario": run.scenario,
        "seeds": run.seeds,
        "outcome": run.outcome,
        "speedup": run.speedup,
        "objective": run.objective,
        "budget_s": run.budget_s,
        "engine": facts.engine_shipped,
        "n_events": n_events,
        "episodes_file": f"runs/{run.run_id}.json",
    }


def _evaluations(facts: RunFacts) -> list[dict[str, Any]]:
    return [
        {"t_s": m.t_s, "objective": m.value, "accuracy": m.accuracy}
        for m in facts.measurements
        if m.metric == "objective" and m.is_evaluation
    ]


def _episode(episode: Episode, events: Sequence[Event]) -> dict[str, Any]:
    return {
        "index": episode.index,
        "family": episode.family,
        "tier": episode.tier,
        "t_start_s": episode.t_start_s,
        "t_end_s": episode.t_end_s,
        "confidence": episode.confidence,
        "engine": episode.engine,
        "score": episode.score,
        "summary": episode.summary,
        "evidence": list(episode.evidence),
        "events": [_event(e) for e in events[episode.first : episode.last + 1]],
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "index": event.index,
        "t_s": event.t_s,
        "kind": event.kind,
        "tool": event.tool,
        "text": _shown(event.text),
        "truncated": event.is_cut or len(event.text) > TEXT_LIMIT,
    }


def _shown(text: str) -> str:
    if len(text) <= TEXT_LIMIT:
        return text
    half = (TEXT_LIMIT - 5) // 2
    return f"{text[:half]}\n...\n{text[-half:]}"
