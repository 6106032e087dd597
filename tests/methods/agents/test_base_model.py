"""Weights that an agent replaces: out of its reach, or seen and never measured."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ibench.errors import DataError
from ibench.gates.integrity import RunSeen, evaluator_changed
from ibench.methods.agents.stage import session_submission
from ibench.methods.folder import FOLDER
from ibench.params import AgentMethod
from ibench.serving.sandbox import detect
from ibench.stages.relaunch import relaunch
from ibench.study.definition import Study
from ibench.study.job import OpenJob
from tests.factories import evidence
from tests.methods.agents.study import made_study, opened

pytestmark = pytest.mark.slow

AGENT: dict[str, Any] = {
    "name": "thief",
    "description": "Replaces the base model's configuration.",
    "argv": ["sh", "-c", 'echo "{}" > "$MODEL_PATH/generation_config.json"'],
    "network": False,
}
FILE = "$MODEL_PATH/generation_config.json"


@pytest.fixture
def own_model(tmp_path: Path, model_dir: Path) -> Path:
    return Path(shutil.copytree(model_dir, tmp_path / "models" / model_dir.name))


def study_of(folder: Path, runtime: str) -> Study:
    study = made_study(folder, AGENT, budget_s=10.0)
    profile = yaml.safe_load(study.profile_path.read_text())
    profile["isolation"] = {"runtime": runtime}
    study.profile_path.write_text(yaml.safe_dump(profile))
    return Study("smoke", study.params, study.results)


def open_with(study: Study, model: Path, stage: str) -> OpenJob:
    job = opened(study, stage)
    job.assets.model_dir = model
    return job


def session(study: Study, model: Path) -> dict[str, str]:
    job = open_with(study, model, "submission")
    method = study.method("tried")
    assert isinstance(method, AgentMethod)
    made = session_submission(job, method, job.folder / FOLDER)
    job.publish(made)
    return made.evaluator_changed


def test_without_namespaces_it_is_seen_judged_and_never_measured(
    tmp_path: Path, own_model: Path
) -> None:
    study = study_of(tmp_path, "none")
    changed = session(study, own_model)
    assert list(changed) == [FILE]
    finding = evaluator_changed(
        RunSeen(evidence(evaluator_changed=changed), (), study.gates, "m", "m")
    )
    assert (finding.status, FILE in finding.evidence) == ("failed", True)
    with pytest.raises(DataError, match=r"generation_config\.json: .* was changed"):
        relaunch(open_with(study, own_model, "relaunch"))
    with pytest.raises(DataError, match="nothing is measured with it"):
        session(study, own_model)


@pytest.mark.skipif(detect() != "bwrap", reason="needs bubblewrap")
def test_in_a_sandbox_it_cannot_be_changed(tmp_path: Path, own_model: Path) -> None:
    assert session(study_of(tmp_path, "bwrap"), own_model) == {}
