"""Real scaffolds when something is wrong: a recorded outcome, never a hung session."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ibench.errors import AccessError
from ibench.methods.agents.access import resolve_access
from ibench.methods.agents.continuation import needs_a_person
from ibench.methods.agents.harbor import HarborDriver
from ibench.methods.agents.install import find
from ibench.methods.agents.places import Places
from ibench.methods.agents.saved import SavedSession
from ibench.methods.agents.session import (
    HURRY_CLOSE_S,
    HURRY_GRACE_S,
    Session,
    run_session,
)
from ibench.methods.agents.worker_process import WorkerError
from ibench.params import Agent
from ibench.serving.sandbox import Sandbox, detect
from tests.methods.agents.scripted_model.scenario import Scenario
from tests.methods.agents.scripted_model.server import ScriptedModel
from tests.methods.agents.study import CACHE, KEY, installed, scripted_agent
from tests.stages.test_runner import alive, gone

NAMES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.spread,
    pytest.mark.skipif(detect() != "bwrap", reason="needs bubblewrap"),
    pytest.mark.skipif(
        not all(map(installed, ("claude-code", "codex"))), reason="needs `make agents`"
    ),
]


class Bench:
    """One scaffold, one scenario, one folder that outlasts a session."""

    def __init__(self, folder: Path, name: str, *steps: dict[str, Any]) -> None:
        self.root, self.name = folder, name
        self.model = ScriptedModel(Scenario.model_validate({"steps": steps}), key=KEY)
        (folder / "workspace").mkdir()

    def driver(
        self, *, key: str = KEY, network: bool = True, **change: object
    ) -> HarborDriver:
        rules = {"provider_tries": 2, "backoff_s": 0.5, "fresh_starts": 1}
        rules["idle_turn_s"] = 9.0
        agent = Agent.model_validate(scripted_agent(self.name, self.model.url, **rules))
        assert agent.harbor is not None
        self.rules = agent.continuation
        harbor = agent.harbor.model_copy(update=change)
        access = resolve_access(agent, dict.fromkeys(NAMES, key), "x")
        sandbox = Sandbox(workdir=self.root / "workspace", network=network)
        places = Places.below(self.root)
        where = find(agent, CACHE, "x")
        return HarborDriver(harbor, where, access, sandbox, detect(), places, "session")

    def run(
        self,
        driver: HarborDriver,
        budget_s: float = 40.0,
        saved: SavedSession | None = None,
        preempted: Callable[[], bool] = lambda: False,
    ) -> Session:
        return run_session(
            driver,
            self.root / "workspace",
            "Do the task.",
            budget_s=budget_s,
            grace_s=2.0,
            rules=self.rules,
            saved=saved,
            preempted=preempted,
        )


def refusal(status: int, kind: str, message: str) -> dict[str, Any]:
    fail = {"status": status, "kind": kind, "message": message, "times": 99}
    return {"fail": fail}


@pytest.mark.parametrize(
    ("name", "step", "key", "outcome"),
    [
        ("codex", {"say": "never said"}, "sk-wrong-key-0123456789", "login_failed"),
        ("codex", refusal(429, "rate_limit_error", "slow down"), KEY, "rate_limited"),
        (
            "claude-code",
            refusal(400, "invalid_request_error", "Your credit balance is too low"),
            KEY,
            "out_of_credit",
        ),
    ],
    ids=["wrong key", "rate limit", "no credit"],
)
def test_what_the_provider_says_is_an_outcome_of_its_own(
    tmp_path: Path, name: str, step: dict[str, Any], key: str, outcome: str
) -> None:
    bench = Bench(tmp_path, name, step)
    with bench.model:
        session = bench.run(bench.driver(key=key))
    assert (session.outcome, session.is_over) == (outcome, False)
    assert session.used_s < 35.0
    assert session.state.pauses[0].startswith(f"{outcome} at ")


def test_an_agent_without_the_network_it_needs_has_not_taken_place(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, "codex", {"say": "never said"})
    with bench.model:
        session = bench.run(bench.driver(network=False), budget_s=6.0)
    assert (session.outcome, session.is_over) == ("provider_down", False)
    assert session.state.used_s == 0.0
    assert bench.model.played == 0


def test_a_program_of_another_version_is_missing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "codex", {"say": "never said"})
    driver = bench.driver()
    cli = driver.agent.cli.model_copy(update={"version": "0.1.2"})
    with bench.model, pytest.raises(AccessError, match=r"MissingCliError.*0\.1\.2"):
        bench.run(bench.driver(cli=cli))


def test_options_that_harbor_does_not_know_are_one_line(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "codex", {"say": "never said"})
    driver = bench.driver(options={"no_such_option": 1})
    with bench.model, pytest.raises(WorkerError, match="no_such_option") as caught:
        bench.run(driver)
    assert "\n" not in str(caught.value)


def test_at_the_deadline_nothing_of_an_unruly_agent_is_left(tmp_path: Path) -> None:
    marker = f"75{os.getpid()}"
    command = (
        f"trap '' TERM; setsid sleep {marker} & truncate -s 10G big; sleep {marker}"
    )
    bench = Bench(tmp_path, "codex", {"say": "watch this", "run": command})
    with bench.model:
        driver = bench.driver()
        started = time.monotonic()
        session = bench.run(driver, budget_s=9.0)
    assert session.outcome == "deadline"
    assert session.used_s < 9.0 + 3.0
    assert gone(f"sleep\0{marker}", within_s=1.0)
    assert (session.usage.steps or 0) >= 2
    assert time.monotonic() - started < 9.0 + 15.0


def test_a_conversation_goes_on_in_another_life(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        "codex",
        {"say": "first life", "run": "echo one > made; sleep 60"},
        {"say": "second life", "run": "cat made; echo two >> made"},
        {"say": "done"},
    )
    made = tmp_path / "workspace" / "made"
    with bench.model:
        before = bench.run(bench.driver(), preempted=made.exists)
        assert before.outcome == "preempted"
        assert before.state.conversation
        after = bench.run(bench.driver(), budget_s=60.0, saved=before.state)
    assert made.read_text() == "one\ntwo\n"
    assert (after.state.preemptions, after.state.resumes >= 1) == (1, True)
    text = (tmp_path / "logs" / "trajectory.json").read_text()
    assert "first life" in text
    assert "second life" in text
    assert after.used_s > before.used_s


def test_an_agent_that_takes_its_records_away_has_had_its_time(
    tmp_path: Path,
) -> None:
    away = "find /logs/agent /tmp/codex-home/sessions -type f -delete; touch made"
    bench = Bench(tmp_path, "codex", {"run": away}, {"say": "done"})
    with bench.model:
        session = bench.run(bench.driver())
    assert (tmp_path / "workspace" / "made").exists()
    assert session.usage.answered is None
    assert (session.outcome, session.is_over) == ("finished", True)
    assert session.state.used_s > 0.0


def test_a_worker_that_dies_is_no_outcome_of_the_agent(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "codex", {"run": "touch made; sleep 60"}, {"say": "done"})
    made = tmp_path / "workspace" / "made"
    with bench.model:
        driver = bench.driver()
        signalled = Signalled(driver, made, signal.SIGKILL)
        before = bench.run(driver, saved=SavedSession(used_s=1.0))
        after = bench.run(bench.driver(), saved=before.state)
    assert signalled.done()
    assert (before.outcome, before.is_over) == ("driver_lost", False)
    assert before.last is not None
    assert not needs_a_person(before.last)
    assert before.state.pauses[0].startswith("driver_lost at ")
    assert (after.outcome, after.state.turns >= 2) == ("finished", True)
    assert after.used_s > before.used_s > 1.0


def test_a_machine_that_is_wanted_does_not_wait_for_a_stuck_worker(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, "codex", {"run": "touch made; sleep 60"})
    made = tmp_path / "workspace" / "made"
    with bench.model:
        driver = bench.driver()
        signalled = Signalled(driver, made, signal.SIGSTOP)
        session = bench.run(driver, preempted=signalled.done)
        took = time.monotonic() - signalled.at
    assert (session.outcome, session.is_over) == ("preempted", False)
    assert HURRY_CLOSE_S - 1.0 < took < HURRY_GRACE_S + HURRY_CLOSE_S + 2.0


def test_a_machine_that_is_wanted_does_not_wait_for_an_agents_setup(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, "codex", {"say": "never said"})
    check = f"sleep 73{os.getpid()}"
    asked, at = threading.Event(), list[float]()

    def ask() -> None:
        while not alive(check.replace(" ", "\0")):
            time.sleep(0.1)
        at.append(time.monotonic())
        asked.set()

    with bench.model:
        driver = bench.driver()
        driver._installed = replace(driver._installed, check=check)
        threading.Thread(target=ask, daemon=True).start()
        session = bench.run(driver, preempted=asked.is_set)
    assert time.monotonic() - at[0] < 3.0
    assert (session.outcome, session.is_over) == ("preempted", False)
    assert session.state == SavedSession(preemptions=1)
    assert (tmp_path / "transcript.log").is_file()
    assert gone(check.replace(" ", "\0"), within_s=1.0)


class Signalled:
    """Sends a signal to Harbor's worker once a file is there."""

    def __init__(self, driver: HarborDriver, made: Path, number: int) -> None:
        self._driver, self._made, self._number = driver, made, number
        self._sent, self.at = threading.Event(), 0.0
        threading.Thread(target=self._look, daemon=True).start()

    def done(self) -> bool:
        return self._sent.is_set()

    def _look(self) -> None:
        while not self._made.exists():
            time.sleep(0.1)
        assert self._driver._worker is not None
        os.kill(self._driver._worker._popen.pid, self._number)
        self.at = time.monotonic()
        self._sent.set()


def test_links_that_an_agent_lays_lead_the_host_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (victim := folder / "0001.json").write_text("mine")
    lay = "; ".join(
        [
            f"for f in trajectory.json worker.log agent/trajectory.json agent/setup; "
            f'do ln -sfn "{victim}" /logs/$f; done',
            f'ln -sfn "{folder}" /logs/trajectories',
            f'ln -sfn "{victim}" session.json',
            'rm -rf "$HOME/.profile"',
            f'ln -s "{victim}" "$HOME/.profile"',
        ]
    )
    bench = Bench(tmp_path, "mini-swe-agent", {"run": lay}, {"say": "That is all."})
    with bench.model:
        first = bench.run(bench.driver(), budget_s=90.0)
        again = bench.run(bench.driver(), budget_s=180.0, saved=first.state)
    assert bench.model.played >= 2
    assert [p.read_text() for p in folder.iterdir()] == ["mine"]
    assert (first.outcome, again.outcome) == ("finished", "finished")
    written = tmp_path / "logs" / "trajectory.json"
    assert len(json.loads(written.read_text())["steps"]) > 2
