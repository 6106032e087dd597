"""What an agent is told and what it finds: prompt, machine, starting point."""

from __future__ import annotations

import shutil
from pathlib import Path

from ibench.methods.agents.workspace import render_prompt
from ibench.methods.folder import write_launcher
from ibench.params import AgentMethod
from ibench.params.engines import load_engine
from ibench.serving.engines import launcher_script
from ibench.serving.environments import built
from ibench.serving.launch import LAUNCHER
from ibench.study.job import OpenJob
from ibench.study.live import cores_of
from ibench.study.stage import describe_host

__all__ = ["ORIGINAL", "budget_text", "task_text", "warm_start"]

ORIGINAL = "start_server_original.sh"
_INSTALLED = (
    "Python with torch and transformers (`transformers serve`), and the baseline's "
    "server (`python -m ibench.serving.reference`)"
)


def task_text(job: OpenJob, method: AgentMethod) -> str:
    """Render the prompt of a method and its conditions.

    The machine is what this host has, not what the profile hopes for.

    Raises:
        ParameterError: a template uses a variable that does not exist.
    """
    study, scenario = job.study, job.scenario.workload
    values = {
        "model_id": study.model.model_id,
        "scenario_name": scenario.name,
        "mission": scenario.mission,
        "budget": budget_text(study.budget.agent_s),
        "hardware": _hardware(job),
        "installed": _installed(job),
        "forced_engine": _plain(method.forced_engine),
        "warm_engine": _plain(method.warm_engine),
    }
    names = "+".join((method.prompt, *method.conditions))
    return render_prompt(study.method_prompt(method), values, names)


def _hardware(job: OpenJob) -> str:
    """This host, and how many of its cores are the server's."""
    cores = cores_of(job)
    if cores is None:
        return describe_host()
    count = len(cores.servers)
    share = f"{count} core{'s' if count > 1 else ''} for you and the server"
    return f"{describe_host()}; {share}, the rest for the load client"


def budget_text(seconds: float) -> str:
    """Write a budget for people: whole hours and minutes as such."""
    for size, name in ((3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds:g} seconds"


def warm_start(job: OpenJob, method: AgentMethod, workspace: Path) -> None:
    """Put a working launcher into the workspace, and a copy of it beside."""
    if method.warm_engine is None:
        return
    engine = job.study.engine(method.warm_engine)
    write_launcher(workspace, launcher_script(engine, dict(engine.defaults)))
    shutil.copy2(workspace / LAUNCHER, workspace / ORIGINAL)


def _installed(job: OpenJob) -> str:
    """The workbench, and the engines that are built on this host."""
    folder = job.assets.cache / "engines"
    engines = [
        engine
        for name in job.study.process_patterns
        if (engine := load_engine(job.study.params, name)).environment
        and built(engine, folder)
    ]
    more = [f"{e.name} {e.version} in `$ENGINES/{e.name}/bin`" for e in engines]
    return "; ".join([_INSTALLED, *more])


def _plain(engine: str | None) -> str:
    """Name an engine without the build that this host needs."""
    return (engine or "").removesuffix("-cpu")
