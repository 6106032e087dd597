"""Agent trajectories: one event table, facts and episodes by documented rules."""

from ibench.trajectories.command import main
from ibench.trajectories.discover import Found, RunFiles, find_runs, read_run
from ibench.trajectories.episodes import episodes_of
from ibench.trajectories.events import (
    FAMILIES,
    OPERATIONAL,
    OPTIMIZATION,
    Episode,
    Event,
    Run,
    RunFacts,
)
from ibench.trajectories.export import export_runs
from ibench.trajectories.facts import FAILURE_MODES, facts_of
from ibench.trajectories.folder import write_all
from ibench.trajectories.labels import Labelled, label_run, labelled_runs
from ibench.trajectories.public import fetch
from ibench.trajectories.table import (
    EventWriter,
    episode_frame,
    event_frame,
    fact_frame,
)

__all__ = [
    "FAILURE_MODES",
    "FAMILIES",
    "OPERATIONAL",
    "OPTIMIZATION",
    "Episode",
    "Event",
    "EventWriter",
    "Found",
    "Labelled",
    "Run",
    "RunFacts",
    "RunFiles",
    "episode_frame",
    "episodes_of",
    "event_frame",
    "export_runs",
    "fact_frame",
    "facts_of",
    "fetch",
    "find_runs",
    "label_run",
    "labelled_runs",
    "main",
    "read_run",
    "write_all",
]
