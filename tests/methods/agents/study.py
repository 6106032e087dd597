"""A study of one agent against the scripted model, through the ordinary stages."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from ibench import REPOSITORY
from ibench.errors import ParameterError
from ibench.methods.agents.install import find
from ibench.params import Agent
from ibench.params.files import load_yaml
from ibench.study.definition import Study
from ibench.study.job import OpenJob

CACHE = REPOSITORY / ".cache" / "agents"
KEY = "sk-ant-scripted-key-0123456789abcdef"
CELL, BASE = "a/tried/21-1337", "a/baseline/21-1337"
PROVIDER = {"anthropic": ("ANTHROPIC", ""), "openai": ("OPENAI", "/v1")}


def installed(name: str) -> bool:
    """Whether `make agents` brought an agent's program."""
    path = REPOSITORY / "params" / "agents" / f"{name}.yaml"
    try:
        find(load_yaml(Agent, path), CACHE, str(path))
    except ParameterError:
        return False
    return True


def made_study(
    folder: Path, agent: dict[str, Any], budget_s: float, grace_s: float = 2.0
) -> Study:
    """Write a copy of the smoke profile with one agent, on scenario a."""
    params = folder / "params"
    shutil.copytree(REPOSITORY / "params", params, dirs_exist_ok=True)
    profile_path = params / "profiles" / "smoke.yaml"
    profile = yaml.safe_load(profile_path.read_text())
    profile["scenarios"] = ["a"]
    profile["scale"] = {"a": profile["scale"]["a"]}
    profile["methods"] = [
        {"kind": "agent", "name": "tried", "agent": agent["name"], "prompt": "default"}
    ]
    profile["pairing"] = {"kind": "lives"}  # stages are opened one by one here
    profile["budget"] |= {"agent_s": budget_s, "grace_s": grace_s}
    profile_path.write_text(yaml.safe_dump(profile))
    (params / "agents" / f"{agent['name']}.yaml").write_text(yaml.safe_dump(agent))
    return Study("smoke", params, folder / "results")


def scripted_agent(name: str, url: str, **rules: float) -> dict[str, Any]:
    """An agent's own file, its provider replaced by the scripted model."""
    path = REPOSITORY / "params" / "agents" / f"{name}.yaml"
    agent: dict[str, Any] = yaml.safe_load(path.read_text())
    variable, tail = PROVIDER[agent["harbor"]["model"].partition("/")[0]]
    address = {f"{variable}_BASE_URL": f"{url}{tail}"}
    agent["harbor"]["env"] = agent["harbor"].get("env", {}) | address
    agent["continuation"] = {"min_left_s": 2.0, "idle_turns": 1, "idle_turn_s": 0.0}
    agent["continuation"] |= rules
    return agent


def opened(study: Study, stage: str, cell: str = CELL) -> OpenJob:
    """Open one stage of the study's only agent cell, or of its baseline's."""
    job = OpenJob(study, study.job(f"{cell}/{stage}"))
    job.assets.cache = REPOSITORY / ".cache"
    return job
