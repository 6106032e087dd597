"""What is held against an agent, and what against its machine, driver and provider."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.errors import InfrastructureError
from ibench.methods.agents import worker_process
from ibench.methods.agents.continuation import Counts, Turn, TurnRules
from ibench.methods.agents.driver import ScriptDriver, Usage
from ibench.methods.agents.saved import SavedSession
from ibench.methods.agents.session import (
    HURRY_CLOSE_S,
    HURRY_GRACE_S,
    Session,
    run_session,
)
from ibench.methods.agents.worker_process import LOST, WorkerProcess
from ibench.params import Continuation
from ibench.serving.processes import Process
from ibench.serving.sandbox import Sandbox, detect
from ibench.stages.runner import MACHINE, SAVE_S
from tests.methods.agents.study import CACHE
from tests.stages.test_runner import gone

pytestmark = [pytest.mark.slow, pytest.mark.spread]

# Answers each request with what it says, after as long as it says.
ECHO = """
import json, os, sys, time
for line in sys.stdin:
    request = json.loads(line)
    if request["op"] == "die":
        sys.stdout.write('{"id": 1, "ok"')
        sys.stdout.flush()
        os.kill(os.getpid(), 9)
    time.sleep(request.get("wait_s", 0.0))
    reply = {"id": request["id"], "ok": True, "said": request["op"]}
    print(json.dumps(reply), flush=True)
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerProcess:
    script = tmp_path / "worker.py"
    script.write_text(ECHO)
    monkeypatch.setattr(worker_process, "WORKER", script)
    return WorkerProcess(
        Path(sys.executable), os.environ, tmp_path / "worker.log", None
    )


def test_an_answer_that_comes_late_is_not_taken_for_the_next_one(
    worker: WorkerProcess,
) -> None:
    worker.send("run", wait_s=0.6)
    assert worker.answer(0.1) is None
    assert worker.ask("trajectory", 10.0)["said"] == "trajectory"
    with pytest.raises(InfrastructureError, match=r"run took longer than 0\.1 s"):
        worker.ask("run", 0.1, wait_s=0.6)
    assert worker.ask("trajectory", 10.0)["said"] == "trajectory"
    worker.end()


def test_a_worker_that_is_killed_is_the_machines_failure(worker: WorkerProcess) -> None:
    worker.send("die")
    for _ in range(2):
        reply = worker.answer(10.0)
        assert reply is not None
        assert (reply["ok"], reply["error"]) == (False, LOST)
    with pytest.raises(InfrastructureError, match="has ended"):
        worker.ask("trajectory", 10.0)
    assert MACHINE[LOST] is InfrastructureError
    rules = TurnRules(Continuation(), resumable=True)
    decision = rules.after(Turn(5.0, LOST), 1000.0)
    assert (decision.action, decision.outcome) == ("end", "driver_lost")
    worker.end()


class Scripted(ScriptDriver):
    """A command of ours whose model is said to have answered, or not."""

    answered: bool | None = None

    def close(self) -> Usage:
        return Usage(answered=self.answered)


class Preparing(ScriptDriver):
    """Its setup takes ten minutes."""

    def setup(self) -> None:
        script = f"sleep {MARKER}; exit 1"
        self._process = Process(
            ["bash", "-c", script],
            sandbox=self._sandbox,
            kind=self._kind,
            log_path=self._transcript,
        )
        if self._process.wait(600.0) != 0:
            raise InfrastructureError("the setup ended early")


MARKER = f"74{os.getpid()}"
KINDS: dict[str, type[ScriptDriver]] = {"scripted": Scripted, "preparing": Preparing}


def made(folder: Path, kind: str, script: str = "exit 0") -> ScriptDriver:
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    sandbox = Sandbox(workdir=workspace, network=False)
    argv = ["bash", "-c", script]
    return KINDS[kind](argv, sandbox, detect(), folder / "transcript.log")


def life(driver: ScriptDriver, folder: Path, **values: object) -> Session:
    given = {"budget_s": 60.0, "grace_s": 30.0, "rules": Continuation(), **values}
    return run_session(driver, folder / "workspace", "the task", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answered", "outcome", "begins_anew"),
    [(None, "finished", False), (True, "finished", False), (False, None, True)],
)
def test_a_session_begins_anew_only_if_the_model_is_known_to_have_been_silent(
    tmp_path: Path, answered: bool | None, outcome: str | None, begins_anew: bool
) -> None:
    driver = made(tmp_path, "scripted", "sleep 0.5")
    assert isinstance(driver, Scripted)
    driver.answered = answered
    session = life(driver, tmp_path)
    assert session.outcome == (outcome or "provider_down")
    assert (session.state.used_s == 0.0) == begins_anew
    assert session.used_s >= 0.5


def test_a_wanted_machine_is_given_back_whatever_grace_the_profile_has(
    tmp_path: Path,
) -> None:
    asked = threading.Event()
    threading.Timer(1.0, asked.set).start()
    script = f"trap '' TERM; sleep {MARKER} & while true; do sleep 0.1; done"
    started = time.monotonic()
    session = life(made(tmp_path, "scripted", script), tmp_path, preempted=asked.is_set)
    assert session.outcome == "preempted"
    assert time.monotonic() - started < 1.0 + HURRY_GRACE_S + 2.0
    assert gone(f"sleep\0{MARKER}", within_s=1.0)
    assert HURRY_GRACE_S + HURRY_CLOSE_S < SAVE_S / 2


def test_a_machine_that_is_wanted_during_the_setup_is_given_back_at_once(
    tmp_path: Path,
) -> None:
    asked = threading.Event()
    threading.Timer(1.0, asked.set).start()
    earlier = SavedSession(used_s=7.0, preemptions=1, turns=2, conversation=True)
    started = time.monotonic()
    session = life(
        made(tmp_path, "preparing"), tmp_path, preempted=asked.is_set, saved=earlier
    )
    assert time.monotonic() - started < 1.0 + 3.0
    assert (session.outcome, session.is_over) == ("preempted", False)
    expected = SavedSession(used_s=7.0, preemptions=2, turns=2, conversation=True)
    assert session.state == expected
    assert gone(f"sleep\0{MARKER}", within_s=1.0)


def test_a_setup_that_fails_by_itself_is_still_an_error(tmp_path: Path) -> None:
    driver = made(tmp_path, "preparing")

    def kill() -> None:
        assert driver._process is not None
        for pid in driver._process.members():
            os.kill(pid, signal.SIGKILL)

    threading.Timer(1.0, kill).start()
    with pytest.raises(InfrastructureError, match="ended early"):
        life(driver, tmp_path)


def test_the_rules_counts_survive_a_preemption(tmp_path: Path) -> None:
    counts = Counts(fresh_starts=2, idle=1, refusals=3, failures=4)
    names = ("fresh_starts", "idle", "refusals", "failures")
    earlier = SavedSession(**{name: getattr(counts, name) for name in names})
    earlier.write(tmp_path / "session.json")
    saved = SavedSession.read(tmp_path / "session.json")
    session = life(
        made(tmp_path, "scripted", "sleep 60"),
        tmp_path,
        preempted=(tmp_path / "session.json").exists,
        saved=saved,
        grace_s=0.1,
    )
    assert session.outcome == "preempted"
    assert {name: getattr(session.state, name) for name in names} == {
        name: getattr(counts, name) for name in names
    }


def test_a_state_without_counts_is_read(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    path.write_text('{"used_s": 3.0, "pauses": [], "fresh_starts": 2}')
    assert SavedSession.read(path) == SavedSession(used_s=3.0, fresh_starts=2)


needs_harbor = pytest.mark.skipif(
    not (CACHE / "harbor" / "bin" / "python").is_file(), reason="needs `make agents`"
)
# An agent whose record is what stands in `record`: converted as it is, or not at all.
RECORDS = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from trajectory import Trajectories
from worker import Worker
class Agent:
    logs_dir = Path("agent")
    def name(self): return "tried"
    def populate_context_post_run(self, context):
        record = Path("record")
        if record.exists():
            step = json.loads(record.read_text())
            text = json.dumps({"steps": [step]})
            (self.logs_dir / "trajectory.json").write_text(text)
from harbor.models.agent.context import AgentContext
Path("agent").mkdir()
kept = Trajectories(Path(), Path("shown"))
worker = Worker.__new__(Worker)
worker.trajectories, worker.agent, worker._kept = kept, Agent(), Path("trajectories")
for text in sys.argv[2:]:
    Path("record").unlink(missing_ok=True)
    if text: Path("record").write_text(text)
    kept.expect()
    worker._take(AgentContext())
print(json.dumps(kept.write({})["answered"]))
"""
SILENT = json.dumps({"source": "user", "message": "Do it."})
SAID = json.dumps({"source": "agent", "message": "Done."})


@needs_harbor
@pytest.mark.parametrize(
    ("runs", "answered"),
    [
        ((), False),
        ((SILENT,), False),
        ((SAID,), True),
        (("",), None),  # it took its logs away
        (("[1, 2",), None),  # they are cut off
        ((SILENT, ""), None),
        ((SAID, ""), True),
        (("", SILENT), None),
    ],
)
def test_a_run_that_left_nothing_to_read_is_unknown_and_not_silence(
    tmp_path: Path, runs: tuple[str, ...], answered: bool | None
) -> None:
    assert json.loads(in_harbor(tmp_path, RECORDS, *runs)) is answered


FAILURE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from worker import _failure
print(json.dumps(_failure(RuntimeError(sys.argv[2]))["detail"]))
"""


@needs_harbor
def test_a_failures_detail_leaves_out_what_the_agents_commands_printed(
    tmp_path: Path,
) -> None:
    told = '{"type": "error", "message": "stream disconnected"}'
    printed = '{"type": "item.completed", "output": "ECONNREFUSED 10.0.0.1:8000"}'
    text = f"Command failed (exit 1): x\nstdout: begin\n{printed}\n{told}\nstderr: None"
    detail = json.loads(in_harbor(tmp_path, FAILURE, text))
    assert detail == (f"Command failed (exit 1): x stdout: begin {told} stderr: None")


def in_harbor(folder: Path, script: str, *arguments: str) -> str:
    """Run a script in Harbor's own Python, where the worker's modules can be had."""
    python = CACHE / "harbor" / "bin" / "python"
    code = REPOSITORY / "ibench" / "methods" / "agents" / "worker"
    done = subprocess.run(
        [str(python), "-c", script, str(code), *arguments],
        cwd=folder,
        env={"PATH": os.defpath, "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
