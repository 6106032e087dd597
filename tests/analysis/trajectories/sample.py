"""The hand-labelled sample: read it, run the rules on it, count hits and misses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ibench.analysis.trajectories.episodes import families_of_walk
from ibench.analysis.trajectories.events import AgentRun, Event
from ibench.analysis.trajectories.facts import facts_of_walk
from ibench.analysis.trajectories.reading import Item, number_events
from ibench.analysis.trajectories.rules import launcher_written
from ibench.analysis.trajectories.walk import Step, Walk
from tests.analysis.trajectories.rule_examples import RULES

PATH = Path(__file__).with_name("labelled.jsonl")
SOURCES = {"tool_call": "agent", "tool_result": "tool", "reasoning": "agent"}
SINGLE = (
    "launch",
    "evaluation",
    "benchmark",
    "install",
    "monitor",
    "stop",
    "launcher_written",
    "evaluator_edited",
    "error",
    "measurement",
)


class Score(NamedTuple):
    hits: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float | None:
        found = self.hits + self.wrong
        return self.hits / found if found else None

    @property
    def recall(self) -> float | None:
        real = self.hits + self.missed
        return self.hits / real if real else None


def runs(*parts: str) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    rows = [json.loads(line) for line in PATH.read_text().splitlines()]
    for head in (r for r in rows if "facts" in r):
        if not parts or head["part"] in parts:
            events = [r for r in rows if r["run"] == head["run"] and "index" in r]
            yield head, events


def walk_of(head: dict[str, Any], rows: list[Any]) -> Walk:
    items = (
        Item(
            r["kind"],
            r.get("source", SOURCES.get(r["kind"], "agent")),
            r["text"],
            r["tool"],
            r.get("path"),
            r.get("exit_code"),
        )
        for r in rows
    )
    run = AgentRun(run_id=head["run"], layout="public", source="sample", **head["meta"])
    return Walk(run, list(number_events(head["run"], items)))


def found_labels(walk: Walk) -> list[set[str]]:
    facts = facts_of_walk(walk.run, walk)
    labels = []
    for step in walk.steps:
        found = {r.name for r in RULES if r.applies(step.event)}
        found.discard("measurement")
        found |= {"measurement"} if step.measured else set()
        found |= {f"t:{name}" for name, _ in step.techniques}
        index = step.event.index
        if index in facts.relaunches_unchanged.events:
            found.add("relaunch_unchanged")
        if index in facts.distinct_configs.events:
            found.add("new_config")
        labels.append(found)
    return labels


def scores(*parts: str) -> dict[str, Score]:
    """Hits, wrong and missed labels, rule by rule; of all parts if none is named."""
    table: dict[str, list[int]] = {}
    for head, rows in runs(*parts):
        walk = walk_of(head, rows)
        families = families_of_walk(walk)
        for row, found in zip(rows, found_labels(walk), strict=True):
            real = set(row["labels"])
            if row["family"] and row["kind"] == "tool_call":
                real.add(f"f:{row['family']}")
                found.add(f"f:{families[row['index']]}")
            for name in real | found:
                kind = 0 if name in real & found else 1 if name in found else 2
                table.setdefault(name, [0, 0, 0])[kind] += 1
    return {name: Score(*counts) for name, counts in sorted(table.items())}


def disagreements(*parts: str) -> Iterator[str]:
    for head, rows in runs(*parts):
        walk = walk_of(head, rows)
        families = families_of_walk(walk)
        for row, found in zip(rows, found_labels(walk), strict=True):
            real = set(row["labels"])
            where = f"{row['run']}:{row['index']} {row['text'][:60]!r}"
            for name in sorted(real ^ found):
                yield f"{where} {'missed' if name in real else 'wrong'} {name}"
            if row["family"] and row["kind"] == "tool_call":
                got = families[row["index"]]
                if got != row["family"]:
                    yield f"{where} family {got}, not {row['family']}"


__all__ = ["Event", "Score", "Step", "disagreements", "launcher_written", "runs"]
