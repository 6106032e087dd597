"""What an agent leaves must not lose its session, whoever runs the host's side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibench.analysis.trajectories.sessions import session_run
from ibench.errors import PreemptedError
from ibench.files import tree_sha256
from ibench.methods.agents import server_workspace, session_end
from ibench.methods.agents.links import drop_links, read_head, remove, reopen
from ibench.methods.agents.saved import Ended
from ibench.methods.agents.saving import read_evaluations, save_session
from ibench.methods.agents.stage import session_submission
from ibench.methods.agents.workspace import evaluator_hashes, take_submission
from ibench.methods.folder import FOLDER
from ibench.params import AgentMethod
from ibench.records import Submission
from ibench.stages.aggregation import iteration_logs
from ibench.store import load_record, retire, run_id_on_disk, verify
from ibench.study.definition import Study
from ibench.study.job import OpenJob
from ibench.study.progress import SAVE
from tests.methods.agents.study import CELL, made_study, opened

pytestmark = [pytest.mark.slow, pytest.mark.spread]

NOBODY = 65534
# Ends by itself once it was asked to go on: its first life waits to be preempted.
SCRIPT = """
echo life >> lives
if [ $(wc -l < lives) = 1 ]; then
  rm task.md start_server.sh; mkdir start_server.sh; touch closed; chmod 000 closed
  sleep 600
fi
"""
AGENT: dict[str, Any] = {
    "name": "careless",
    "description": "loses what it was given",
    "argv": ["bash", "-c", SCRIPT],
    "network": False,
}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return made_study(tmp_path, AGENT, budget_s=60.0)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


def root_of(job: OpenJob) -> Path:
    return job.study.root / ".work" / job.job.run_id[:12]


def make(study: Study) -> tuple[OpenJob, Submission]:
    """Stage 2 as its notebook runs it, up to the publication."""
    job = opened(study, "submission")
    method = study.method("tried")
    assert isinstance(method, AgentMethod)
    return job, session_submission(job, method, job.folder / FOLDER)


def over(study: Study) -> Path:
    """A session that ended and was not taken yet; returns its workspace."""
    root = root_of(opened(study, "submission"))
    workspace = root / "workspace"
    workspace.mkdir(parents=True)
    (workspace / "start_server.sh").write_text("exec true")
    (workspace / "session.json").write_text("{}")
    (root / "home").mkdir()
    (root / "home" / "login").write_text("a login")
    (root / "transcript.log").write_text("said\n")
    before = evaluator_hashes(workspace) | {"start_server.sh": ""}
    (root / session_end.BEFORE).write_text(json.dumps(before))
    ended = Ended(outcome="finished", used_s=7.5, sandbox="bwrap", turns=3)
    ended.write(root / session_end.ENDED)
    return workspace


# Run as a user who may not read what he took away from himself.
UNPRIVILEGED = """
import os, sys
from pathlib import Path
from ibench.methods.agents.links import remove, reopen
from ibench.methods.agents.redact import Redactor
from ibench.methods.agents.saving import save_session
from ibench.methods.agents.workspace import take_submission

root, uid = Path(sys.argv[1]), int(sys.argv[2])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
workspace, module = root / "workspace", root / "home" / "go" / "mod"
(workspace / "folder").mkdir(parents=True)
module.mkdir(parents=True)
for path in (workspace / "x", workspace / "folder" / "y", module / "m.go"):
    path.write_text("key: planted-secret")
(workspace / "folder").chmod(0)
(workspace / "x").chmod(0)
module.chmod(0o555)
try:
    (workspace / "x").read_text()
except PermissionError:
    print("closed")
reopen(root)
save_session(root, root, ["planted-secret"], facts={}, over=True, keep=print)
print(take_submission(workspace, root / "submission"))
print((root / "submission" / "folder" / "y").read_text())
for path in (workspace / "folder", workspace, module):
    path.chmod(0o555)
remove(root / "home")
remove(workspace)
print(sorted(p.name for p in root.iterdir()))
"""


def test_an_owner_without_rights_takes_and_removes_everything(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    if os.geteuid() == 0:
        os.chown(root, NOBODY, NOBODY)
        # As many as pytest made above it: a worker of several has one more.
        above = Path(tempfile.gettempdir())
        for folder in root.parents:
            if folder.is_relative_to(above) and folder != above:
                folder.chmod(folder.stat().st_mode | 0o011)
    argv = [sys.executable, "-c", UNPRIVILEGED, str(root), str(NOBODY)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == [
        "closed",
        "[]",
        "key: [redacted:secret]",
        "['submission']",
    ], done.stderr


def test_names_that_are_no_text_are_left_out_and_named(workspace: Path) -> None:
    here = os.fsencode(workspace)
    Path(os.fsdecode(here + b"/\xff.txt")).write_text("1")
    Path(os.fsdecode(here + b"/\xfe")).symlink_to("in")
    (workspace / "points").symlink_to(os.fsdecode(b"\xff.txt"))
    (workspace / "in").write_text("1")
    (workspace / "circle").symlink_to("circle")
    target = workspace.parent / "submission"
    assert sorted(take_submission(workspace, target)) == [
        "left out '\\udcfe': its name is not UTF-8",
        "left out '\\udcff.txt': its name is not UTF-8",
        "left out points: a link to no UTF-8 name",
    ]
    assert sorted(p.name for p in target.iterdir()) == ["circle", "in"]
    assert len(tree_sha256(target)) == 64


def test_folders_nested_deeper_than_calls_go_are_left_out_and_removed(
    workspace: Path,
) -> None:
    subprocess.run(["mkdir", "-p", "/".join("a" * 1500)], cwd=workspace, check=True)
    reopen(workspace)
    assert drop_links(workspace) == []
    assert take_submission(workspace, workspace.parent / "submission") == [
        "left out a: its path is too long"
    ]
    remove(workspace)
    assert not workspace.exists()


def test_links_are_neither_followed_nor_waited_for(workspace: Path) -> None:
    (workspace / "plain").write_text("12345")
    (workspace / "link").symlink_to("plain")
    (workspace / "zeros").symlink_to("/dev/zero")
    os.mkfifo(workspace / "pipe")
    found = {p.name: read_head(p, 3) for p in workspace.iterdir()}
    assert found == {"plain": b"123", "link": None, "zeros": None, "pipe": None}
    assert read_head(workspace, 3) is None


ROW = (
    '{"t_s": 1.0, "quick": false, "objective": 3.5, "launcher_sha256": "x", '
    '"completed": 3, "requests": 3}\n'
)


def test_an_evaluation_log_without_end_is_read_up_to_a_bound(workspace: Path) -> None:
    path = workspace / "evaluations.jsonl"
    path.write_text(ROW)
    with path.open("ab") as stream:
        stream.truncate(10 * 2**30)
    rows, warnings = read_evaluations(path)
    assert [r.objective for r in rows] == [3.5]
    assert warnings == ["evaluations.jsonl was read up to 16 MiB"]
    path.write_text(ROW + "\n" * 1000 + ROW)
    rows, warnings = read_evaluations(path)
    assert len(rows) == 2
    assert warnings[0] == "evaluations.jsonl line 2 is not an evaluation"
    assert warnings[-1] == "evaluations.jsonl: 995 more lines are no evaluations"
    assert len(warnings) == 6


@pytest.mark.parametrize(
    ("text", "kept"),
    [('{"steps": [{"message": "half \\ud83d"}]}', "half ?"), ("{", None), ("[]", None)],
)
def test_a_broken_trajectory_loses_no_session(
    tmp_path: Path, text: str, kept: str | None
) -> None:
    root = tmp_path / "root"
    for name in ("workspace", "logs"):
        (root / name).mkdir(parents=True)
    (root / "logs" / "trajectory.json").write_text(text)
    warnings = save_session(
        root, tmp_path, [], facts={}, over=True, keep=lambda _: None
    )
    written = tmp_path / "trajectory.json"
    if kept is None:
        assert warnings == ["left out trajectory.json: it cannot be read"]
        assert not written.exists()
    else:
        assert json.loads(written.read_text())["steps"][0]["message"] == kept


def test_a_session_that_said_nothing_yet_can_wait(workspace: Path) -> None:
    root = workspace.parent
    assert not save_session(root, root, [], facts={}, over=False, keep=lambda _: None)


def test_three_links_lead_nobody_to_a_file_of_the_host(
    study: Study, tmp_path: Path
) -> None:
    (host := tmp_path / "host.txt").write_text("of the host")
    zero = Path("/dev/zero")
    lay = {"task.md": host, "iteration_log.md": host, "start_server.sh": zero}
    workspace = over(study)
    for name, to in lay.items():
        (workspace / name).unlink(missing_ok=True)
        (workspace / name).symlink_to(to)
    job, made = make(study)
    job.publish(made)
    assert made.outcome == "no_launcher"
    assert [w for w in made.warnings if w.startswith("removed")] == [
        f"removed {name}: a link out of the workspace" for name in sorted(lay)
    ]
    kept = job.folder / "workspace"
    assert [p.name for p in kept.iterdir()] == ["session.json"]
    # As an earlier version kept them.
    for name, to in lay.items():
        (kept / name).symlink_to(to)
    assert "no log was left" in iteration_logs(job, "tried")
    assert session_run(job.folder, "run", "here").launcher is None


class KilledError(BaseException):
    """The process is gone."""


def die(*_: object, **__: object) -> None:
    raise KilledError


STEPS = {
    "redaction": "save_session",
    "copy": "take_submission",
    "evaluations": "read_evaluations",
    "hash": "submission",
}


@pytest.mark.parametrize("step", [*STEPS, "publication"])
def test_an_end_in_the_middle_leaves_a_session_that_can_be_finished(
    step: str, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = over(study)
    (workspace / "out").symlink_to("/etc/passwd")
    (workspace / "evaluations.jsonl").write_text(ROW)
    with monkeypatch.context() as patch:
        if step in STEPS:
            module = server_workspace if step == "copy" else session_end
            patch.setattr(module, STEPS[step], die)
        else:
            patch.setattr(OpenJob, "_provenance", die)
        with pytest.raises(KilledError):
            job, made = make(study)
            job.publish(made)
    root = workspace.parent
    assert (workspace / "start_server.sh").is_file()
    assert not (root / "home").exists()  # a login does not wait with the rest
    job = opened(study, "submission")
    retire(job.folder)
    job, made = make(study)
    job.publish(made)
    assert (made.outcome, made.used_s, made.turns) == ("finished", 7.5, 3)
    assert [e.objective for e in made.evaluations] == [3.5]
    assert run_id_on_disk(job.folder) == job.job.run_id
    assert verify(job.folder) == []
    assert (job.folder / "transcript.log").read_text() == "said\n"
    assert (job.folder / "workspace" / "start_server.sh").is_file()
    assert not root.exists()


def touched_when(condition: Callable[[], bool], path: Path) -> threading.Thread:
    def wait() -> None:
        end = time.monotonic() + 60.0
        while not condition() and time.monotonic() < end:
            time.sleep(0.05)
        path.touch()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.usefixtures("model_dir")
def test_a_session_without_task_and_launcher_goes_on_and_is_taken_later(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = opened(study, "submission")
    root = root_of(job)
    closed = root / "workspace" / "closed"
    asks = touched_when(closed.exists, job.folder / SAVE)
    with pytest.raises(PreemptedError):
        make(study)
    asks.join()
    assert closed.stat().st_mode & 0o600 == 0o600
    assert (root / "task.md").read_text().strip()
    # The second life ends by itself, and the host's side of it is cut off.
    with monkeypatch.context() as patch:
        patch.setattr(server_workspace, "take_submission", die)
        with pytest.raises(KilledError):
            make(study)
    job, made = make(study)
    job.publish(made)
    assert (made.outcome, made.turns, made.preemptions) == ("no_launcher", 2, 1)
    assert made.used_s < 50.0
    assert (job.folder / "workspace" / "lives").read_text() == "life\nlife\n"
    assert (job.folder / FOLDER / "start_server.sh").is_dir()
    result = load_record(study.job(f"{CELL}/submission").folder).result
    assert result == made
    assert not root.exists()
