"""A run with everything the rules say of it, and a folder of runs one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ibench.analysis.trajectories.discover import RunFiles, find_runs, read_run
from ibench.analysis.trajectories.episodes import episodes_of_walk
from ibench.analysis.trajectories.events import AgentRun, Episode, Event, RunFacts
from ibench.analysis.trajectories.facts import facts_of_walk
from ibench.analysis.trajectories.walk import Walk

__all__ = ["Labelled", "label_run", "labelled_runs", "problem_of"]


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


def labelled_runs(folder: Path, problems: list[str]) -> Iterator[Labelled]:
    """Label the runs below a folder, holding one at a time.

    A run without a readable event, or one that fails, is left out; ``problems`` says
    so.

    Raises:
        UserError: the folder does not exist.
    """
    found = find_runs(folder)
    problems.extend(found.problems)
    for files in found.runs:
        try:
            labelled = label_run(files, problems)
        except Exception as error:  # noqa: BLE001 (whatever it is, the others go on)
            problems.append(problem_of(files, error))
            continue
        if labelled.events:
            yield labelled


def problem_of(files: RunFiles, error: Exception) -> str:
    """Say in one line why a run is left out."""
    words = " ".join(str(error).split())[:200]
    return f"{files.run_id}: left out ({type(error).__name__}: {words})"
