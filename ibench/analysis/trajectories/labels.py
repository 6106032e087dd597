"""A run with everything the rules say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ibench.analysis.trajectories.discover import RunFiles, read_run
from ibench.analysis.trajectories.episodes import episodes_of_walk
from ibench.analysis.trajectories.events import AgentRun, Episode, Event, RunFacts
from ibench.analysis.trajectories.facts import facts_of_walk
from ibench.analysis.trajectories.walk import Walk

__all__ = ["Labelled", "label_run", "problem_of"]


@dataclass(frozen=True)
class Labelled:
    """One run: its events, its episodes, its facts."""

    run: AgentRun
    events: Sequence[Event]
    episodes: Sequence[Episode]
    facts: RunFacts


def label_run(files: RunFiles, problems: list[str]) -> Labelled:
    """Read one run and apply every rule."""
    run, events = read_run(files, problems)
    kept = list(events)
    walk = Walk(run, kept)
    episodes, facts = episodes_of_walk(run, walk), facts_of_walk(run, walk)
    return Labelled(run, kept, episodes, facts)


def problem_of(files: RunFiles, error: Exception) -> str:
    """Say in one line why a run is left out."""
    words = " ".join(str(error).split())[:200]
    return f"{files.run_id}: left out ({type(error).__name__}: {words})"
