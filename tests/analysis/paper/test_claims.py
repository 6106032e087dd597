from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.analysis.paper.claims import (
    REGISTRY,
    Checked,
    ClaimVerdict,
    check_claims,
    report,
)
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
    assert verdicts.count(ClaimVerdict.AGREES) >= 60
    assert verdicts.count(ClaimVerdict.KNOWN) >= 30


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
        ("function: ratios", "function: ratio", "no function 'ratio'"),
        ("function: ratios", "function: sem_factor, expects: holds", "unknown key"),
        ("id: transitions", "id: episodes-june", "stands twice"),
        ("rank: bon_rank, by:", "rank: 7, by:", "does not fit"),
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
            "no such column",
        ),
    ],
)
def test_a_malformed_claim_is_one_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (PARAMS / "claims.yaml").read_text()
    assert old in text
    (tmp_path / "claims.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(ParameterError, match=message):
        check(FOLDER, tmp_path)


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
    words = {8, 10, 11, 12, 15, 16, 17, 32, 33}
    missing = [i for i in range(1, 35) if i not in words and f"[{i}]" not in texts]
    assert missing == []
