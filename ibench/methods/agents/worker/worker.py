"""Drives one Harbor agent; run by the Python of Harbor's own environment.

Requests are JSON lines on standard input, one answer line each on standard output:

``open``        agent, version, model, options, folders and the channel to the sandbox
``setup``       install, or find what is installed
``run``         give the agent its instruction, or with ``resume`` go on where it was
``trajectory``  write ``trajectory.json`` (ATIF) and say what it cost
``dry_run``     list the commands that a run would give, and run none

An answer holds its request's number (``id``) and ``ok``; a failed one also ``error``
(the name of Harbor's exception), ``family`` (its base classes) and ``detail``. Either
holds ``usage``: tokens and cost as they stood after the last run. Secrets come in the
environment.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from harbor.agents.factory import AgentFactory
from harbor.agents.installed.base import BaseInstalledAgent, filter_jsonl_events
from harbor.models.agent.context import AgentContext
from harbor.models.task.config import EnvironmentConfig
from harbor.models.trial.config import AgentConfig
from harbor.models.trial.paths import TrialPaths
from sandbox_environment import DryEnvironment, SandboxEnvironment
from trajectory import Trajectories, copy_logs

DETAIL_LIMIT = 4000


class MissingCliError(RuntimeError):
    """The agent's program is not there, or not in the pinned version."""


class Worker:
    """One agent and the sandbox it works in."""

    def __init__(self, request: dict[str, Any]) -> None:
        """Build agent and environment; raises ValueError for options it lacks."""
        self._request = request
        trial = Path(request["trial_dir"])
        paths = TrialPaths(trial)
        paths.agent_dir.mkdir(parents=True, exist_ok=True)
        self.agent = _agent(request, paths.agent_dir)
        common = {
            "environment_dir": trial,
            "environment_name": "ibench",
            "session_id": request["session_id"],
            "trial_paths": paths,
            "task_env_config": EnvironmentConfig(),
        }
        channel = request.get("channel")
        self.environment: SandboxEnvironment = (
            DryEnvironment(**common)
            if channel is None
            else SandboxEnvironment(**common, channel=channel)
        )
        shown = Path(request["shown"])
        copy_logs(shown, paths.agent_dir)
        self.trajectories = Trajectories(trial, shown)
        self.usage: dict[str, Any] | None = None

    async def setup(self) -> dict[str, Any]:
        """Start the environment and make the agent ready in it."""
        await self.environment.start(force_build=False)
        for place, target in self._request.get("links", {}).items():
            parent, here = Path(place).parent, shlex.quote(place)
            await self.environment.exec(
                f"mkdir -p {parent} && ln -sfn {shlex.quote(target)} {here}"
            )
        check = self._request.get("check")
        if check is not None and isinstance(self.agent, BaseInstalledAgent):
            self.agent.install = self._find_installed
        await self.agent.setup(self.environment)
        # Prices are looked up between turns; the import takes seconds of the budget.
        importlib.import_module("litellm")
        resume = bool(self.agent.capabilities.resume)
        return {"resume": resume, "version": self.agent.version()}

    async def _find_installed(self, environment: SandboxEnvironment) -> None:
        """Stand in for ``install``: nothing is fetched where a pinned CLI is there."""
        check, version = self._request["check"], self._request["version"]
        done = await environment.exec(check)
        said = f"{done.stdout or ''} {done.stderr or ''}".strip()
        if done.return_code != 0:
            raise MissingCliError(
                f"{check}: exit code {done.return_code}: {said[-300:]}"
            )
        if version not in re.findall(r"\d[\w.+-]*\w", said):
            raise MissingCliError(f"{check}: said {said[:100]!r}, pinned is {version}")

    async def run(self, instruction: str, resume: bool) -> dict[str, Any]:
        """Give one instruction and wait for the agent to end."""
        context = AgentContext()
        act = self.agent.resume if resume else self.agent.run
        self.trajectories.expect()
        try:
            with self.environment.scoped_exec_env(self.agent.extra_env):
                await act(instruction, self.environment, context)
        finally:
            self._take(context)
        return {}

    def _take(self, context: AgentContext, *, has_run: bool = True) -> None:
        # What the agent left may be cut off anywhere; the run's own failure counts.
        try:
            self.trajectories.take(self.agent, context, has_run=has_run)
            self.usage = self.trajectories.usage()
        except Exception as error:  # noqa: BLE001 (whatever a half record leads to)
            logging.warning("no trajectory of this run: %r", error)

    def trajectory(self, notes: dict[str, Any]) -> dict[str, Any]:
        """Write the whole session's trajectory; say whether the validator takes it."""
        self._take(AgentContext(), has_run=False)
        found = self.trajectories.write(notes)
        if not self.agent.capabilities.atif:
            found["answered"] = None
        return found

    async def dry_run(self, instruction: str) -> dict[str, Any]:
        """Commands of one run: text, and names and values of their variables."""
        if not isinstance(self.environment, DryEnvironment):
            raise ValueError("a dry run has no channel to a sandbox")
        with self.environment.scoped_exec_env(self.agent.extra_env):
            await self.agent.run(instruction, self.environment, AgentContext())
        return {"commands": self.environment.commands}


def _agent(request: dict[str, Any], logs: Path) -> Any:
    config = AgentConfig(
        name=request["agent"],
        model_name=request["model"],
        kwargs={**request["options"], **_effort(request)},
        env=request.get("env", {}),
    )
    AgentFactory.run_preflight(config)
    extra = {"version": request["version"]} if request.get("version") else {}
    agent = AgentFactory.create_agent_from_config(config, logs_dir=logs, **extra)
    agent.session_id = request["session_id"]
    return agent


def _effort(request: dict[str, Any]) -> dict[str, str]:
    """Name the option that this agent keeps its reasoning effort in."""
    if request.get("effort") is None:
        return {}
    config = AgentConfig(name=request["agent"])
    known = AgentFactory.get_agent_class_from_config(config).options_schema()
    for name in ("reasoning_effort", "variant", "thinking"):
        if name in known["properties"]:
            return {name: request["effort"]}
    raise ValueError(f"agent {request['agent']} has no option for the effort")


def _failure(error: BaseException) -> dict[str, Any]:
    family = [c.__name__ for c in type(error).__mro__ if c is not object]
    detail = " ".join(filter_jsonl_events(str(error), _tells_of_failure).split())
    if len(detail) > DETAIL_LIMIT:
        detail = f"{detail[: DETAIL_LIMIT // 4]} ... {detail[-DETAIL_LIMIT * 3 // 4 :]}"
    return {"ok": False, "error": family[0], "family": family, "detail": detail}


def _tells_of_failure(event: dict[str, Any]) -> bool:
    """Other events carry the model's text and what its commands printed."""
    kind = str(event.get("type", "")).lower()
    named = "error" in kind or "failed" in kind
    return named or bool(event.get("is_error") or event.get("error"))


async def _answer(worker: Worker | None, request: dict[str, Any]) -> dict[str, Any]:
    operation = request.pop("op")
    if worker is None:
        raise ValueError(f"{operation} before open")
    if operation == "trajectory":
        return worker.trajectory(request["notes"])
    found: dict[str, Any] = await getattr(worker, operation)(**request)
    return found


async def main() -> None:
    """Answer one line after the other until the input ends."""
    # Whatever prints to standard output on import would break the protocol.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.disable(logging.INFO)
    loop, worker = asyncio.get_running_loop(), None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        number = request.pop("id")
        try:
            if request["op"] == "open":
                worker, reply = Worker(request), {}
            else:
                reply = await _answer(worker, request)
            reply = {"ok": True, **reply}
        except Exception as error:  # noqa: BLE001 (every failure is an answer)
            reply = _failure(error)
        if worker is not None:
            reply["usage"] = worker.usage
        answers.write(json.dumps({"id": number, **reply}) + "\n")
        answers.flush()


if __name__ == "__main__":
    asyncio.run(main())
