"""Read exported trajectories: ``runs.json`` and one ``runs/<id>.json`` a run.

The models say what is needed of those files; fields of a newer exporter are ignored. A
run that cannot be read costs one line, the rest goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ibench.errors import UserError

__all__ = [
    "ListedRun",
    "OwnMeasurement",
    "Replay",
    "ReplayEpisode",
    "Replays",
    "TranscriptEvent",
    "read_replays",
]

RUNS = "runs.json"
LARGEST_BYTES = 64 * 1024 * 1024


class _Foreign(BaseModel):
    """Written by another program: unknown fields are its business."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class ListedRun(_Foreign):
    """One run of ``runs.json``."""

    id: str = Field(min_length=1)
    agent: str = "unknown"
    scenario: str = "unknown"
    seeds: str | None = None
    outcome: str | None = None
    speedup: float | None = None
    objective: float | None = None
    budget_s: float | None = None
    engine: str | None = None
    episodes_file: str | None = None


class OwnMeasurement(_Foreign):
    """A measurement the agent made."""

    t_s: float | None = None
    objective: float | None = None
    accuracy: float | None = None


class TranscriptEvent(_Foreign):
    """One event of the transcript."""

    index: int
    t_s: float | None = None
    kind: str = ""
    tool: str | None = None
    text: str = ""
    truncated: bool = False


class ReplayEpisode(_Foreign):
    """Consecutive events of one intent."""

    index: int
    family: str
    tier: str
    t_start_s: float | None = None
    t_end_s: float | None = None
    confidence: float | None = None
    engine: str | None = None
    score: float | None = None
    summary: str = ""
    evidence: tuple[str, ...] = ()
    events: tuple[TranscriptEvent, ...] = ()


class Replay(_Foreign):
    """One run's file."""

    evaluations: tuple[OwnMeasurement, ...] = ()
    episodes: tuple[ReplayEpisode, ...] = ()


@dataclass(frozen=True)
class Replays:
    """Runs in the order of the list; no replay where the file could not be read."""

    runs: tuple[tuple[ListedRun, Replay | None], ...]
    problems: tuple[str, ...]


ModelT = TypeVar("ModelT")


def read_replays(folder: Path) -> Replays:
    """Read an exported folder.

    Raises:
        UserError: there is no list of runs, or it is not one.
    """
    path = folder / RUNS
    if not path.is_file():
        raise UserError(f"{path}: no such file; export the trajectories to {folder}")
    rows = _parse(TypeAdapter(list[dict[str, object]]), path, RUNS)
    if isinstance(rows, str):
        raise UserError(f"{folder}/{rows}; export the trajectories again")
    seen: set[str] = set()
    runs: list[tuple[ListedRun, Replay | None]] = []
    problems: list[str] = []
    for number, row in enumerate(rows):
        try:
            run = ListedRun.model_validate(row)
        except ValidationError as error:
            problems.append(f"{RUNS}: run {number}: {_first(error)}; it is left out")
            continue
        if run.id in seen:
            problems.append(
                f"{RUNS}: run id {run.id!r} stands twice; the second one is left out"
            )
            continue
        seen.add(run.id)
        replay = _replay(folder, run)
        if isinstance(replay, str):
            problems.append(f"{replay}; run {run.id!r} is shown without a replay")
        runs.append((run, None if isinstance(replay, str) else replay))
    return Replays(tuple(runs), tuple(problems))


def _replay(folder: Path, run: ListedRun) -> Replay | str:
    name = run.episodes_file or f"runs/{run.id}.json"
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        return f"{name}: outside of the exported folder"
    return _parse(TypeAdapter(Replay), path, name)


def _parse(adapter: TypeAdapter[ModelT], path: Path, name: str) -> ModelT | str:
    """The parsed file, or one line that says what is wrong with it."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return f"{name}: larger than {LARGEST_BYTES >> 20} MiB"
        return adapter.validate_json(path.read_bytes())
    except OSError:
        return f"{name}: no such file"
    except ValidationError as error:
        return f"{name}: {_first(error)}"


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in found["loc"])
    return f"{where}: {found['msg']}" if where else str(found["msg"])
