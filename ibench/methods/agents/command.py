"""The commands ``agents`` (list, install, rehearse) and ``sessions``."""

from __future__ import annotations

import base64
import os
import shlex
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer import Option

from ibench.errors import IbenchError, ParameterError
from ibench.methods.agents.access import Access, resolve_access
from ibench.methods.agents.install import find, install_cli, install_harbor
from ibench.methods.agents.places import Places, open_request, worker_env
from ibench.methods.agents.redact import Redactor
from ibench.methods.agents.watch import sessions as watched
from ibench.methods.agents.watch import stop_session, view_lines
from ibench.methods.agents.worker_process import WorkerError, WorkerProcess
from ibench.params import Agent, HarborAgent
from ibench.params.files import load_yaml, named
from ibench.params.options import CACHE, PARAMS
from ibench.study.command import with_study
from ibench.study.definition import Study
from ibench.study.engines import find_pythons
from ibench.terminal import Table, follow, show

__all__ = ["agents", "rehearse", "sessions"]

LIMIT_S, LOOK_S = 60.0, 2.0
MASK = "****"


def agents(
    agent: list[str] | None = Option(None, help="One of them; may be given again."),
    params: Path = PARAMS,
    cache: Path = CACHE,
    install: bool = Option(False, "--install", help="Fetch the programs."),
    dry_run: bool = Option(False, "--dry-run", help="Print commands without secrets."),
) -> int:
    """List, install or rehearse agents."""
    if install and dry_run:
        raise ParameterError("agents", "--install", True, "not with --dry-run")
    folder, programs = params / "agents", cache.absolute() / "agents"
    names = agent or sorted(p.stem for p in folder.glob("*.yaml"))
    known = {name: named(folder, name) for name in names}
    if install:
        python = find_pythons().get("3.12")
        install_harbor(programs, (folder / "harbor.lock").absolute(), python, show)
    failed, rows = 0, []
    for name, path in known.items():
        spec = load_yaml(Agent, path)
        try:
            if install and spec.harbor is not None:
                install_cli(spec, programs, folder.absolute(), show)
            elif dry_run:
                show(f"== {name}", *rehearse(spec, programs, str(path)))
            elif not install:
                rows.append((name, _state(spec, programs, str(path))))
        except IbenchError as error:
            # One that failed does not keep the others from theirs.
            show(f"{name}: {error}")
            failed += 1
    show(*([Table(("agent", "state"), rows, header=False)] if rows else []))
    return 2 if failed else 0


@with_study()
def sessions(
    study: Study,
    stop: str | None = Option(None, help="Cell whose session should end now."),
    live: bool = Option(False, "--follow", help="Look again until none runs."),
) -> int:
    """Look at running agent sessions, or stop one."""
    if stop:
        stop_session(study, stop)
        show(f"{stop}: asked to end; its workspace becomes its submission")
    elif live:
        follow(_views(study))
    else:
        show(*view_lines(watched(study)))
    return 0


def _views(study: Study) -> Iterator[list[str]]:
    """Look at the sessions every two seconds, for as long as one runs."""
    while True:
        seen = watched(study)
        yield view_lines(seen)
        if all(view.state != "running" for view in seen):
            return
        time.sleep(LOOK_S)


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
    worker = WorkerProcess(python, worker_env(access, places), log, None)
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
