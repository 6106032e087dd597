"""Agent sessions while they run: what one does, and a way to end one cleanly.

Everything is read from files that the session writes anyway, so that looking costs the
session nothing and works from another terminal, a notebook or another host.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from ibench.errors import CorruptResultError, ParameterError
from ibench.methods.agents.links import read_head
from ibench.methods.agents.redact import Redactor
from ibench.records import Evaluation, Submission
from ibench.store import load_record, run_id_on_disk
from ibench.study.definition import Job, Study
from ibench.study.progress import STATUS, STOP, last_status, minutes

__all__ = ["State", "View", "sessions", "status_lines", "stop_session", "view_lines"]

State: TypeAlias = Literal["running", "waiting", "over"]
SAVED = "session.json"  # written while it runs, and what it goes on from
TAIL_BYTES = 16_384
EVALUATIONS_BYTES = 16 * 2**20
LINE_KEPT = 100
# Colours and cursor movements: a transcript must not act on who looks at it.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")


class View(NamedTuple):
    """One agent session.

    Attributes:
        state: ``waiting`` was preempted, or stopped by its provider.
        phase: what it does; how it ended, once it is over.
        left_s: seconds of budget left; None unless it runs.
        evaluations: how many the agent has run so far.
        best: best development objective of a full evaluation.
        tail: last lines of its transcript, keys and home folders taken out.
        tokens: input and output, of the turns that have ended; None before the first
            end of a turn, or where nothing counts them.
        usd: of the same turns.
    """

    cell: str
    state: State
    phase: str
    left_s: float | None
    evaluations: int
    best: float | None
    tail: tuple[str, ...]
    tokens: int | None = None
    usd: float | None = None


def sessions(
    study: Study,
    lines: int = 3,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> list[View]:
    """Look at every agent session that has begun.

    Args:
        study: the profile.
        lines: of each transcript.
        clock: the monotonic seconds of this host, for the time that is left.
    """
    found = []
    for job in _agent_jobs(study):
        if _is_open(study, job):
            # One that ends just now takes its files away: the next look finds it over.
            with suppress(FileNotFoundError):
                found.append(_unfinished(study, job, lines, clock()))
        elif (view := _over(job, lines)) is not None:
            found.append(view)
    return found


def stop_session(study: Study, cell: str) -> None:
    """Ask one session to end now; what is in its workspace becomes its submission.

    Raises:
        ParameterError: no agent's session of that cell runs.
    """
    jobs = {_cell(j): j for j in _agent_jobs(study) if _runs(study, j)}
    if cell in jobs:
        (jobs[cell].folder / STOP).touch()
        return
    remedy = f"no session of it runs; running: {', '.join(jobs) or 'none'}"
    raise ParameterError(study.profile_path, "cell", cell, remedy)


def view_lines(views: list[View]) -> list[str]:
    """Render sessions for a terminal."""
    lines = []
    for view in views:
        left = "" if view.left_s is None else f", {minutes(view.left_s)} left"
        best = "" if view.best is None else f", best {view.best:.4g}"
        spent = "" if view.tokens is None else f", {view.tokens:,} tokens"
        spent += "" if view.usd is None else f", {view.usd:.2f} dollars"
        if spent and view.state != "over":
            spent += " in the turns that ended"
        count = f"{view.evaluations} evaluation{'s' if view.evaluations != 1 else ''}"
        lines.append(f"{view.cell}: {view.phase}{left}; {count}{best}{spent}")
        lines += [f"    {line}" for line in view.tail]
    return lines or ["no agent session has begun"]


def status_lines(views: list[View]) -> list[str]:
    """Render sessions below a table of stages; nothing where none has begun.

    What an ended session said last is of no interest there.
    """
    brief = [v._replace(tail=()) if v.state == "over" else v for v in views]
    return ["", "agent sessions:", *view_lines(brief), ""] if views else []


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


def _is_open(study: Study, job: Job) -> bool:
    """Whether a session has begun and has no record; a relaunch uses its folder."""
    if not _root(study, job).is_dir():
        return False
    try:
        return run_id_on_disk(job.folder) != job.run_id
    except CorruptResultError:
        return False


def _runs(study: Study, job: Job) -> bool:
    """Whether it is under way; one that waits left its status to an earlier attempt."""
    root = _root(study, job)
    waits = (root / SAVED).exists() and not (job.folder / STATUS).exists()
    return _is_open(study, job) and not waits


def _unfinished(study: Study, job: Job, lines: int, now: float) -> View:
    root, runs = _root(study, job), _runs(study, job)
    phase, left_s = last_status(job.folder, now)
    if not runs:
        phase, left_s = "waits to be run again", None
    elif (job.folder / STOP).exists():
        phase += ", asked to end"
    rows = _evaluations(root / "workspace" / "evaluations.jsonl")
    return View(
        _cell(job),
        "running" if runs else "waiting",
        phase,
        left_s,
        len(rows),
        _best(rows),
        _tail(root / "transcript.log", lines),
        *_spent(root / "usage.json"),
    )


def _over(job: Job, lines: int) -> View | None:
    """A finished session; None if there is none. A broken record hides no other."""
    try:
        if run_id_on_disk(job.folder) != job.run_id:
            return None
        made = load_record(job.folder).result
    except CorruptResultError:
        return View(_cell(job), "over", "its record is broken", None, 0, None, ())
    if not isinstance(made, Submission):
        raise TypeError(f"{job.name} published another kind of result")
    return View(
        _cell(job),
        "over",
        made.outcome,
        None,
        len(made.evaluations),
        made.best_seen,
        _tail(job.folder / "transcript.log", lines),
        _sum(made.input_tokens, made.output_tokens),
        made.cost_usd,
    )


def _spent(path: Path) -> tuple[int | None, float | None]:
    """Tokens and dollars as Harbor's driver noted them after the last turn."""
    try:
        noted = json.loads(path.read_text())
    except (OSError, ValueError):
        return None, None
    return _sum(noted["n_input_tokens"], noted["n_output_tokens"]), noted["cost_usd"]


def _sum(read: int | None, written: int | None) -> int | None:
    return None if read is None or written is None else read + written


def _evaluations(path: Path) -> list[Evaluation]:
    """The agent's log so far; a line that is being written is left out."""
    rows: list[Evaluation] = []
    data = read_head(path, EVALUATIONS_BYTES) or b""
    for line in data.decode(errors="replace").splitlines():
        try:
            rows.append(Evaluation.model_validate_json(line))
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
    shown = [_plain(line) for line in text.splitlines()]
    return tuple(line[:LINE_KEPT] for line in shown if line)[-lines:]


def _plain(line: str) -> str:
    words = " ".join(CONTROL.sub("", line).split())
    return "".join(c for c in words if c.isprintable())
