"""What a study will cost: every job counted once, explained, and nothing twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.__main__ import main
from ibench.params.costs import Costs
from ibench.params.files import load_yaml
from ibench.store import load_record
from ibench.study.definition import Study
from ibench.study.plan import Plan, make_plan, plan_parts, stage_s
from ibench.terminal import plain
from perf.synthetic import publish_records

PARAMS = REPOSITORY / "params"
H100 = load_yaml(Costs, PARAMS / "costs" / "h100.yaml")
GPU_HOSTS = ("h100", "h200", "a100")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study("h100", PARAMS, tmp_path)


def hours(plan: Plan) -> float:
    return sum(plan.left_s.values()) / 3600


def test_every_job_is_counted_and_a_fresh_study_has_all_left(study: Study) -> None:
    plan = make_plan(study)
    assert plan.costs == H100
    assert plan.jobs.total() == len(study.jobs)
    assert plan.done.total() == 0
    assert sum(plan.spent_s.values()) == 0
    by_stage, by_scenario = plan.left_s.values(), plan.scenario_s.values()
    assert sum(by_stage) == pytest.approx(sum(by_scenario))


def test_budgets_are_what_the_profile_says(study: Study) -> None:
    cells = [c for c in study.cells() if c.method != "baseline"]
    kinds = [study.method(c.method).kind for c in cells]
    busy = sum(kind in ("search", "agent") for kind in kinds)
    assert make_plan(study).left_s["submission"] == busy * 7200


def test_the_baseline_of_b_takes_hours_and_a_search_result_a_fraction(
    study: Study,
) -> None:
    base = stage_s(study, study.job("b/baseline/21-1337/baseline"), H100)
    # 64 and 8 warm-up requests of 7,373 tokens at 41 ms are 6 hours.
    assert base == pytest.approx(72 * 7373 * 0.041, rel=0.05)
    tuned = stage_s(study, study.job("b/tpe-vllm/21-1337/relaunch"), H100)
    assert base / 15 < tuned < base / 10


def test_no_estimate_is_above_the_stages_limit(study: Study) -> None:
    for job in study.jobs.values():
        assert 0 <= stage_s(study, job, H100) <= max(job.limit_s, 7200)


def test_what_is_done_costs_nothing_more_and_tells_what_it_took(
    tmp_path: Path,
) -> None:
    study = Study("smoke", PARAMS, tmp_path)
    assert publish_records(study) == len(study.jobs) - 1
    plan = make_plan(study)
    assert plan.done.total() == len(study.jobs) - 1
    assert sum(plan.left_s.values()) == plan.left_s["aggregation"] > 0
    done = [j for j in study.jobs.values() if j.cell]
    walls = [load_record(job.folder).provenance.wall_s for job in done]
    assert sum(plan.spent_s.values()) == pytest.approx(sum(walls))
    lines = plain(*plan_parts(study, plan))
    assert next(x for x in lines if x.startswith("total")).split()[1:3] == ["27", "26"]
    assert "nothing is left to measure" in lines


def test_what_is_left_takes_as_long_as_its_like_took(tmp_path: Path) -> None:
    params = tmp_path / "params"
    shutil.copytree(PARAMS, params)
    study = Study("smoke", params, tmp_path / "results")
    publish_records(study)
    one = load_record(study.job("a/baseline/21-1337/baseline").folder).provenance
    path = params / "profiles" / "smoke.yaml"
    path.write_text(path.read_text().replace("seed_pairs: 1", "seed_pairs: 3"))
    plan = make_plan(Study("smoke", params, tmp_path / "results"))
    assert plan.done["baseline"] == 2
    assert plan.left_s["baseline"] == pytest.approx(4 * one.wall_s)
    assert plan.by_measured == plan.jobs.total() - plan.done.total() - 1


def test_the_tiers_are_five_hours_three_days_and_the_whole(tmp_path: Path) -> None:
    plans = {n: make_plan(Study(n, PARAMS, tmp_path)) for n in ("one", "lite", "h100")}
    assert 3 < hours(plans["one"]) < 5.5
    assert 48 < hours(plans["lite"]) < 80
    assert hours(plans["h100"]) > 4 * hours(plans["lite"])


@pytest.mark.parametrize("tier", ["one", "lite"])
def test_a_tier_is_a_part_of_the_full_grid(tier: str, tmp_path: Path) -> None:
    whole, piece = (Study(n, PARAMS, tmp_path) for n in ("h100", tier))
    full, part = whole.profile.model_dump(), piece.profile.model_dump()
    assert {k for k in full if full[k] != part[k]} <= {
        "name",
        "description",
        "scenarios",
        "seed_pairs",
        "methods",
        "gates",
    }
    assert [m for m in full["methods"] if m in part["methods"]] == [*part["methods"]]
    # What is measured is the same; a judge is asked in the full grid only.
    measured = [j for j in piece.jobs.values() if j.cell and j.stage != "gating"]
    shared = {j.run_id for j in measured}
    assert shared <= {j.run_id for j in whole.jobs.values()}


def test_another_host_is_another_study_with_its_own_price(tmp_path: Path) -> None:
    params = tmp_path / "params"
    shutil.copytree(PARAMS, params)
    path = params / "profiles" / "one.yaml"
    text, ids, printed = path.read_text(), {}, {}
    for host in GPU_HOSTS:
        path.write_text(f"{text}host: {host}\n")
        study = Study("one", params, tmp_path / "results")
        ids[host] = study.job("a/baseline/21-1337/baseline").run_id
        printed[host] = "\n".join(plain(*plan_parts(study, make_plan(study))))
        assert f"at {study.host.dollars_per_hour:.2f} dollars" in printed[host]
        assert f"params/costs/{host}.yaml" in " ".join(printed[host].split())
    assert len(set(ids.values())) == len(GPU_HOSTS)


@pytest.mark.parametrize("model", ["qwen3-8b", "deepseek-v2-lite"])
def test_another_base_model_is_planned_with_a_caution(
    model: str, tmp_path: Path
) -> None:
    params = tmp_path / "params"
    shutil.copytree(PARAMS, params)
    path = params / "profiles" / "one.yaml"
    path.write_text(f"{path.read_text()}model: {model}\n")
    study = Study("one", params, tmp_path / "results")
    printed = " ".join(" ".join(plain(*plan_parts(study, make_plan(study)))).split())
    assert f"taken with mistral-7b; this profile serves {model}" in printed


def test_the_command_explains_its_totals(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JUDGE_API_KEY", "made-up")
    options = ["--profile", "h100", "--results", str(tmp_path)]
    assert main(["plan", *options]) == 0
    printed = capsys.readouterr().out
    assert "120 cells = 4 scenarios x 3 seed pairs x (the baseline and 9 me" in printed
    assert "on one H100 80 GB at 1.99 dollars an hour" in printed
    assert "params/costs" in printed
    assert main(["plan", *options, "--costs", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["plan", "grid", "submit"])
def test_a_required_judge_without_its_key_stops_at_once(
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("JUDGE_API_KEY", raising=False)
    options = ["--results", str(tmp_path)]
    assert main([command, "--profile", "h100", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "gates/paper.yaml: judge.key_variable: 'JUDGE_API_KEY': not set" in line
    assert "gates: no-judge" in line
    assert not list(tmp_path.iterdir())
    if command == "submit":
        return  # the other tiers would be given to a scheduler
    for tier in ("one", "lite"):
        assert main([command, "--profile", tier, *options]) == 0


def test_the_command_takes_no_five_seconds(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "ibench", "plan", "--profile", "lite"]
    started = time.monotonic()
    subprocess.run(
        [*argv, "--results", str(tmp_path)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    assert time.monotonic() - started < 5
