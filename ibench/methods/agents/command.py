"""``ibench agents``: list, install and rehearse the agents of ``params/agents``."""

from __future__ import annotations

import argparse
import base64
import os
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ibench.errors import IbenchError, ParameterError
from ibench.methods.agents.access import Access, resolve_access
from ibench.methods.agents.install import find, install_cli, install_harbor
from ibench.methods.agents.places import Places, open_request, worker_env
from ibench.methods.agents.redact import Redactor
from ibench.methods.agents.worker_process import Worker, WorkerError
from ibench.params import Agent, HarborAgent
from ibench.params.files import load_yaml, named
from ibench.study.engines import find_pythons

__all__ = ["add_agents", "rehearse"]

LIMIT_S = 60.0
MASK = "****"


def add_agents(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments; return what runs the command."""
    parser.add_argument("--agent", action="append", help="one of them; several times")
    parser.add_argument("--params", default="params")
    parser.add_argument("--cache", default=".cache")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--install", action="store_true", help="fetch the programs")
    what.add_argument(
        "--dry-run", action="store_true", help="print the exact commands, no secret"
    )
    return _agents


def _agents(args: argparse.Namespace) -> int:
    folder, cache = Path(args.params) / "agents", Path(args.cache).absolute() / "agents"
    names = args.agent or sorted(p.stem for p in folder.glob("*.yaml"))
    failed = 0
    if args.install:
        python = find_pythons().get("3.12")
        install_harbor(cache, (folder / "harbor.lock").absolute(), python, print)
    for name in names:
        path = named(folder, name)
        agent = load_yaml(Agent, path)
        if args.install:
            failed += not _install(agent, cache, folder.absolute())
        elif args.dry_run:
            try:
                lines = rehearse(agent, cache, str(path))
            except IbenchError as error:
                lines, failed = [f"no rehearsal: {error}"], failed + 1
            print("\n".join([f"== {name}", *lines]))
        else:
            print(f"{name:24} {_state(agent, cache, str(path))}")
    return 2 if failed else 0


def _install(agent: Agent, cache: Path, locks: Path) -> bool:
    """Whether it worked; one that failed does not keep the others from theirs."""
    if agent.harbor is None:
        return True
    try:
        install_cli(agent, cache, locks, print)
    except IbenchError as error:
        print(f"{agent.name}: {error}")
        return False
    return True


def _state(agent: Agent, cache: Path, source: str) -> str:
    """Whether it could run here, in one line."""
    if agent.harbor is None:
        return "script: ready"
    try:
        find(agent, cache, source)
        resolve_access(agent, os.environ, source)
    except ParameterError as error:
        return f"{error.key}: {error.value}: {error.remedy}"
    return f"{agent.harbor.model}: ready"


def rehearse(agent: Agent, cache: Path, source: str) -> list[str]:
    """List what a first run would execute in the sandbox, secrets masked.

    Nothing is executed and no key is needed; a missing one gets a stand-in.

    Raises:
        ParameterError: Harbor is not installed.
        WorkerError: Harbor refuses the agent's options.
    """
    if agent.harbor is None:
        return [shlex.join(agent.argv)]
    python = find(agent, cache, source, program=False).python
    with tempfile.TemporaryDirectory(prefix="ibench-rehearsal-") as folder:
        access = _stand_ins(agent.harbor, Path(folder))
        commands = _commands(agent.harbor, python, access, Places.below(Path(folder)))
    redactor = Redactor(access.values)
    return [redactor.text(_line(c, agent.harbor)) for c in commands]


def _stand_ins(agent: HarborAgent, folder: Path) -> Access:
    """Keys and logins that look like some and open nothing."""
    env = {name: f"stand-in-for-{name.lower()}" for name in agent.secrets}
    files = {}
    for number, login in enumerate(agent.login_files):
        path = folder / f"login-{number}.json"
        path.write_text("{}")
        if login.variable is not None:
            env[login.variable] = str(path)
        if login.target is not None:
            files[login.target] = path
    return Access(env, files, tuple(env[name] for name in agent.secrets))


def _commands(
    agent: HarborAgent, python: Path, access: Access, places: Places
) -> list[dict[str, Any]]:
    log = places.logs / "worker.log"
    worker = Worker(python, worker_env(access, places), log, None)
    try:
        request = open_request(agent, places, "rehearsal")
        for operation, values in (
            ("open", request),
            ("dry_run", {"instruction": "TASK"}),
        ):
            reply = worker.ask(operation, LIMIT_S, **values)
            if not reply["ok"]:
                raise WorkerError(f"{reply['error']}: {reply['detail'][:300]}")
    finally:
        worker.end()
    commands: list[dict[str, Any]] = reply["commands"]
    return commands


def _line(command: dict[str, Any], agent: HarborAgent) -> str:
    if command["op"] == "put":
        text = base64.b64decode(command["data"]).decode(errors="replace")
        return f"upload {command['path']}: {shlex.quote(text)}"
    shown = {
        name: MASK if name in agent.secrets else value
        for name, value in (command.get("env") or {}).items()
    }
    words = [f"{name}={shlex.quote(value)}" for name, value in shown.items()]
    return " ".join([*words, "bash", "-c", shlex.quote(command["command"])])
