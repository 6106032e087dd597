"""Find the runs below a folder and read them, one at a time.

What cannot be read costs one line and no more: the rest goes on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ibench.analysis.trajectories.atif import atif_items, atif_run, is_atif
from ibench.analysis.trajectories.events import AgentRun, Event
from ibench.analysis.trajectories.public import public_items, public_run
from ibench.analysis.trajectories.reading import Item, as_dict, json_file, number_events
from ibench.analysis.trajectories.sessions import is_session, session_items, session_run
from ibench.analysis.trajectories.tools import tool_group
from ibench.errors import UserError

__all__ = ["FoundRuns", "RunFiles", "find_runs", "read_run"]

Layout: TypeAlias = Literal["public", "atif", "session", "stream"]
_TRANSCRIPT = re.compile(r"solve_out_run\d*\.txt|trace\.txt")
# Folders that hold no trajectory but may hold files that look like one.
_SKIPPED = frozenset({".git", "node_modules", "__pycache__", "attempts", "dev"})
_MAX_ID = 120


@dataclass(frozen=True)
class RunFiles:
    """Where one run lies."""

    run_id: str
    layout: Layout
    folder: Path
    events: Path
    source: str


@dataclass(frozen=True)
class FoundRuns:
    """Runs in the order of their paths, and a line for each thing left out."""

    runs: tuple[RunFiles, ...]
    problems: tuple[str, ...]


def find_runs(root: Path) -> FoundRuns:
    """Look for runs of every layout below a folder.

    Raises:
        UserError: the folder does not exist.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; name one that holds trajectories")
    runs: dict[str, RunFiles] = {}
    problems: list[str] = []
    for folder, names, files in os.walk(root, onerror=_note(problems)):
        here = Path(folder)
        found = _run_in(root, here, sorted(files))
        names[:] = [] if found else sorted(set(names) - _SKIPPED)
        if not found and _is_empty_run(here, files, names):
            problems.append(f"{_below(root, here)}: a run folder without a trajectory")
        for run in found:
            if (first := runs.get(run.run_id)) is not None:
                twice = f"{run.source}: run id {run.run_id!r} is taken by "
                problems.append(f"{twice}{first.source}; left out")
            elif run.events.is_file() and run.events.stat().st_size == 0:
                problems.append(f"{run.source}: an empty trajectory")
            else:
                runs[run.run_id] = run
    return FoundRuns(tuple(runs.values()), tuple(problems))


def _note(problems: list[str]) -> Callable[[OSError], None]:
    def note(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be read ({error.strerror})")

    return note


def _below(root: Path, path: Path) -> str:
    text = path.relative_to(root).as_posix()
    return root.name if text == "." else text


def _is_empty_run(folder: Path, files: list[str], names: list[str]) -> bool:
    return "run_meta.json" in files or (not names and folder.name.startswith("run_"))


def _run_in(root: Path, here: Path, files: list[str]) -> list[RunFiles]:
    """The runs that lie in one folder; several only as separate ATIF documents."""
    documents = [n for n in files if n.endswith(".json") and is_atif(here / n)]
    if is_session(here):
        inner = here / "workspace" / "trajectory.json"
        if not documents and is_atif(inner):
            return [_files(root, here, "session", inner)]
        if documents:
            return [_files(root, here, "session", here / documents[0])]
        return [_files(root, here, "session", here / "transcript.log")]
    if "trace.jsonl" in files:
        return [_files(root, here, "public", here / "trace.jsonl")]
    if documents:
        return [
            _files(root, here, "atif", here / n, len(documents) > 1) for n in documents
        ]
    streams = [n for n in files if _TRANSCRIPT.fullmatch(n)]
    return [_files(root, here, "stream", here / n, len(streams) > 1) for n in streams]


def _files(
    root: Path, here: Path, layout: Layout, events: Path, several: bool = False
) -> RunFiles:
    if layout == "public":
        meta = as_dict(json_file(here / "run_meta.json"))
        name = str(meta.get("anon_id") or here.name)
    elif layout == "session":
        name = "-".join(here.resolve().parts[-5:-1])
    else:
        name = _below(root, here / events.stem if several else here)
    run_id = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:_MAX_ID] or "run"
    return RunFiles(run_id, layout, here, events, _below(root, events))


def read_run(files: RunFiles, problems: list[str]) -> tuple[AgentRun, Iterator[Event]]:
    """Open one run.

    Args:
        files: where it lies.
        problems: gets one line for each kind of trouble, while events are taken.
    """
    items: Iterator[Item]
    name, is_document = files.run_id, files.events.suffix == ".json"
    if files.layout == "atif":
        run = atif_run(json_file(files.events), name, files.source)
        items = atif_items(files.events, problems, name)
    elif files.layout == "session":
        run = session_run(files.folder, name, files.source)
        items = (
            atif_items(files.events, problems, name)
            if is_document
            else session_items(files.folder, problems, name)
        )
    else:
        run = public_run(files.folder, name, files.source)
        run = run.model_copy(update={"layout": files.layout})
        items = public_items(files.events, problems, name)
    return run, _guarded(run, number_events(name, items), problems)


def _guarded(
    run: AgentRun, events: Iterator[Event], problems: list[str]
) -> Iterator[Event]:
    """Pass events on; say once what was strange about them."""
    strange: dict[str, int] = {}
    seen = stamped = 0
    try:
        for event in events:
            seen += 1
            stamped += event.t_s is not None
            if event.kind == "tool_call" and tool_group(event.tool) == "unknown":
                tool = event.tool or "without a name"
                strange[tool] = strange.get(tool, 0) + 1
            yield event
    except OSError as error:
        problems.append(f"{run.run_id}: reading stopped ({error.strerror or error})")
    for tool, n in sorted(strange.items()):
        problems.append(
            f"{run.run_id}: unknown tool {tool[:80]!r}, {n} calls kept as text"
        )
    if not seen:
        problems.append(f"{run.run_id}: no event could be read")
    elif not stamped and run.layout != "public":
        problems.append(f"{run.run_id}: no timestamps, times stay unknown")
