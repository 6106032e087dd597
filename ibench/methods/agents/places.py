"""Where a Harbor agent finds what it needs: folders, variables, its description."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ibench.methods.agents.access import Access
from ibench.methods.agents.install import Installed
from ibench.methods.agents.links import own_path
from ibench.params import HarborAgent
from ibench.serving.sandbox import Sandbox

__all__ = ["HOME", "Places", "open_request", "with_agent", "worker_env"]

HOME = "/tmp/private/home"  # noqa: S108 (the sandbox's own)
LOGS, AGENT = "/logs", "agent"


@dataclass(frozen=True)
class Places:
    """Folders of one session on the host; they outlast a preemption.

    Attributes:
        home: the agent's home folder.
        shown: what the agent writes down (``/logs`` inside).
        logs: what Harbor makes of it, out of the agent's reach: it could lay links
            where the host is about to write.
        transcript: everything the agent printed.
    """

    home: Path
    shown: Path
    logs: Path
    transcript: Path

    @classmethod
    def below(cls, root: Path) -> Places:
        """Make them below one folder."""
        names = ("home", "shown", "logs", "transcript.log")
        places = cls(*(root / name for name in names))
        places.home.mkdir(parents=True, exist_ok=True)
        for logs in (places.shown, places.logs):
            own_path(logs, AGENT).mkdir(parents=True, exist_ok=True)
        return places


def open_request(agent: HarborAgent, places: Places, session_id: str) -> dict[str, Any]:
    """What the worker needs to know of an agent; no secret is in it."""
    return {
        "agent": agent.agent,
        "version": agent.cli.version,
        "model": agent.model,
        "effort": agent.effort,
        "options": agent.options,
        "env": agent.env,
        "trial_dir": str(places.logs),
        "shown": str(places.shown / AGENT),
        "session_id": session_id,
    }


def worker_env(access: Access, places: Places) -> dict[str, str]:
    """Environment of Harbor's worker: this agent's keys, and no other's."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        # Harbor looks for logins and caches in the home of who runs it.
        "HOME": str(places.logs),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Prices of models: the list that LiteLLM brings, not one from the network.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        **access.env,
    }


def with_agent(
    sandbox: Sandbox, installed: Installed, places: Places, state: dict[str, Path]
) -> Sandbox:
    """Add program, home, logs and state to what a sandbox shows.

    Args:
        sandbox: what it shows otherwise.
        installed: the agent's program.
        places: home and logs.
        state: further folders of the host, by their path in the sandbox.
    """
    mounts = {HOME: places.home, LOGS: places.shown, **state}
    read_only = [*sandbox.read_only, *installed.folders]
    env = {**sandbox.env, "HOME": HOME}
    if installed.bin is not None:
        env["PATH"] = f"{installed.bin}:{installed.path}"
    return sandbox.model_copy(
        update={
            "mounts": {**sandbox.mounts, **mounts},
            "read_only": tuple(read_only),
            "env": env,
        }
    )
