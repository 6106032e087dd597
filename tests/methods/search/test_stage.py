"""Searches over real servers: the command, the gate, what is charged, what breaks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from ibench.__main__ import main
from ibench.records import Submission
from ibench.store import load_record, verify
from ibench.study.definition import Study
from tests.stages.stage_bench import Bench

pytestmark = [pytest.mark.long, pytest.mark.slow]

SERVER = Path(__file__).with_name("engine_server.py").read_text()
OPTIONS = "--host {host} --port {port} --model {model_id}"
# What it shares with the reference server is in that engine's file.
ENGINE: dict[str, Any] = {
    "defaults": {},
    "flag_check": None,
    "argv": ["python", "-c", SERVER, *OPTIONS.split()],
    "flags": {
        "answer": {"flag": "--answer"},
        "pace": {"flag": "--pace"},
        "crash": {"when_true": "--crash"},
    },
}
SPACES: dict[str, Any] = {
    # Wrong answers come quickest: the gate has to see it.
    "quick": {
        "engine": "quick",
        "parameters": {"answer": ["H", "Z"], "pace": [0.02, 0.1]},
    },
    "other": {"engine": "other", "parameters": {"pace": [0.2, 0.3], "answer": ["H"]}},
    "both": {"joint": ["quick", "other"]},
    "broken": {"engine": "quick", "parameters": {"crash": [True], "pace": [0.1, 0.2]}},
    "flagless": {"engine": "quick", "parameters": {"batch": [1, 2]}},
    "nested": {"joint": ["both", "quick"]},
}


@pytest.fixture(scope="module")
def study(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("search")
    Bench(model_dir, folder / "cache").study(folder)
    engines = folder / "params" / "engines"
    like = yaml.safe_load((engines / "reference.yaml").read_text())
    for name in ("quick", "other"):
        made = like | ENGINE | {"name": name}
        (engines / f"{name}.yaml").write_text(yaml.safe_dump(made))
    for name, space in SPACES.items():
        path = folder / "params" / "search" / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"source": "a test", **space}))
    path = folder / "params" / "profiles" / "smoke.yaml"
    profile = yaml.safe_load(path.read_text())
    profile["questions"] |= {"development_n": 20}
    profile["budget"] |= {"trial_requests": 2, "trial_limit_s": 60.0}
    path.write_text(yaml.safe_dump(profile))
    return Study("smoke", folder / "params", folder / "results")


def search(study: Study, space: str, *options: str, sampler: str = "random") -> int:
    folders = ["--params", str(study.params), "--results", str(study.results)]
    wish = ["--engine", space, "--sampler", sampler, "--profile", "smoke"]
    return main(["search", *wish, *folders, *options])


def found(study: Study, method: str) -> tuple[Submission, Path]:
    folder = study.root / "search" / "a" / method / "21-1337" / "submission"
    result = load_record(folder).result
    assert isinstance(result, Submission)
    assert verify(folder) == []
    return result, folder


def named_s(result: Submission) -> float:
    """Every time that the record names."""
    assert result.selection is not None
    full = (*result.selection.references, *result.selection.confirmations)
    spans = ("launch_s", "evaluate_s", "teardown_s")
    rows = [getattr(r, s) for r in (*result.trials, *full) for s in spans]
    samplers = [t.sampler_s for t in result.trials]
    return math.fsum([*rows, *samplers, result.selection.rest_s])


def test_the_gate_keeps_the_quickest_from_shipping(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(study, "quick", "--budget-s", "240", "--reserve-share", "0.5") == 0
    output = capsys.readouterr().out
    result, _ = found(study, "random-quick")
    by_config = {(t.config["answer"], t.config["pace"]): t for t in result.trials}
    assert len(by_config) == 4
    assert {by_config["Z", p].outcome for p in (0.02, 0.1)} <= {"quality", "ok"}
    assert by_config["Z", 0.02].outcome == "quality"
    best = by_config["H", 0.02]
    assert best.outcome == "ok"
    selection = result.selection
    assert selection is not None
    assert (selection.trial, selection.confirmed) == (best.index, True)
    assert [r.correct for r in selection.references] == [3]
    first = selection.confirmations[0]
    assert (first.trial, first.requests, first.correct) == (best.index, 3, 3)
    assert result.shipped == first.objective
    assert f"ships trial {best.index + 1}, confirmed" in output
    assert output.count("launch") == len(result.trials) + 1 + len(
        selection.confirmations
    )


def test_every_second_of_the_budget_is_named(study: Study) -> None:
    search(study, "quick", "--budget-s", "240", "--reserve-share", "0.5")
    result, _ = found(study, "random-quick")
    assert named_s(result) == pytest.approx(result.used_s)
    assert result.selection is not None
    # Writing launchers and looking for the sandbox: no hidden launch.
    assert 0 <= result.selection.rest_s < 0.2 * result.used_s
    assert result.budget_s == 240.0


def test_the_same_search_is_read_back_and_no_cell_is_touched(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--budget-s", "240", "--reserve-share", "0.5")
    assert search(study, "quick", *options) == 0
    first, before = capsys.readouterr().out, found(study, "random-quick")
    assert search(study, "quick", *options) == 0
    assert capsys.readouterr().out == first
    assert found(study, "random-quick") == before
    assert [p.name for p in study.root.iterdir() if p.is_dir()] == ["search"]


def test_the_originals_rule_ships_what_fails(study: Study) -> None:
    """Without the gate the wrong answers win: this is what the gate is for."""
    assert search(study, "quick", "--budget-s", "120", "--confirm-top", "0") == 0
    result, folder = found(study, "random-quick")
    assert result.selection is not None
    assert not result.selection.confirmed
    assert result.selection.references == ()
    assert {t.outcome for t in result.trials} == {"ok"}
    shipped = result.trials[result.selection.trial or 0].config
    assert shipped == {"answer": "Z", "pace": 0.02}
    script = (folder / "submission" / "start_server.sh").read_text()
    assert "--answer \\\n  Z " in script


def test_one_search_over_two_engines_with_halving(study: Study) -> None:
    options = ("--budget-s", "240", "--rule", "halving", "--confirm-top", "1")
    assert search(study, "both", *options, sampler="tpe") == 0
    result, _ = found(study, "tpe-halving-both")
    engines = {t.config["engine"] for t in result.trials}
    assert engines == {"quick", "other"}
    assert all("pace" in t.config for t in result.trials)
    # Rungs: two requests, then all three; the best of all got there.
    assert {t.requests for t in result.trials if t.outcome == "ok"} == {2, 3}
    assert all(len(t.rungs) == t.requests - 1 for t in result.trials if t.requests)
    assert result.selection is not None
    shipped = result.trials[result.selection.trial or 0]
    assert shipped.config["engine"] == "quick"
    assert {r.engine for r in result.selection.references} == engines


def test_crashes_are_counted_and_nothing_ships(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(study, "broken", "--budget-s", "60") == 1
    assert capsys.readouterr().err == (
        "ibench: no configuration could be measured: exited 2\n"
    )
    result, folder = found(study, "random-broken")
    assert result.outcome == "no_launcher"
    assert result.warnings == ("no configuration could be measured: exited 2",)
    assert "this flag does not work here" in result.trials[0].log_tail
    assert not (folder / "submission" / "start_server.sh").exists()


def test_a_budget_below_one_trial_is_one_line(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--budget-s", "0.05", "--confirm-top", "0")
    assert search(study, "other", *options) == 2
    assert capsys.readouterr().err == (
        "ibench: no trial ended within the budget of 0.05 s: give more than a launch "
        "and an evaluation take\n"
    )
    assert found(study, "random-other")[0].outcome == "no_launcher"


@pytest.mark.parametrize(
    ("space", "options", "words"),
    [
        ("tinyllm", (), ("tinyllm", "choose one of")),
        ("flagless", (), ("batch", "not flags of engine quick")),
        ("nested", (), ("both.yaml", "needs its own engine")),
        ("quick", ("--sampler", "grid"), ("--sampler", "'grid'")),
        ("quick", ("--rule", "racing"), ("--rule", "'racing'")),
        ("quick", ("--scenario", "d"), ("scenario: 'd'", "choose one of a")),
        ("quick", ("--seeds", "1-2"), ("--seeds", "21-1337")),
        ("quick", ("--budget-s", "0"), ("--budget-s", "above 0")),
        ("quick", ("--eta", "1"), ("--eta", "greater than or equal to 2")),
        ("quick", ("--reserve-share", "1"), ("--reserve-share", "less than 1")),
        ("quick/../other", (), ("--engine",)),
    ],
)
def test_a_bad_wish_is_one_line_and_starts_nothing(
    study: Study,
    space: str,
    options: tuple[str, ...],
    words: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert search(study, space, *options) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.splitlines()) == 1
    assert all(word in output.err for word in words)
