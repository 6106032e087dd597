"""ATIF, the Agent Trajectory Interchange Format: read any 1.x, write a 1.4 subset.

One JSON document a run: an agent, and steps of a source (system, user, agent) with a
message, tool calls, their observation, a timestamp and token metrics. Reading is
lenient, because versions add fields; what we write is closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue

from ibench.analysis.trajectories.events import AgentRun, Event, outcome_of
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
from ibench.records import Closed

__all__ = [
    "VERSION",
    "AtifAgent",
    "AtifCall",
    "AtifMetrics",
    "AtifObservation",
    "AtifResult",
    "AtifStep",
    "AtifTrajectory",
    "atif_items",
    "atif_run",
    "is_atif",
    "to_atif",
    "write_atif",
]

VERSION = "ATIF-v1.4"


class AtifAgent(Closed):
    """Who acted."""

    name: str
    version: str
    model_name: str | None = None
    extra: dict[str, JsonValue] | None = None


class AtifCall(Closed):
    """One use of a tool."""

    tool_call_id: str
    function_name: str
    arguments: dict[str, JsonValue]


class AtifResult(Closed):
    """What a tool answered."""

    source_call_id: str | None = None
    content: str | None = None


class AtifObservation(Closed):
    """The results of one step."""

    results: tuple[AtifResult, ...]


class AtifMetrics(Closed):
    """Tokens and cost of one step."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None


class AtifStep(Closed):
    """One turn; ``step_id`` counts from 1."""

    step_id: int = Field(ge=1)
    timestamp: str | None = None
    source: Literal["system", "user", "agent"]
    model_name: str | None = None
    message: str
    reasoning_content: str | None = None
    tool_calls: tuple[AtifCall, ...] | None = None
    observation: AtifObservation | None = None
    metrics: AtifMetrics | None = None
    extra: dict[str, JsonValue] | None = None


class AtifTrajectory(Closed):
    """One run."""

    schema_version: str = VERSION
    session_id: str
    agent: AtifAgent
    steps: tuple[AtifStep, ...]
    notes: str | None = None
    extra: dict[str, JsonValue] | None = Field(
        default=None, description="ours: scenario, seeds, budget_s, outcome, ..."
    )


def write_atif(trajectory: AtifTrajectory, path: Path) -> None:
    """Write a trajectory without its empty fields."""
    path.write_text(trajectory.model_dump_json(exclude_none=True, indent=1))


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


def to_atif(run: AgentRun, events: Sequence[Event]) -> AtifTrajectory:
    """Write events as a trajectory: one step an event, results beside their call.

    Cut texts stay cut, and stamps count from the epoch's first second, because events
    keep no wall time.
    """
    results: dict[int, list[Event]] = {}
    for event in events:
        if event.kind == "tool_result" and event.call is not None:
            results.setdefault(event.call, []).append(event)
    kept = [e for e in events if e.kind != "tool_result" or e.call is None]
    steps = [_step(n, e, results.get(e.index, [])) for n, e in enumerate(kept, start=1)]
    known = {
        "scenario": run.scenario,
        "seeds": run.seeds,
        "budget_s": run.budget_s,
        "outcome": run.outcome,
        "objective": run.objective,
        "baseline": run.baseline,
        "launcher": run.launcher,
    }
    return AtifTrajectory(
        session_id=run.run_id,
        agent=AtifAgent(name=run.agent, version="unknown"),
        steps=tuple(steps),
        extra={k: v for k, v in known.items() if v not in {None, ""}},
    )


def _step(n: int, event: Event, results: Sequence[Event]) -> AtifStep:
    stamp = None if event.t_s is None else datetime.fromtimestamp(event.t_s, UTC)
    is_call, is_result = event.kind == "tool_call", event.kind == "tool_result"
    call_id = f"call_{event.index}"
    arguments: dict[str, JsonValue] = {"command": event.text}
    if event.path is not None:
        arguments = {"file_path": event.path, "content": event.text}
    answers = tuple(AtifResult(source_call_id=call_id, content=r.text) for r in results)
    if is_result:
        answers = (AtifResult(content=event.text),)
    return AtifStep(
        step_id=n,
        timestamp=stamp.isoformat() if stamp else None,
        source="agent" if is_call or event.source == "tool" else event.source,
        message=event.text if event.kind in {"message", "system"} else "",
        reasoning_content=event.text if event.kind == "reasoning" else None,
        tool_calls=(
            AtifCall(
                tool_call_id=call_id,
                function_name=event.tool or "unknown",
                arguments=arguments,
            ),
        )
        if is_call
        else None,
        observation=AtifObservation(results=answers) if answers else None,
    )
