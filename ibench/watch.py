"""Agent sessions while they run: what one does, and a way to end one cleanly.

Everything is read from files that the session writes anyway, so that looking costs the
session nothing and works from another terminal, a notebook or another host.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ibench.agents.redact import Redactor
from ibench.errors import ParameterError
from ibench.records import Evaluation, Submission
from ibench.status import STOP, last_status
from ibench.store import load_record, run_id_on_disk
from ibench.study import Job, Study

__all__ = ["View", "sessions", "stop_session", "view_lines"]

TAIL_BYTES = 16_384
LINE_KEPT = 100


class View(NamedTuple):
    """One agent session, running or over.

    Attributes:
        left_s: seconds of budget left; None unless it runs.
        evaluations: how many the agent has run so far.
        best: best development objective of a full evaluation.
        tail: last lines of its transcript, keys and home folders taken out.
        tokens: input and output; None before the end, or where nothing counts them.
    """

    cell: str
    phase: str
    left_s: float | None
    evaluations: int
    best: float | None
    tail: tuple[str, ...]
    tokens: int | None
    usd: float | None


def sessions(
    study: Study, lines: int = 3, clock: Callable[[], float] = time.monotonic
) -> list[View]:
    """Look at every agent session that has begun.

    Args:
        study: the profile.
        lines: of each transcript.
        clock: the monotonic seconds of this host, for the time that is left.
    """
    found = []
    for job in _agent_jobs(study):
        if run_id_on_disk(job.folder) == job.run_id:
            found.append(_over(job, lines))
        elif _root(study, job).is_dir():
            found.append(_running(study, job, lines, clock))
    return found


def stop_session(study: Study, cell: str) -> None:
    """Ask one session to end now; what is in its workspace becomes its submission.

    Raises:
        ParameterError: no agent's session of that cell runs.
    """
    for job in _agent_jobs(study):
        if _cell(job) == cell and _root(study, job).is_dir():
            (job.folder / STOP).touch()
            return
    running = [_cell(j) for j in _agent_jobs(study) if _root(study, j).is_dir()]
    remedy = f"no session of it runs; running: {', '.join(running) or 'none'}"
    raise ParameterError(study.profile_path, "cell", cell, remedy)


def view_lines(views: list[View]) -> list[str]:
    """Render sessions for a terminal."""
    lines = []
    for view in views:
        left = "" if view.left_s is None else f", {_minutes(view.left_s)} left"
        best = "" if view.best is None else f", best {view.best:.4g}"
        spent = "" if view.tokens is None else f", {view.tokens:,} tokens"
        spent += "" if view.usd is None else f", {view.usd:.2f} dollars"
        count = f"{view.evaluations} evaluation{'s' if view.evaluations != 1 else ''}"
        lines.append(f"{view.cell}: {view.phase}{left}; {count}{best}{spent}")
        lines += [f"    {line}" for line in view.tail]
    return lines or ["no agent session has begun"]


def _agent_jobs(study: Study) -> list[Job]:
    agents = {m.name for m in study.profile.methods if m.kind == "agent"}
    jobs = study.jobs.values()
    return [
        j
        for j in jobs
        if j.stage == "submission" and j.cell and j.cell.method in agents
    ]


def _cell(job: Job) -> str:
    return job.name.removesuffix(f"/{job.stage}")


def _root(study: Study, job: Job) -> Path:
    """Where the session keeps its workspace until it is over."""
    return study.root / ".work" / job.run_id[:12]


def _running(study: Study, job: Job, lines: int, clock: Callable[[], float]) -> View:
    root = _root(study, job)
    phase, left_s = last_status(job.folder, clock())
    rows = _evaluations(root / "workspace" / "evaluations.jsonl")
    return View(
        _cell(job),
        phase,
        left_s,
        len(rows),
        _best(rows),
        _tail(root / "transcript.log", lines),
        None,
        None,
    )


def _over(job: Job, lines: int) -> View:
    made = load_record(job.folder).result
    if not isinstance(made, Submission):
        raise TypeError(f"{job.name} published another kind of result")
    known = made.input_tokens is not None and made.output_tokens is not None
    return View(
        _cell(job),
        made.outcome,
        None,
        len(made.evaluations),
        made.best_seen,
        _tail(job.folder / "transcript.log", lines),
        (made.input_tokens or 0) + (made.output_tokens or 0) if known else None,
        made.cost_usd,
    )


def _evaluations(path: Path) -> list[Evaluation]:
    """The agent's log so far; a line that is being written is left out."""
    rows: list[Evaluation] = []
    if not path.is_file():
        return rows
    for line in path.read_text(errors="replace").splitlines():
        try:
            values: dict[str, Any] = json.loads(line)
            rows.append(Evaluation.model_validate(values))
        except ValueError:
            continue
    return rows


def _best(rows: list[Evaluation]) -> float | None:
    full = [r.objective for r in rows if not r.quick and r.objective is not None]
    return max(full, default=None)


def _tail(path: Path, lines: int) -> tuple[str, ...]:
    if lines < 1 or not path.is_file():
        return ()
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
        text = Redactor().text(stream.read().decode(errors="replace"))
    shown = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return tuple(line[:LINE_KEPT] for line in shown[-lines:])


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
