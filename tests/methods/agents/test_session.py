from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.errors import ParameterError
from ibench.methods.agents.driver import ScriptDriver
from ibench.methods.agents.session import Session, run_session
from ibench.methods.agents.workspace import render_prompt, take_submission
from ibench.params import Continuation
from ibench.serving.sandbox import Sandbox, detect
from tests.stages.test_runner import gone

pytestmark = [pytest.mark.slow, pytest.mark.spread]

needs_namespace = pytest.mark.skipif(detect() != "bwrap", reason="needs bubblewrap")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


def run(workspace: Path, script: str, budget_s: float = 20.0) -> Session:
    sandbox = Sandbox(workdir=workspace, env={"PORT": "1"}, network=False, disk_mib=100)
    transcript = workspace.parent / "transcript.log"
    return run_session(
        ScriptDriver(["bash", "-c", script], sandbox, detect(), transcript),
        workspace,
        "the task",
        budget_s=budget_s,
        grace_s=1.0,
        rules=Continuation(),
    )


def test_an_agent_that_ends_is_finished_and_its_output_is_kept(workspace: Path) -> None:
    session = run(workspace, "echo working; echo $PORT > port")
    assert (session.outcome, session.exit_code) == ("finished", 0)
    assert (workspace.parent / "transcript.log").read_text() == "working\n"
    assert (workspace / "port").read_text() == "1\n"
    assert session.warnings == ()


def test_an_agent_that_fails_is_crashed(workspace: Path) -> None:
    assert run(workspace, "exit 3").outcome == "crashed"


UNRULY = {
    "sleeps": "sleep {n}",
    "ignores TERM": "trap '' TERM; sleep {n} & wait; sleep {n}",
    "forks daemons": "setsid bash -c 'setsid sleep {n} & sleep {n}' & sleep {n}",
    "fills the disk": "head -c 200M /dev/zero > big; sleep {n} & sleep {n}",
}


@pytest.mark.parametrize("script", UNRULY.values(), ids=UNRULY)
def test_the_deadline_ends_every_process(workspace: Path, script: str) -> None:
    marker = f"77{os.getpid()}"
    started = time.monotonic()
    session = run(workspace, script.format(n=marker), budget_s=2.0)
    took = time.monotonic() - started
    assert session.outcome == ("over_limit" if "big" in script else "deadline")
    assert took < 2.0 + 3.0
    assert session.used_s == pytest.approx(took, abs=0.5)
    assert gone(f"sleep\0{marker}", within_s=1.0)


def test_a_daemon_left_by_a_finished_agent_is_ended(workspace: Path) -> None:
    marker = f"76{os.getpid()}"
    run(workspace, f"setsid sleep {marker} & exit 0")
    assert gone(f"sleep\0{marker}", within_s=1.0)


@needs_namespace
def test_the_sandbox_sees_no_seed_no_result_and_no_secret(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_API_KEY", "sk-planted-secret")
    repository = REPOSITORY
    script = (
        f"ls {repository}/params {repository}/results {repository}/.git; env; "
        "python -c 'import os\n"
        'for folder, _, files in os.walk("/"):\n'
        "  for f in files:\n"
        "    p = os.path.join(folder, f)\n"
        '    if f in ("record.json", "cpu.yaml", "a.yaml", "grid.mk"): print(p)\n'
        "'"
    )
    run(workspace, script)
    seen = (workspace.parent / "transcript.log").read_text()
    assert "sk-planted-secret" not in seen
    assert "PLANTED" not in seen
    assert seen.count("No such file or directory") == 3
    assert not [line for line in seen.splitlines() if line.endswith(("yaml", "json"))]


@needs_namespace
def test_without_network_the_hosts_loopback_is_out_of_reach(workspace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        session = run(workspace, f"exec 3<>/dev/tcp/127.0.0.1/{port}")
    assert session.outcome == "crashed"
    assert "Connection refused" in (workspace.parent / "transcript.log").read_text()


def test_a_submission_is_the_launcher_without_harness_files(workspace: Path) -> None:
    (workspace / "start_server.sh").write_text("exec true")
    (workspace / "weights").mkdir()
    (workspace / "weights" / "w.bin").write_bytes(b"1")
    (workspace / "dev").mkdir()
    (workspace / "dev" / "requests.jsonl").write_text("{}")
    for name in ("evaluate.py", "session.json", "server.log", "evaluations.jsonl"):
        (workspace / name).write_text("")
    target = workspace.parent / "submission"
    assert take_submission(workspace, target) == []
    found = sorted(p.relative_to(target).as_posix() for p in target.rglob("*"))
    assert found == ["start_server.sh", "weights", "weights/w.bin"]


def test_a_huge_file_of_holes_is_left_out_and_large_ones_are_not_copied(
    workspace: Path,
) -> None:
    with (workspace / "holes.bin").open("wb") as stream:
        stream.truncate(10 * 2**30)
    (workspace / "weights.bin").write_bytes(b"1" * 2**21)
    started = time.monotonic()
    warnings = take_submission(workspace, workspace.parent / "submission")
    assert time.monotonic() - started < 1.0
    assert warnings == ["left out holes.bin: a huge file of holes"]
    taken = workspace.parent / "submission" / "weights.bin"
    assert taken.samefile(workspace / "weights.bin")


def test_links_out_of_the_workspace_are_left_out_and_named(workspace: Path) -> None:
    (workspace / "start_server.sh").write_text("exec true")
    (workspace / "out").symlink_to("/etc/passwd")
    (workspace / "in").symlink_to("start_server.sh")
    os.mkfifo(workspace / "pipe")
    target = workspace.parent / "submission"
    warnings = take_submission(workspace, target)
    assert sorted(p.name for p in target.iterdir()) == ["in", "start_server.sh"]
    assert len(warnings) == 2


def test_a_launcher_that_became_a_folder_is_taken_as_it_is(workspace: Path) -> None:
    (workspace / "start_server.sh").mkdir()
    target = workspace.parent / "submission"
    assert take_submission(workspace, target) == []
    assert (target / "start_server.sh").is_dir()


def test_a_prompt_with_an_unknown_variable_is_one_line() -> None:
    with pytest.raises(ParameterError, match="variables are model_id"):
        render_prompt("Serve $modelid", {"model_id": "x"}, "default")
