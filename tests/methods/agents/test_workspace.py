"""The agent's side for real: workspace, evaluator, scripted agents, in the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from ibench import REPOSITORY
from ibench.methods.agents.careful import CHANGES, ORDER, judge
from ibench.methods.agents.driver import ScriptDriver
from ibench.methods.agents.evaluator import EvaluatorConfig
from ibench.methods.agents.launchers import Setup, write_launcher
from ibench.methods.agents.session import Session, run_session
from ibench.methods.agents.workspace import (
    build_workspace,
    evaluator_hashes,
    take_submission,
)
from ibench.params import Continuation
from ibench.records import Evaluation
from ibench.serving.processes import free_port
from ibench.serving.sandbox import Sandbox, detect
from ibench.study.assets import Assets
from ibench.study.definition import Study

pytestmark = pytest.mark.spread


@pytest.fixture
def workspace(tmp_path: Path, model_dir: Path) -> Path:
    """A workspace of scenario A of the smoke profile."""
    study = Study("smoke", REPOSITORY / "params", tmp_path / "results")
    assets = Assets(study, REPOSITORY / ".cache")
    scenario = study.scenarios["a"].workload
    config = EvaluatorConfig(
        scenario=scenario,
        measure=study.profile.measure,
        development_seed=21,
        quick_requests=2,
        question_concurrency=4,
        model_dir=str(model_dir),
        model_id=study.model.model_id,
    )
    folder = tmp_path / "workspace"
    build_workspace(
        folder,
        config,
        assets.requests(scenario, 21, "dev"),
        assets.requests(scenario, 21, "warmup", 2),
        assets.questions("dev"),
        "the task",
    )
    return folder


def run(workspace: Path, model_dir: Path, *argv: str, budget_s: float) -> Session:
    env = {
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "MODEL_PATH": str(model_dir),
        "MODEL_ID": "ibench/embedded-mistral",
    }
    sandbox = Sandbox(workdir=workspace, read_only=(model_dir,), env=env, network=False)
    transcript = workspace.parent / "transcript.log"
    return run_session(
        ScriptDriver(argv, sandbox, detect(), transcript),
        workspace,
        "the task",
        budget_s=budget_s,
        grace_s=1.0,
        rules=Continuation(),
    )


def evaluations(workspace: Path) -> list[Evaluation]:
    path = workspace / "evaluations.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [TypeAdapter(Evaluation).validate_json(line, strict=True) for line in lines]


def test_the_stub_has_no_measurement_and_says_why(
    workspace: Path, model_dir: Path
) -> None:
    session = run(workspace, model_dir, "./test_server.sh", budget_s=30)
    assert session.outcome == "crashed"
    (row,) = evaluations(workspace)
    assert row.objective is None
    assert "ended before its port answered" in row.note


@pytest.mark.slow
def test_quick_is_quick_and_every_evaluation_is_logged(
    workspace: Path, model_dir: Path
) -> None:
    write_launcher(Setup(), workspace)
    before = evaluator_hashes(workspace)
    script = "./test_server.sh --quick && ./test_server.sh && ./timer.sh"
    session = run(workspace, model_dir, "bash", "-c", script, budget_s=90)
    transcript = (workspace.parent / "transcript.log").read_text()
    assert session.outcome == "finished", transcript
    quick, full = evaluations(workspace)
    assert (quick.quick, quick.requests, quick.accuracy) == (True, 2, None)
    assert (full.quick, full.requests) == (False, 6)
    assert 0.5 <= (full.accuracy or 0) <= 1.0
    assert 0 < quick.t_s < full.t_s < session.used_s
    assert quick.launcher_sha256 == full.launcher_sha256
    assert "s left" in transcript
    assert evaluator_hashes(workspace) == before


@pytest.mark.slow
def test_first_working_leaves_a_launcher_that_answered(
    workspace: Path, model_dir: Path
) -> None:
    argv = ["python", "-m", "ibench.methods.agents.first_working"]
    session = run(workspace, model_dir, *argv, budget_s=60)
    assert session.outcome == "finished"
    target = workspace.parent / "submission"
    take_submission(workspace, target)
    assert "exec transformers serve" in (target / "start_server.sh").read_text()
    assert evaluations(workspace)[-1].objective is not None


@pytest.mark.slow
def test_careful_measures_before_it_changes_and_ships_its_best(
    workspace: Path, model_dir: Path
) -> None:
    argv = ["python", "-m", "ibench.methods.agents.careful"]
    session = run(workspace, model_dir, *argv, budget_s=45)
    log = (workspace / "iteration_log.md").read_text()
    assert session.outcome in ("finished", "deadline"), log
    rows = [line for line in log.splitlines() if line.startswith("| ")][1:]
    assert rows[0].startswith("| reference, bfloat16, threads 1")
    assert rows[0].endswith("| baseline |")
    assert len(rows) >= 2
    assert all("kept" in r or "dropped" in r for r in rows[1:])


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (None, "dropped: no measurement"),
        ({"objective": 103.0, "accuracy": 0.5}, "dropped: accuracy 0.50 below 0.76"),
        ({"objective": 101.0, "accuracy": 0.8}, "dropped: not better"),
        ({"objective": 103.0, "accuracy": 0.8}, "kept"),
    ],
)
def test_careful_keeps_only_what_is_better_and_as_good(
    result: dict[str, float] | None, verdict: str
) -> None:
    assert judge(result, best=100.0, floor=0.76).startswith(verdict)


def test_careful_knows_an_order_for_every_objective() -> None:
    assert set(ORDER) == {"ttft", "tpot", "request_rate", "balanced"}
    assert all(set(order) == set(CHANGES) for order in ORDER.values())


@pytest.mark.parametrize("engine", ["reference", "serve", "continuous-batching"])
def test_launchers_stay_in_the_foreground_and_quote_what_they_are_given(
    engine: str,
) -> None:
    script = Setup(engine=engine).script()
    assert script.startswith("#!/usr/bin/env bash\nset -euo pipefail\n")
    last = script.rstrip().splitlines()[-1]
    assert last.startswith("exec ")
    assert '"$MODEL_PATH"' in last
    assert '"$PORT"' in last
