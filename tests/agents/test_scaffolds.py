"""Real command-line agents, driven by Harbor, against a scripted model: no network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ibench.params import AgentMethod
from ibench.records import Submission
from ibench.serving.sandbox import detect
from ibench.stages.evidence import relaunch
from ibench.stages.folder import FOLDER
from ibench.stages.session import session_submission
from ibench.trajectories.atif import atif_items, atif_run, is_atif
from tests.agents.scripted_model.scenario import Scenario
from tests.agents.scripted_model.server import ScriptedModel
from tests.agents.study import (
    KEY,
    installed,
    made_study,
    opened,
    scripted_agent,
)

SCAFFOLDS = ("claude-code", "codex", "mini-swe-agent")
SCENARIO = Path(__file__).parent / "scripted_model" / "first_server.yaml"
pytestmark = [
    pytest.mark.skipif(detect() != "bwrap", reason="needs bubblewrap"),
    pytest.mark.skipif(
        not all(map(installed, SCAFFOLDS)), reason="needs `make agents`"
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCAFFOLDS)
def test_a_scaffold_writes_a_server_that_the_stages_launch_and_score(
    name: str, tmp_path: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with ScriptedModel(Scenario.read(SCENARIO), key=KEY) as model:
        agent = scripted_agent(name, model.url, idle_turns=2, idle_turn_s=99.0)
        study = made_study(tmp_path, agent, budget_s=90.0)
        job = opened(study, "submission")
        method = study.method("tried")
        assert isinstance(method, AgentMethod)
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
    evidence = relaunch(opened(study, "relaunch"))
    assert evidence.launch.outcome == "ready"
    assert (evidence.objective or 0) > 0


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
