"""ATIF, the Agent Trajectory Interchange Format: any 1.x is read.

One JSON document a run: an agent, and steps of a source (system, user, agent) with a
message, tool calls, their observation, a timestamp and token metrics. Reading is
lenient, because versions add fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from ibench.analysis.trajectories.events import AgentRun, outcome_of
from ibench.analysis.trajectories.reading import (
    Item,
    as_code,
    as_dict,
    as_number,
    as_text,
    json_file,
    seconds,
)
from ibench.analysis.trajectories.tools import call_text, exit_code_in

__all__ = ["atif_items", "atif_run", "is_atif"]


def is_atif(path: Path) -> bool:
    """Whether a JSON file says near its start that it is a trajectory."""
    try:
        with path.open("rb") as stream:
            return b'"ATIF-' in stream.read(4096)
    except OSError:
        return False


def atif_run(document: object, run_id: str, source: str) -> AgentRun:
    """Read who, where and how it ended; ``extra`` carries what the format lacks."""
    root = as_dict(document)
    agent, extra = as_dict(root.get("agent")), as_dict(root.get("extra"))
    model = agent.get("model_name")
    name = str(agent.get("name") or "unknown")
    launcher = extra.get("launcher")
    return AgentRun(
        run_id=run_id,
        layout="atif",
        source=source,
        agent=f"{name}/{model}" if model else name,
        scaffold=name,
        scenario=str(extra.get("scenario") or "unknown"),
        seeds=str(extra.get("seeds") or ""),
        budget_s=as_number(extra.get("budget_s")),
        used_s=as_number(extra.get("used_s")),
        outcome=outcome_of(extra.get("outcome")),
        objective=as_number(extra.get("objective")),
        baseline=as_number(extra.get("baseline")),
        launcher=launcher if isinstance(launcher, str) else None,
    )


def atif_items(path: Path, problems: list[str], name: str) -> Iterator[Item]:
    """Read the steps of one trajectory, in order."""
    steps = as_dict(json_file(path)).get("steps")
    if not isinstance(steps, list):
        problems.append(f"{name}: {path.name} is no readable ATIF document")
        return
    broken = 0
    for step in steps:
        if isinstance(step, dict):
            yield from _step_items(step)
        else:
            broken += 1
    if broken:
        problems.append(f"{name}: {broken} steps skipped, not a JSON object")


def _step_items(step: dict[str, Any]) -> Iterator[Item]:
    at, source = seconds(step.get("timestamp")), step.get("source")
    if step.get("reasoning_content"):
        yield Item("reasoning", "agent", as_text(step["reasoning_content"]), at=at)
    if message := as_text(step.get("message")):
        if source == "system":
            yield Item("system", "system", message, at=at)
        else:
            speaker: Literal["user", "agent"] = "user" if source == "user" else "agent"
            yield Item("message", speaker, message, at=at)
    calls = step.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        fields = as_dict(call)
        tool = str(fields.get("function_name"))
        text, path = call_text(tool, fields.get("arguments"))
        call_id = str(fields.get("tool_call_id"))
        yield Item("tool_call", "agent", text, tool, path, at=at, call_id=call_id)
    # The step's stamp is that of the agent's turn; a result may carry its own.
    results = as_dict(step.get("observation")).get("results")
    for result in results if isinstance(results, list) else []:
        yield _result_item(as_dict(result), at)


def _result_item(result: dict[str, Any], at: float | None) -> Item:
    text, extra = as_text(result.get("content")), as_dict(result.get("extra"))
    call_id, code = result.get("source_call_id"), as_code(extra.get("exit_code"))
    own = seconds(extra.get("timestamp"))
    return Item(
        "tool_result",
        "tool",
        text,
        exit_code=exit_code_in(text) if code is None else code,
        at=at if own is None else own,
        call_id=None if call_id is None else str(call_id),
    )
