"""Real command-line agents, driven by Harbor, against a scripted model: no network."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ibench.analysis.scores import score
from ibench.analysis.trajectories.atif import atif_items, atif_run, is_atif
from ibench.methods.agents.stage import session_submission
from ibench.methods.agents.watch import View, sessions
from ibench.methods.folder import FOLDER
from ibench.params import AgentMethod
from ibench.records import BaselineResult, Outcome, Submission
from ibench.serving.sandbox import detect
from ibench.stages.baseline import measure_baseline
from ibench.stages.gating import gate
from ibench.stages.relaunch import relaunch
from ibench.store import load_record, verify
from ibench.study.definition import Study
from tests.methods.agents.scripted_model.scenario import Scenario
from tests.methods.agents.scripted_model.server import ScriptedModel
from tests.methods.agents.study import (
    BASE,
    CELL,
    KEY,
    installed,
    made_study,
    opened,
    scripted_agent,
)
from tests.sharing import made_once

SCAFFOLDS = ("claude-code", "codex", "mini-swe-agent")
SCENARIO = Path(__file__).parent / "scripted_model" / "first_server.yaml"
pytestmark = [
    pytest.mark.long,
    pytest.mark.spread,
    pytest.mark.skipif(detect() != "bwrap", reason="needs bubblewrap"),
    pytest.mark.skipif(
        not all(map(installed, SCAFFOLDS)), reason="needs `make agents`"
    ),
]


def with_baseline(folder: Path) -> None:
    text = {"name": "none", "description": "never begun"}
    agent = {**text, "argv": ["true"], "network": False}
    job = opened(made_study(folder, agent, budget_s=90.0), "baseline", BASE)
    job.publish(measure_baseline(job))


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Study:
    """A study with a measured baseline; all three scaffolds are judged against it."""
    assert model_dir.is_dir()
    folder = made_once(tmp_path_factory, "scaffolds-baseline", with_baseline)
    return Study("smoke", folder / "params", folder / "results")


@pytest.mark.slow
@pytest.mark.parametrize("name", SCAFFOLDS)
def test_a_scaffold_writes_a_server_that_the_stages_launch_judge_and_score(
    name: str, tmp_path: Path, baseline: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with ScriptedModel(Scenario.read(SCENARIO), key=KEY) as model:
        agent = scripted_agent(name, model.url, idle_turns=2, idle_turn_s=99.0)
        study = made_study(tmp_path, agent, budget_s=90.0)
        job = opened(study, "submission")
        method = study.method("tried")
        assert isinstance(method, AgentMethod)
        with looked_at(study) as seen:
            result = session_submission(job, method, job.folder / FOLDER)
        record = job.publish(result)
    assert isinstance(record.result, Submission)
    assert (result.outcome, model.played >= 6) == ("finished", True), result
    assert result.turns == 2
    assert result.resumes == (0 if name == "mini-swe-agent" else 1)
    assert (result.input_tokens or 0) > 0
    assert [e.quick for e in result.evaluations] == [True, True]
    assert all(e.objective for e in result.evaluations)
    launcher = (job.folder / FOLDER / "start_server.sh").read_text()
    assert "--dtype float32" in launcher
    holds_a_readable_trajectory(job.folder, name)
    holds_tokens_after_the_first_turn(seen, result, name)
    relaunched = opened(study, "relaunch")
    evidence = relaunch(relaunched)
    assert evidence.launch.outcome == "ready"
    assert (evidence.objective or 0) > 0
    relaunched.publish(evidence)
    is_judged_and_scored(study, baseline)


def is_judged_and_scored(study: Study, baseline: Study) -> None:
    """Stage 4 over what stages 1 and 3 measured: full marks, and a real speedup."""
    measured, own = baseline.job(f"{BASE}/baseline"), study.job(f"{BASE}/baseline")
    assert own.run_id == measured.run_id  # the agent does not change the baseline
    shutil.copytree(measured.folder, own.folder)
    base = load_record(own.folder).result
    assert isinstance(base, BaselineResult)
    assert base.evidence.failure_rate == 0.0
    job = opened(study, "gating")
    verdict = gate(job)
    assert verdict.outcome is Outcome.OK, verdict.reason
    assert [f for f in verdict.findings if f.status == "failed"] == []
    quality = verdict.quality
    assert quality is not None
    assert (quality.n, quality.failed, quality.passed) == (40, 0, True)
    # The same model at twice the precision: what it knows it still knows, and that is
    # far more than guessing.
    assert quality.baseline_correct >= 20
    assert quality.correct >= quality.tau * quality.baseline_correct
    assert verdict.baseline_objective == base.objective
    relaunched = load_record(study.job(f"{CELL}/relaunch").folder).result
    assert verdict.objective == getattr(relaunched, "objective", None)
    assert verdict.speedup is not None
    assert verdict.objective is not None
    assert base.objective is not None
    value = score(verdict.outcome, verdict.speedup.value, base.objective, floor=False)
    assert value == pytest.approx(verdict.objective / base.objective)
    assert 0.1 < value < 10.0  # which precision is the faster one is the CPU's affair
    job.publish(verdict)
    assert verify(job.folder) == []


@contextmanager
def looked_at(study: Study) -> Iterator[list[View]]:
    """Look at the running session five times a second, as a panel does."""
    over, seen = threading.Event(), list[View]()

    def look() -> None:
        while not over.wait(0.2):
            seen.extend(v for v in sessions(study) if v.state == "running")

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def holds_tokens_after_the_first_turn(
    seen: list[View], result: Submission, name: str
) -> None:
    """Unknown within the first turn, known within the second, and never more."""
    assert result.input_tokens is not None
    assert result.output_tokens is not None
    assert result.cost_usd is not None
    assert (seen[0].tokens, seen[0].usd) == (None, None)
    tokens = [view.tokens for view in seen if view.tokens is not None]
    assert tokens == sorted(tokens)
    assert 0 < tokens[0] <= tokens[-1] <= result.input_tokens + result.output_tokens
    usd = [view.usd for view in seen if view.usd is not None]
    assert usd[0] > 0
    assert usd == sorted(usd)
    assert usd[-1] <= result.cost_usd


def holds_a_readable_trajectory(folder: Path, name: str) -> None:
    """Valid ATIF, without the key, and the same events that the analysis reads."""
    path = folder / "trajectory.json"
    document = json.loads(path.read_text())
    problems: list[str] = []
    items = list(atif_items(path, problems, name))
    calls = [i for i in items if i.kind == "tool_call"]
    assert is_atif(path)
    assert problems == []
    run = atif_run(document, "r", "s")
    assert (run.scaffold, run.scenario, run.budget_s) == (name, "a", 90.0)
    assert any("test_server.sh --quick" in c.text for c in calls)
    assert all(i.at is not None for i in items if i.kind == "tool_call")
    for file in (path, folder / "transcript.log"):
        assert KEY not in file.read_text()
