from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.analysis.paper.claims import (
    REGISTRY,
    Checked,
    Claim,
    ClaimVerdict,
    check_claims,
    report,
    verdict_of,
)
from ibench.analysis.paper.selecting import CheckedNumber
from ibench.errors import ParameterError
from ibench.terminal import plain
from tests.analysis.paper.conftest import FOLDER

PARAMS = REPOSITORY / "params"
Edit = Callable[[str, str, str], Path]


def check(folder: Path, params: Path = PARAMS) -> dict[str, Checked]:
    return {c.claim.id: c for c in check_claims(params, folder, Path("nowhere"))}


@pytest.fixture(scope="module")
def checked() -> dict[str, Checked]:
    return check(FOLDER)


def test_every_claim_that_can_be_checked_here_comes_out_as_expected(
    checked: dict[str, Checked],
) -> None:
    assert [i for i, c in checked.items() if c.verdict.is_failure] == []
    verdicts = [c.verdict for c in checked.values()]
    assert verdicts.count(ClaimVerdict.AGREES) >= 200
    assert verdicts.count(ClaimVerdict.KNOWN) >= 45


def test_claims_that_need_a_gpu_say_so(checked: dict[str, Checked]) -> None:
    left = [c for c in checked.values() if c.verdict is ClaimVerdict.NOT_RUN]
    assert {c.claim.tier for c in left} == {"relaunch", "fresh"}
    assert all(c.claim.gpu_hours > 0 and c.claim.human_minutes > 0 for c in left)


@pytest.mark.parametrize(
    ("claim", "published", "obtained"),
    [
        ("aggregates", 0, 0),
        ("outcomes-passed", 117, 117),
        ("outcomes-quality", 34, 34),
        ("outcomes-integrity", 11, 11),
        ("outcomes-server", 18, 18),
        ("outcomes-total", 180, 180),
        ("final-agent", 8.62, 8.6167),
        ("best-seen-agent", 12.34, 12.3409),
        ("final-search", 14.30, 14.3019),
        ("search-leads", 0, 0),
        ("random-on-b", 12.03, 11.34),
        ("every-search-everywhere", 0, 1),
        ("native-measured", 0, 50),
        ("found-september", 9.97, 10.8475),
        ("opus-4-7-cost", 1645.01, 1658.71),
        ("sem-gpt-5-2-codex", 0.27, 0.0925),
        ("quartile-means", 0, 4),
        ("no-agent-beats-a-default-on-c", 0, 0),
        ("agents-beat-vllm", 7, 7),
        ("agents-beat-sglang", 7, 7),
        ("agents-beat-defaults", 22.5, 25),
        ("agents-beat-defaults-c", 22.5, 0),
        ("forced-search", 0, 0),
        ("forced-vllm-search", 0, 2),
        ("budget-most-gain", 0.5, 0.6857),
        ("strict-fable", 2, 2.3797),
        ("first-june", 1, 1),
        ("opus-4-7-first", 1, 2),
        ("median-configurations", 1, 1),
        ("isobench-no-agent-dominates", 0, 0),
        ("isobench-overestimate", 20, 20),
        ("isobench-success-gains", 0, 44),
        ("isobench-gap", 10.2, 10.256),
        ("isobench-parent-passes", 15, 15),
        ("isobench-offsets", 13, 13),
    ],
)
def test_both_numbers_of_a_claim(
    checked: dict[str, Checked], claim: str, published: float, obtained: float
) -> None:
    found = checked[claim].found
    assert found.published == pytest.approx(published, abs=1e-3)
    assert found.obtained == pytest.approx(obtained, abs=1e-2)


@pytest.mark.parametrize(
    ("name", "old", "new", "claim"),
    [
        (
            "paper_table02_leaderboard",
            "GLM-5,OpenCode,agent,2,6.20",
            "GLM-5,OpenCode,agent,2,6.40",
            "aggregates",
        ),
        ("paper_table02_leaderboard", "agent,4,5.48", "agent,4,4.48", "ranks-paper"),
        (
            "paper_table02_leaderboard",
            "SMAC,,search,,11.53",
            "SMAC,,search,,7.53",
            "search-leads",
        ),
        (
            "paper_table03_outcomes",
            "passed_both_gates,117",
            "passed_both_gates,118",
            "outcomes-passed",
        ),
        (
            "paper_table03_outcomes",
            "below_threshold,23",
            "below_threshold,24",
            "outcomes-quality",
        ),
        (
            "paper_table03_outcomes",
            "integrity_flagged,11",
            "integrity_flagged,12",
            "outcomes-total",
        ),
        ("paper_table03_outcomes", "18,10.0", "18,11.0", "outcomes-percent"),
        ("paper_table04_best_seen", "7.84", "8.84", "best-seen-agent"),
        ("paper_table12_cost", "171.29", "172.29", "cost-totals"),
        ("paper_table13_cost_per_speedup", "19.16", "20.16", "cost-per-speedup"),
        (
            "paper_table14_failure_modes",
            "105,58.3",
            "104,58.3",
            "failure-modes-percent",
        ),
        (
            "paper_table16_best_of_three",
            "2,GLM-5,2,6.20,8.24",
            "2,GLM-5,2,6.20,7.24",
            "best-of-three-order",
        ),
        ("paper_table16_best_of_three", "1.62", "1.92", "best-of-three-bounds"),
        ("paper_table17_best_functioning", "1.61", "1.71", "best-functioning-ratios"),
        ("paper_table19_search_grid", "89.00", "79.00", "final-search"),
        ("paper_table11_native_units", "237.29", "257.29", "native-derived"),
        ("paper_figure02_time_budget", "2,3.37", "2,3.47", "budget-two-hours"),
        ("site_v1_0_5_leaderboard", "glm-5,3.22", "glm-5,3.32", "aggregates"),
        ("site_trajectory_families", "6,6\n", "6,7\n", "episodes-july"),
        (
            "paper_table02_leaderboard",
            "33.93",
            "43.93",
            "no-agent-beats-a-default-on-c",
        ),
        (
            "paper_table02_leaderboard",
            "agent,7,4.22",
            "agent,7,4.02",
            "agents-beat-vllm",
        ),
        ("paper_table21_forced_engine", "4.62", "5.62", "forced-search"),
        ("paper_figure02_time_budget", "2,1.24", "2,1.14", "budget-most-gain"),
        ("site_v1_0_5_leaderboard", "7.52", "6.22", "strict-fable"),
        (
            "site_v1_0_5_leaderboard",
            "fable-5-1,9.83",
            "fable-5-1,9.03",
            "first-september",
        ),
        (
            "site_config_distribution",
            "first,1,61",
            "first,1,14",
            "median-configurations",
        ),
        (
            "technique_mentions",
            "site_first,quantization,96",
            "site_first,quantization,95",
            "mentions-quantization",
        ),
        ("quality_baselines", "0.256,122", "0.256,123", "quality-baseline-threshold"),
        ("paper_table10_volatility", "7,2,6", "8,2,6", "volatility-counts"),
        ("paper_table13_cost_per_speedup", "4.68,,0.53", "4.68,1.0,0.53", "cost-cells"),
        ("isobench_results", "4,8,3,0", "4,8,2,1", "isobench-labels"),
        ("isobench_results", "11,20,2,6", "11,20,2,7", "isobench-quadrants"),
    ],
)
def test_a_changed_number_makes_its_claim_fail_and_names_it(
    folder: Path, edit: Edit, name: str, old: str, new: str, claim: str
) -> None:
    edit(name, old, new)
    checked = check(folder)
    assert checked[claim].verdict is ClaimVerdict.FAILS
    assert claim in plain(*report(list(checked.values())))[-1]
    # Whatever else a number enters, its file is named.
    assert f"{name}.csv" in checked["files-as-transcribed"].found.note


def test_a_failing_aggregate_names_its_row(folder: Path, edit: Edit) -> None:
    edit("site_v1_0_5_leaderboard", "glm-5,3.22", "glm-5,3.32")
    note = check(folder)["aggregates"].found.note
    assert "glm-5 in site_v1_0_5_leaderboard (3.32 against 3.2" in note


def test_an_inconsistency_that_is_gone_is_flagged(folder: Path, edit: Edit) -> None:
    edit("site_trajectory_stats", "2026-07-28,share_ship_vllm,0.6322",
         "2026-07-28,share_ship_vllm,0.8530")  # fmt: skip
    checked = check(folder)["vllm-share"]
    assert checked.verdict is ClaimVerdict.RESOLVED
    assert checked.verdict.is_failure
    assert "NOW AGREES" in plain(*report([checked]))[1]


def test_every_function_of_the_registry_is_used(checked: dict[str, Checked]) -> None:
    assert {c.claim.function for c in checked.values()} == set(REGISTRY)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("function: ratios", "function: rattios", "rattios.*did you mean 'ratios'"),
        ("function: ratios", "function: sem_factor, expects: holds", "unknown key"),
        ("id: transitions", "id: episodes-june", "stands twice"),
        ("rank: bon_rank, by:", "rank: 7, by:", "'7': unknown"),
        (
            "rank: bon_rank, by:",
            "rank: bon_rank, order:",
            "missing a required argument: 'by'",
        ),
        ("arguments: {agent: Claude Opus 4.7}", "arguments: {}", "'agent'"),
        (
            "{scenario: D}, column: concurrency}",
            "{scenario: C}, column: concurrency}",
            "names 3 rows",
        ),
        (
            "{scenario: D}, column: concurrency}",
            "{szenario: D}, column: concurrency}",
            "'szenario': unknown; did you mean 'scenario'",
        ),
        (
            "{method: SMAC}, column",
            "{method: SMACK}, column",
            "where.method: 'SMACK': unknown; did you mean 'SMAC'",
        ),
        (
            "arguments: {method: vLLM default}",
            "arguments: {method: vLLM defaults}",
            r"sem-vllm-default.*did you mean 'vLLM default'",
        ),
        (
            "arguments: {agent: Claude Opus 4.7}",
            "arguments: {agent: Claude Opus 4.77}",
            "opus-4-7-cost.*did you mean 'Claude Opus 4.7'",
        ),
        (
            "rows: {file: paper_table17_best_functioning}, rank: rank",
            "rows: {file: paper_table17_best_function}, rank: rank",
            "did you mean 'paper_table17_best_functioning'",
        ),
        (
            "method: default-vllm}",
            "method: default-vlm}",
            "rerun-vllm-default.*did you mean 'default-vllm'",
        ),
        (
            "column: b_tpot_ms}",
            "column: b_tpot_s}",
            "did you mean 'b_tpot_ms'",
        ),
    ],
)
def test_a_malformed_claim_is_one_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (PARAMS / "claims.yaml").read_text()
    assert old in text
    (tmp_path / "claims.yaml").write_text(text.replace(old, new, 1))
    (tmp_path / "profiles").symlink_to(PARAMS / "profiles")
    with pytest.raises(ParameterError, match=message) as raised:
        check(FOLDER, tmp_path)
    assert str(raised.value).count("\n") == 0
    assert str(tmp_path / "claims.yaml") in str(raised.value)


@pytest.mark.parametrize(
    ("relation", "obtained", "holds"),
    [
        ("equal", 2.0, True),
        ("equal", 2.1, False),
        ("above", 2.1, True),
        ("above", 2.0, False),
        ("below", 1.9, True),
        ("below", 2.0, False),
        ("above", math.nan, False),
        ("below", math.nan, False),
        ("equal", math.nan, False),
    ],
)
def test_a_bound_is_beyond_its_number(
    relation: str, obtained: float, *, holds: bool
) -> None:
    claim = Claim.model_validate(
        {"id": "x", "claim": "x", "source": "x", "function": "ratio",
         "relation": relation}
    )  # fmt: skip
    verdict = verdict_of(claim, CheckedNumber(2.0, obtained))
    assert verdict is (ClaimVerdict.AGREES if holds else ClaimVerdict.FAILS)


def test_a_bound_is_printed_as_one(checked: dict[str, Checked]) -> None:
    text = plain(*report([checked["strict-fable"], checked["budget-longer-opus"]]))
    assert " >2 " in text[1]
    assert any(" <0 " in line for line in text)


@pytest.mark.parametrize(
    ("profile", "claim", "reason"),
    [
        ("cpu", "rerun-baseline-a", "base model ibench/embedded-mistral"),
        ("a100", "rerun-baseline-a", "measured on a100, the paper on one H100"),
        ("qwen3-8b", "rerun-baseline-a", "base model Qwen/Qwen3-8B"),
        ("h100", "rerun-baseline-b", "TPOT is per word or text chunk, ours per token"),
        ("h100", "rerun-vllm-default", "concurrency 4, the original 96 at 1"),
        ("h100", "rerun-baseline-a", ""),
        ("original", "rerun-baseline-b", ""),
        ("original", "rerun-vllm-default", ""),
        ("original", "fresh-best-agent", ""),
    ],
)
def test_our_records_are_compared_with_their_like_or_not_at_all(
    profile: str, claim: str, reason: str
) -> None:
    found = {
        c.claim.id: c
        for c in check_claims(PARAMS, FOLDER, Path("nowhere"), profile)
    }[claim]  # fmt: skip
    assert reason in found.found.unlike
    unlike, none = ClaimVerdict.UNLIKE, ClaimVerdict.NOT_RUN
    assert found.verdict is (unlike if reason else none)
    assert not found.verdict.is_failure


def test_a_profile_that_does_not_exist_is_one_line() -> None:
    with pytest.raises(ParameterError, match="did you mean 'h100'"):
        check_claims(PARAMS, FOLDER, Path("nowhere"), "h10")


def claims(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ibench", "claims", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_command_ends_with_zero_one_or_two(folder: Path, edit: Edit) -> None:
    assert claims("--published", str(folder)).returncode == 0
    path = edit(
        "paper_table03_outcomes", "passed_both_gates,117", "passed_both_gates,116"
    )
    failed = claims("--published", str(folder))
    assert failed.returncode == 1
    assert "outcomes-passed" in failed.stdout.splitlines()[-1]
    path.write_text(path.read_text().replace("percent", "share"))
    broken = claims("--published", str(folder))
    assert broken.returncode == 2
    (line,) = broken.stderr.splitlines()
    assert line == f"ibench: {path}: column: 'percent': missing; restore the column"


def test_known_inconsistencies_of_the_dictionary_are_claims(
    checked: dict[str, Checked],
) -> None:
    """Those that numbers in the files can show; the others are about words and code."""
    texts = " ".join(c.claim.claim for c in checked.values())
    words = {8, 10, 11, 12, 15, 16, 17}
    missing = [i for i in range(1, 38) if i not in words and f"[{i}]" not in texts]
    assert missing == []
