"""Our own agent sessions: a stage folder with its workspace, and the verdict beside it.

An agent that writes ATIF is read from that. A scripted one leaves its output, the list
of its evaluations and its launcher; those become events: one call of
``./test_server.sh`` and its result an evaluation, one message a line of output. The
output has no times, so it comes after the evaluations.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ibench.analysis.trajectories.events import AgentRun, outcome_of
from ibench.analysis.trajectories.reading import (
    Item,
    as_dict,
    as_number,
    json_file,
    json_rows,
)
from ibench.methods.agents.links import read_head

__all__ = ["is_session", "session_items", "session_run"]

OUTPUT_LIMIT = 8 * 1024 * 1024
LAUNCHER_LIMIT = 1024 * 1024


def is_session(folder: Path) -> bool:
    """Whether a folder is what the submission stage leaves of an agent's session."""
    return (folder / "workspace" / "session.json").is_file()


def session_run(folder: Path, run_id: str, source: str) -> AgentRun:
    """Read the records of the submission and, one folder on, of its gating."""
    outer = as_dict(as_dict(json_file(folder / "record.json")).get("record"))
    result, spec = as_dict(outer.get("result")), as_dict(outer.get("spec"))
    given = as_dict(as_dict(outer.get("provenance")).get("parameters"))
    gating = as_dict(
        as_dict(json_file(folder.parent / "gating" / "record.json")).get("record")
    )
    verdict = as_dict(gating.get("result"))
    text = _launcher(folder)
    return AgentRun(
        run_id=run_id,
        layout="session",
        source=source,
        agent=str(result.get("method") or as_dict(spec.get("method")).get("name") or "")
        or folder.parent.parent.name
        or "unknown",
        scaffold="ibench",
        scenario=str(given.get("scenario") or _scenario(spec) or "unknown"),
        seeds=str(given.get("seeds") or ""),
        budget_s=as_number(result.get("budget_s")),
        used_s=as_number(result.get("used_s")),
        outcome=outcome_of(verdict.get("outcome")),
        objective=as_number(verdict.get("objective")),
        baseline=as_number(verdict.get("baseline_objective")),
        launcher=text,
        launcher_sha256=None
        if text is None
        else hashlib.sha256(text.encode()).hexdigest(),
    )


def _scenario(spec: dict[str, Any]) -> str:
    return str(as_dict(spec.get("scenario")).get("id") or "")


def _launcher(folder: Path) -> str | None:
    """The launcher; a link of the agent's is followed to nothing but its submission."""
    submission = folder / "submission"
    path = Path(os.path.realpath(submission / "start_server.sh"))
    data = None
    if path.is_relative_to(submission.resolve()):
        data = read_head(path, LAUNCHER_LIMIT)
    if data is None:
        data = read_head(folder / "workspace" / "start_server.sh", LAUNCHER_LIMIT)
    return None if data is None else data.decode("utf-8", "replace")


def session_items(folder: Path, problems: list[str], name: str) -> Iterator[Item]:
    """Make items of a session's evaluations, then of its output."""
    # Evaluations are stamped on the session's clock; its zero makes that the run's.
    yield Item("system", "system", "session started", at=0.0)
    evaluations = folder / "workspace" / "evaluations.jsonl"
    if evaluations.is_file() and not evaluations.is_symlink():
        for n, row in enumerate(json_rows(evaluations, problems, name)):
            yield from _evaluation_items(row, n)
    output = folder / "transcript.log"
    if not output.is_file():
        problems.append(f"{name}: no transcript.log, evaluations only")
        return
    with output.open("rb") as stream:
        data = stream.read(OUTPUT_LIMIT + 1)
    if len(data) > OUTPUT_LIMIT:
        problems.append(f"{name}: transcript.log read up to {OUTPUT_LIMIT >> 20} MiB")
    for line in data[:OUTPUT_LIMIT].decode("utf-8", "replace").splitlines():
        if line.strip():
            yield Item("message", "agent", line)


def _evaluation_items(row: dict[str, Any], n: int) -> Iterator[Item]:
    """One evaluation: the call names the launcher by hash, the result its numbers."""
    quick = " --quick" if row.get("quick") is True else ""
    launcher = str(row.get("launcher_sha256") or "unknown")
    command = f"./test_server.sh{quick}  # start_server.sh sha256:{launcher[:12]}"
    call_id = f"evaluation-{n}"
    yield Item("tool_call", "agent", command, "shell", call_id=call_id)
    objective = as_number(row.get("objective"))
    shown = {k: row.get(k) for k in ("objective", "accuracy", "quick")}
    note = str(row.get("note") or "")
    text = json.dumps(shown) if objective is not None else f"no measurement: {note}"
    yield Item(
        "tool_result",
        "tool",
        text,
        exit_code=0 if objective is not None else 1,
        at=as_number(row.get("t_s")),
        call_id=call_id,
    )
