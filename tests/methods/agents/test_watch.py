"""Sessions looked at while they really run, and one ended by a person."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.errors import ParameterError
from ibench.methods.agents.saved import SavedSession
from ibench.methods.agents.watch import (
    View,
    sessions,
    status_lines,
    stop_session,
    view_lines,
)
from ibench.methods.folder import submission
from ibench.records import Submission
from ibench.store import load_record
from ibench.study.definition import Study
from ibench.study.job import OpenJob
from ibench.study.progress import STOP
from tests.analysis.explore.talking import CELL, KEY, MARKUP, begun, talking_study


@pytest.fixture
def study(model_dir: Path, tmp_path: Path) -> Study:
    return talking_study(model_dir, tmp_path)


@pytest.fixture
def running(study: Study) -> Iterator[subprocess.Popen[bytes]]:
    with begun(study) as child:
        yield child


def _seen(study: Study, within_s: float = 60.0) -> View:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        for view in sessions(study):
            if view.evaluations and "waiting" in view.tail:
                return view
        time.sleep(0.2)
    raise AssertionError(sessions(study))


def _status(study: Study) -> str:
    argv = [sys.executable, "-m", "ibench", "status", "--profile", "smoke"]
    argv += ["--params", str(study.params), "--results", str(study.results)]
    done = subprocess.run(
        argv, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.timeout(180)
def test_a_session_is_seen_while_it_runs_and_ended_by_a_person(
    study: Study, running: subprocess.Popen[bytes]
) -> None:
    view = _seen(study)
    assert (view.cell, view.state) == (CELL, "running")
    assert view.phase == "agent session"
    assert view.left_s is not None
    assert 0 < view.left_s <= 100
    assert (view.evaluations, view.best) == (1, 3.5)
    # Neither colours nor cursor movements reach who looks on.
    assert view.tail[-2:] == (MARKUP, "waiting")
    text = "\n".join(view_lines([view]))
    assert KEY not in text
    assert "/root" not in text
    assert "1 evaluation, best 3.5" in text
    status = _status(study)
    assert "\nagent sessions:\n" + f"{CELL}: agent session, " in status
    assert "left; 1 evaluation, best 3.5\n" in status
    assert f"    {MARKUP}\n    waiting\n" in status

    stop_session(study, CELL)
    assert running.wait(40) == 0
    made = load_record(study.job(f"{CELL}/submission").folder).result
    assert isinstance(made, Submission)
    assert made.outcome == "finished"
    assert made.used_s < 90
    assert any("stopped by a person" in w for w in made.warnings)
    (over,) = sessions(study)
    assert (over.state, over.phase) == ("over", "finished")
    assert (over.left_s, over.tokens) == (None, None)
    assert "waiting" in over.tail
    assert f"{CELL}: finished; 1 evaluation, best 3.5\n" in _status(study)


def test_nothing_runs_and_nothing_can_be_stopped(study: Study) -> None:
    assert sessions(study) == []
    assert view_lines([]) == ["no agent session has begun"]
    assert status_lines([]) == []
    with pytest.raises(ParameterError, match="no session of it runs; running: none"):
        stop_session(study, CELL)


def test_a_session_that_waits_to_go_on_is_not_called_running(study: Study) -> None:
    job = study.job(f"{CELL}/submission")
    root = study.root / ".work" / job.run_id[:12]
    root.mkdir(parents=True)
    SavedSession(used_s=3.0, turns=1).write(root / "session.json")
    usage = {"n_input_tokens": 1200, "n_output_tokens": 34, "cost_usd": None}
    (root / "usage.json").write_text(json.dumps(usage))
    (view,) = sessions(study)
    assert (view.state, view.phase) == ("waiting", "waits to be run again")
    assert (view.left_s, view.tokens, view.usd) == (None, 1234, None)
    (line,) = view_lines([view])
    assert line.endswith("0 evaluations, 1,234 tokens in the turns that ended")
    with pytest.raises(ParameterError, match="running: none"):
        stop_session(study, CELL)


def test_a_relaunch_in_the_sessions_folder_is_no_session(study: Study) -> None:
    job = OpenJob(study, study.job(f"{CELL}/submission"))
    target = job.folder / "submission"
    job.publish(submission(job, target, outcome="finished", budget_s=9.0, used_s=3.0))
    (study.root / ".work" / job.job.run_id[:12] / "workspace").mkdir(parents=True)
    (view,) = sessions(study)
    assert (view.state, view.phase) == ("over", "finished")
    with pytest.raises(ParameterError, match="running: none"):
        stop_session(study, CELL)
    assert not (job.folder / STOP).exists()


def test_an_endless_log_and_a_linked_one_are_looked_at_all_the_same(
    study: Study,
) -> None:
    root = study.root / ".work" / study.job(f"{CELL}/submission").run_id[:12]
    (root / "workspace").mkdir(parents=True)
    log = root / "workspace" / "evaluations.jsonl"
    with log.open("wb") as stream:
        stream.truncate(10 * 2**30)
    assert [v.evaluations for v in sessions(study)] == [0]
    log.unlink()
    log.symlink_to("/dev/zero")
    assert [v.evaluations for v in sessions(study)] == [0]
    log.unlink()
    log.write_text("[" * 100_000)
    assert [v.evaluations for v in sessions(study)] == [0]


@pytest.mark.parametrize("text", ["", "{", '{"n_input_tokens": 1'])
def test_a_broken_note_of_what_was_spent_is_unknown(study: Study, text: str) -> None:
    root = study.root / ".work" / study.job(f"{CELL}/submission").run_id[:12]
    root.mkdir(parents=True)
    (root / "usage.json").write_text(text)
    (view,) = sessions(study)
    assert (view.tokens, view.usd) == (None, None)


def test_a_broken_record_hides_no_other_session(study: Study) -> None:
    job = study.job(f"{CELL}/submission")
    job.folder.mkdir(parents=True)
    (job.folder / "record.json").write_text("{")
    (view,) = sessions(study)
    assert (view.state, view.phase) == ("over", "its record is broken")
    shutil.rmtree(job.folder)
    assert sessions(study) == []
