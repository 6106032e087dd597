"""Sessions looked at while they really run, and one ended by a person."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ibench.errors import ParameterError
from ibench.records import Submission
from ibench.store import load_record
from ibench.study import Study
from ibench.watch import View, sessions, stop_session, view_lines
from tests.stage_bench import Bench

REPOSITORY = Path(__file__).parents[1]
CELL = "a/talker/21-1337"
KEY = "sk-ant-" + "x" * 24
ZEROS = "0" * 64
# Talks, leaks a key, evaluates once by hand, writes a launcher, and never stops.
TALKER = f"""
echo "looking around in /root/secret-place"
echo "my key is {KEY}"
echo '{{"t_s": 1.0, "quick": false, "objective": 3.5, "accuracy": null,
"launcher_sha256": "{ZEROS}", "completed": 3,
"requests": 3, "note": ""}}' | tr -d '\\n' \
  >> evaluations.jsonl
echo >> evaluations.jsonl
printf '#!/bin/sh\\nexec sleep 1\\n' > start_server.sh
echo "waiting"
sleep 600
"""


@pytest.fixture
def study(model_dir: Path, tmp_path: Path) -> Study:
    study = Bench(model_dir, tmp_path / "cache").study(tmp_path)
    agents = study.params / "agents"
    talker = {
        "name": "talker",
        "description": "talks",
        "argv": ["bash", "-c", TALKER],
        "network": False,
    }
    (agents / "talker.yaml").write_text(yaml.safe_dump(talker))
    profile = yaml.safe_load(study.profile_path.read_text())
    profile["methods"] = [
        {"kind": "agent", "name": "talker", "agent": "talker", "prompt": "default"}
    ]
    profile["budget"]["agent_s"] = 100.0
    study.profile_path.write_text(yaml.safe_dump(profile))
    return Study("smoke", study.params, study.results)


@pytest.fixture
def running(study: Study) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-m", "ibench", "stage", "--profile", "smoke"]
    argv += ["--params", str(study.params), "--results", str(study.results)]
    child = subprocess.Popen(
        [*argv, f"{CELL}/submission"],
        cwd=REPOSITORY,
        env=os.environ,
        stderr=subprocess.DEVNULL,
    )
    yield child
    child.terminate()
    child.wait(30)


def _seen(study: Study, within_s: float = 60.0) -> View:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        for view in sessions(study):
            if view.evaluations and "waiting" in view.tail:
                return view
        time.sleep(0.2)
    raise AssertionError(sessions(study))


@pytest.mark.timeout(180)
def test_a_session_is_seen_while_it_runs_and_ended_by_a_person(
    study: Study, running: subprocess.Popen[bytes]
) -> None:
    view = _seen(study)
    assert view.cell == CELL
    assert view.phase == "agent session"
    assert view.left_s is not None
    assert 0 < view.left_s <= 100
    assert (view.evaluations, view.best) == (1, 3.5)
    text = "\n".join(view_lines([view]))
    assert KEY not in text
    assert "/root" not in text
    assert "1 evaluation, best 3.5" in text

    stop_session(study, CELL)
    assert running.wait(40) == 0
    made = load_record(study.job(f"{CELL}/submission").folder).result
    assert isinstance(made, Submission)
    assert made.outcome == "finished"
    assert made.used_s < 90
    assert any("stopped by a person" in w for w in made.warnings)
    (over,) = sessions(study)
    assert (over.phase, over.left_s, over.tokens) == ("finished", None, None)


def test_nothing_runs_and_nothing_can_be_stopped(study: Study) -> None:
    assert sessions(study) == []
    assert view_lines([]) == ["no agent session has begun"]
    with pytest.raises(ParameterError, match="no session of it runs; running: none"):
        stop_session(study, CELL)
