"""A session whose machine is wanted elsewhere goes on with its clock where it stood."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.methods.agents.driver import ScriptDriver
from ibench.methods.agents.saved import SavedSession
from ibench.methods.agents.session import Session, run_session
from ibench.params import Continuation
from ibench.records import Submission
from ibench.serving.sandbox import Sandbox, detect
from ibench.store import load_record
from tests.methods.agents.study import made_study

pytestmark = [pytest.mark.slow, pytest.mark.spread]

# Adds a line each half second: what it wrote before is there in its next life.
SCRIPT = "while true; do bash timer.sh >> lives; sleep 0.5; done"
TIMER = REPOSITORY / "ibench" / "methods" / "agents" / "files" / "timer.sh"


def life(
    workspace: Path,
    saved: SavedSession | None,
    preempted: Callable[[], bool] = lambda: False,
    keep: Callable[[SavedSession], None] = lambda _: None,
    budget_s: float = 5.0,
    faster: int = 1,
) -> Session:
    sandbox = Sandbox(workdir=workspace, network=False)
    transcript = workspace.parent / "transcript.log"
    return run_session(
        ScriptDriver(["bash", "-c", SCRIPT], sandbox, detect(), transcript),
        workspace,
        "the task",
        budget_s=budget_s,
        grace_s=1.0,
        rules=Continuation(),
        saved=saved,
        preempted=preempted,
        keep=keep,
        clock_ns=lambda: faster * time.monotonic_ns(),
    )


def test_the_rest_of_the_budget_is_spent_on_a_copied_workspace(tmp_path: Path) -> None:
    first = tmp_path / "here" / "workspace"
    first.mkdir(parents=True)
    shutil.copy(TIMER, first)
    asked = threading.Event()
    threading.Timer(2.5, asked.set).start()
    before = life(first, None, asked.is_set)
    assert (before.outcome, before.is_over) == ("preempted", False)
    assert before.used_s == pytest.approx(2.5, abs=2.0)
    before.state.write(tmp_path / "here" / "session.json")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    shutil.rmtree(tmp_path / "here")
    saved = SavedSession.read(tmp_path / "there" / "session.json")
    started = time.monotonic()
    after = life(tmp_path / "there" / "workspace", saved)
    spent = before.used_s + time.monotonic() - started
    assert (after.outcome, after.is_over) == ("deadline", True)
    assert (after.state.preemptions, after.state.turns) == (1, 2)
    assert spent == pytest.approx(5.0, abs=3.0)
    assert after.used_s == pytest.approx(spent, abs=1.0)
    lines = (tmp_path / "there" / "workspace" / "lives").read_text().splitlines()
    left = [int(line.split()[0]) for line in lines]
    assert left == sorted(left, reverse=True)
    assert left[0] >= 4


def test_a_machine_that_vanishes_costs_two_seconds_at_most(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    shutil.copy(TIMER, workspace)
    kept: list[SavedSession] = []
    # The rule is about seconds of the session's clock: four of them a second.
    life(workspace, None, keep=kept.append, budget_s=8.0, faster=4)
    assert len(kept) >= 4
    assert kept[-1].used_s >= 8.0 - 2.5
    assert kept[-1].preemptions == 1


def test_a_broken_state_begins_the_session_anew(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    for text in ("", "{", '{"used_s": 1}', '{"pauses": [], "what": 1}'):
        path.write_text(text)
        assert SavedSession.read(path) is None
    SavedSession(used_s=3.0, pauses=("rate_limited at 3 s",)).write(path)
    assert SavedSession.read(path) == SavedSession(
        used_s=3.0, pauses=("rate_limited at 3 s",)
    )


@pytest.mark.slow
@pytest.mark.usefixtures("model_dir")  # trained before the wait for the session begins
def test_a_stage_ends_with_85_on_term_and_goes_on_when_it_is_run_again(
    tmp_path: Path,
) -> None:
    agent = {
        "name": "ticking",
        "description": "writes down the time left",
        "argv": ["bash", "-c", SCRIPT],
        "network": False,
    }
    study = made_study(tmp_path, agent, budget_s=8.0)
    job = study.job("a/tried/21-1337/submission")
    command = [sys.executable, "-m", "ibench", "stage", "--profile", "smoke"]
    command += [
        "--params",
        str(study.params),
        "--results",
        str(study.results),
        job.name,
    ]
    first = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    lives = study.root / ".work" / job.run_id[:12] / "workspace" / "lives"
    end = time.monotonic() + 60.0
    while not lives.exists() and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(2.5)
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate(timeout=30.0)
    assert first.returncode == 85, said
    assert "preempted with" in said
    assert "Traceback" not in said
    state = json.loads((lives.parents[1] / "session.json").read_text())
    assert state["preemptions"] == 1
    assert 2.0 < state["used_s"] < 7.0
    second = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=90
    )
    assert second.returncode == 0, second.stderr
    result = load_record(job.folder).result
    assert isinstance(result, Submission)
    assert (result.preemptions, result.turns) == (1, 2)
    assert result.used_s == pytest.approx(8.0, abs=3.0)
    assert not (study.root / ".work" / job.run_id[:12]).exists()
