"""Join a profile's runs with their trajectories: one card and one page a run."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ibench.analysis.frames import Run
from ibench.analysis.runs import STAGES
from ibench.analysis.site.data import (
    OUTCOMES,
    EpisodeView,
    EvaluationView,
    EventView,
    FamilyPlace,
    FileLink,
    RunCard,
    RunPage,
)
from ibench.analysis.site.families import family_key
from ibench.analysis.site.profile import StudyView, evaluations_of, facts_of
from ibench.analysis.site.trajectories import ListedRun, Replay, ReplayEpisode, Replays
from ibench.store import RECORD

__all__ = ["Entry", "entries", "file_name"]

# What a page holds at most; a longer transcript is read in its own file.
MAX_EPISODES, MAX_EVENTS, MAX_EVIDENCE = 500, 40, 12
MAX_TEXT, MAX_QUOTE = 2000, 200
SCENARIOS = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Entry:
    """A run's card, its page, and a line for what its page leaves out."""

    card: RunCard
    page: RunPage
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Own:
    """A finished run of the profile."""

    run: Run
    speedup: float | None
    links: tuple[FileLink, ...]


def file_name(run_id: str) -> str:
    """A file name for any run id: the id where it is plain, else with its hash.

    Capitals count as not plain: some file systems do not tell them apart.
    """
    plain = re.sub(r"[^a-z0-9._-]+", "-", run_id.lower()).strip("-.")[:80]
    if plain == run_id:
        return f"{plain}.js"
    return f"{plain}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}.js"


def entries(
    profile: StudyView | None,
    trajectories: Replays | None,
    families: tuple[FamilyPlace, ...],
    out: Path,
) -> Iterator[Entry]:
    """Every run once: those of the profile first, then what else has a trajectory."""
    places = {family.key: i for i, family in enumerate(families)}
    listed = trajectories.runs if trajectories else ()
    by_cell = {_cell(run): (run, replay) for run, replay in listed}
    used: set[str] = set()
    for own in _own_runs(profile, out) if profile else ():
        key = (own.run.method, own.run.scenario, own.run.seeds)
        run, replay = by_cell.get(key, (None, None))
        if run is None:
            run = ListedRun(
                id=f"{own.run.scenario}-{own.run.method}-{own.run.seeds}",
                agent=own.run.method,
                scenario=own.run.scenario,
                seeds=own.run.seeds,
            )
        used.add(run.id)
        yield _entry(run, replay, own, places)
    for run, replay in listed:
        if run.id not in used:
            used.add(run.id)
            yield _entry(run, replay, None, places)


def _cell(run: ListedRun) -> tuple[str, str, str]:
    return run.agent, _scenario(run.scenario), run.seeds or ""


def _scenario(name: str) -> str:
    return name.lower() if name.lower() in SCENARIOS else name


def _own_runs(profile: StudyView, out: Path) -> Iterator[_Own]:
    speedups = profile.frame.get("speedup", ())
    for cell, run, value in zip(profile.cells, profile.runs, speedups, strict=True):
        links = []
        for stage in STAGES:
            path = profile.root / cell.path / stage / RECORD
            href = quote(Path(os.path.relpath(path, out)).as_posix())
            links.append(FileLink(label=stage, href=href))
        speedup = None if value != value else float(value)  # noqa: PLR0124 (NaN)
        yield _Own(run, speedup, tuple(links))


def _entry(
    run: ListedRun, replay: Replay | None, own: _Own | None, places: Mapping[str, int]
) -> Entry:
    found = [
        (episode, places[family_key(episode.family)])
        for episode in (replay.episodes if replay else ())
        if family_key(episode.family) in places
    ]
    evaluations = _evaluations(replay, own)
    kept = found[:MAX_EPISODES]
    episodes = tuple(_episode(episode, place) for episode, place in kept)
    outcome = str(own.run.verdict.outcome) if own else (run.outcome or "unknown")
    card = RunCard(
        id=run.id,
        file=file_name(run.id),
        agent=run.agent,
        kind=own.run.kind if own else "agent",
        scenario=_scenario(run.scenario),
        seeds=run.seeds or "",
        outcome=outcome if outcome in OUTCOMES else "unknown",
        speedup=own.speedup if own else run.speedup,
        path=tuple(place for _, place in kept),
        evaluations=len(evaluations),
        links=own.links if own else (),
    )
    page = RunPage(
        id=run.id,
        budget_s=own.run.submission.budget_s if own else run.budget_s,
        objective=own.run.verdict.objective if own else run.objective,
        baseline=own.run.verdict.baseline_objective if own else None,
        engine=run.engine,
        facts=tuple(facts_of(own.run)) if own else (),
        evaluations=evaluations,
        episodes=episodes,
    )
    return Entry(card, page, tuple(_left_out(run, replay, found)))


def _left_out(
    run: ListedRun, replay: Replay | None, found: list[tuple[ReplayEpisode, int]]
) -> Iterator[str]:
    unknown = (len(replay.episodes) if replay else 0) - len(found)
    if unknown:
        yield f"run {run.id!r}: {unknown} episodes of an unknown family are left out"
    if len(found) > MAX_EPISODES:
        text = f"{len(found)} episodes, the first {MAX_EPISODES} are shown"
        yield f"run {run.id!r}: {text}"
    if replay and not replay.episodes:
        yield f"run {run.id!r}: its trajectory has no episodes"


def _evaluations(replay: Replay | None, own: _Own | None) -> tuple[EvaluationView, ...]:
    """From the records where there are any: they say which ones were quick."""
    recorded = evaluations_of(own.run) if own else ()
    if recorded or replay is None:
        return recorded
    return tuple(
        EvaluationView(t_s=e.t_s, objective=e.objective, accuracy=e.accuracy)
        for e in replay.evaluations
    )


def _episode(episode: ReplayEpisode, place: int) -> EpisodeView:
    return EpisodeView(
        index=episode.index,
        family=place,
        tier=episode.tier,
        t_start_s=episode.t_start_s,
        t_end_s=episode.t_end_s,
        confidence=episode.confidence,
        engine=episode.engine,
        score=episode.score,
        summary=episode.summary[:MAX_QUOTE],
        evidence=tuple(text[:MAX_QUOTE] for text in episode.evidence[:MAX_EVIDENCE]),
        events=tuple(
            EventView(
                index=event.index,
                t_s=event.t_s,
                kind=event.kind,
                tool=event.tool,
                text=event.text[:MAX_TEXT],
                truncated=event.truncated or len(event.text) > MAX_TEXT,
            )
            for event in episode.events[:MAX_EVENTS]
        ),
        n_events=len(episode.events),
    )
