"""Agent trajectories: one event table, facts and episodes by documented rules."""

from ibench.analysis.trajectories.discover import Found, RunFiles, find_runs, read_run
from ibench.analysis.trajectories.episodes import episodes_of
from ibench.analysis.trajectories.events import (
    FAMILIES,
    OPERATIONAL,
    OPTIMIZATION,
    Episode,
    Event,
    Run,
    RunFacts,
)
from ibench.analysis.trajectories.export import export_runs
from ibench.analysis.trajectories.facts import FAILURE_MODES, facts_of
from ibench.analysis.trajectories.folder import write_all
from ibench.analysis.trajectories.labels import Labelled, label_run, labelled_runs
from ibench.analysis.trajectories.public import fetch
from ibench.analysis.trajectories.table import (
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
    "read_run",
    "write_all",
]
