"""Weights that an agent made are there when its launcher is started again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ibench.methods.agents.stage import session_submission
from ibench.methods.folder import FOLDER
from ibench.params import AgentMethod
from ibench.stages.relaunch import relaunch
from tests.methods.agents.study import made_study, opened

pytestmark = pytest.mark.slow

# The whole path of this workspace goes into the launcher; what lies in the home folder
# belongs to the session alone.
SCRIPT = """
set -e
cp -r "$MODEL_PATH" "$PWD/rounded"
echo download > "$HOME/left-in-the-home-folder"
cat > start_server.sh <<END
#!/bin/sh
ls "\\$HOME" "\\$HF_HUB_CACHE" > seen.txt
if grep left seen.txt; then exit 3; fi
exec python -m ibench.serving.reference --model "$PWD/rounded" --threads 1 \\
  --served-model-name "\\$MODEL_ID" --host "\\$HOST" --port "\\$PORT"
END
chmod +x start_server.sh
"""
AGENT: dict[str, Any] = {
    "name": "rounder",
    "description": "Writes weights of its own and serves them by their whole path.",
    "argv": ["bash", "-c", SCRIPT],
    "network": False,
}


def test_a_launcher_finds_its_own_model_and_no_download(tmp_path: Path) -> None:
    study = made_study(tmp_path, AGENT, budget_s=20.0)
    job = opened(study, "submission")
    method = study.method("tried")
    assert isinstance(method, AgentMethod)
    made = session_submission(job, method, job.folder / FOLDER)
    job.publish(made)
    assert (made.outcome, made.evaluator_changed) == ("finished", {})
    rounded = job.folder / FOLDER / "rounded"
    assert (rounded / "model.safetensors").is_file()
    evidence = relaunch(opened(study, "relaunch"))
    assert evidence.launch.outcome == "ready", evidence.launch
    assert (evidence.objective or 0) > 0
    assert str(study.root / ".work") in evidence.launcher
