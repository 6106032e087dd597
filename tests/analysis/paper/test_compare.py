from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ibench import REPOSITORY
from ibench.analysis.paper.claims import ClaimVerdict, check_claims, verdict_of
from ibench.analysis.paper.compare import compare, compare_cells, kind_estimates
from ibench.analysis.paper.data import Published, cells_of
from ibench.analysis.paper.runs import cells_of_runs, finished_runs
from ibench.errors import CorruptResultError
from ibench.study.definition import Study
from perf.synthetic import make_study, publish_records
from tests.analysis.paper.conftest import FOLDER


def cells(mean: float, sem: float, n: int = 3, kind: str = "agent") -> pd.DataFrame:
    rows = [
        {"method": kind, "kind": kind, "scenario": s, "mean": mean, "sem": sem, "n": n}
        for s in "abcd"
    ]
    return pd.DataFrame(rows)


def test_one_method_has_the_t_interval_of_its_seeds() -> None:
    row = kind_estimates(cells(4.0, 0.2)).set_index("scenario").loc["a"]
    # Three seeds: two degrees of freedom, t = 4.303.
    assert row.value == pytest.approx(4.0)
    assert row.high == pytest.approx(4.0 * math.exp(4.3027 * 0.05), rel=1e-4)
    assert row.freedom == pytest.approx(2.0)


def test_methods_and_scenarios_average_the_noise_away() -> None:
    table = kind_estimates(cells(4.0, 0.2)).set_index("scenario")
    assert table.error["aggregate"] == pytest.approx(table.error["a"] / 2)
    assert table.freedom["aggregate"] == pytest.approx(8.0)


def test_a_method_without_all_scenarios_does_not_tilt_the_aggregate() -> None:
    more = cells(9.0, 0.2).assign(method="other")
    both = pd.concat([cells(4.0, 0.2), more[more.scenario == "a"]])
    row = kind_estimates(both).set_index("scenario").loc["aggregate"]
    assert row.value == pytest.approx((math.sqrt(36) * 4**3) ** 0.25)


def test_differences_are_judged_against_the_noise() -> None:
    def verdicts(mean: float, sem: float, n: int = 3) -> set[str]:
        return set(compare_cells(cells(mean, sem, n), cells(4.0, 0.1)).difference)

    assert verdicts(4.0, 0.1) == {"within the noise"}
    assert verdicts(9.0, 0.05) == {"larger than the noise"}
    assert verdicts(9.0, math.nan, 1) == {"noise unknown"}


def test_seeds_without_spread_differ_for_sure() -> None:
    table = compare_cells(cells(1.0, 0.0), cells(2.0, 0.0))
    assert set(table.difference) == {"larger than the noise"}
    same = compare_cells(cells(1.0, 0.0), cells(1.0, 0.0))
    assert "larger than the noise" not in set(same.difference)


def test_only_what_both_have_is_compared() -> None:
    ours = cells(4.0, 0.1)
    ours = ours[ours.scenario.isin(["a", "c"])]
    paper = pd.concat([cells(4.0, 0.1), cells(9.0, 0.1, kind="search")])
    table = compare_cells(ours, paper)
    assert set(table.kind) == {"agent"}
    assert list(table.scenario) == ["a", "c", "aggregate"]
    assert table.ratio.iloc[-1] == pytest.approx(1.0)


def test_the_paper_against_itself(data: Published) -> None:
    board = cells_of(data("paper_table02_leaderboard"))
    table = compare_cells(board, board).set_index(["kind", "scenario"])
    assert set(table.difference) == {"within the noise"}
    assert len(table) == 15
    assert table.value_ours["default", "c"] == pytest.approx(
        (48.69 * 51.12 * 41.94) ** (1 / 3)
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("compare")
    study = make_study(REPOSITORY / "params", folder, methods=3, seed_pairs=2)
    publish_records(study)
    return study


def test_a_profile_stands_beside_the_paper(study: Study, tmp_path: Path) -> None:
    text = compare(study, FOLDER, tmp_path)
    lines = text.splitlines()
    assert lines[0].startswith("| kind | scenario | ours | paper |")
    assert sum(line.startswith("| search |") for line in lines) == 5
    assert "By aggregate, ours:" in text
    assert "24 of 24 runs, 2 seed pairs" in text
    out = tmp_path / study.profile.name
    names = {p.name for p in out.iterdir()}
    tables = {f"compare.{k}" for k in ("csv", "md", "tex")}
    kinds = {"csv", "png", "pdf", "svg"}
    assert names == tables | {
        f"{n}.{k}" for n in ("kinds", "leaderboard") for k in kinds
    }


def test_a_study_under_way_is_compared_as_far_as_it_is(study: Study) -> None:
    finished = finished_runs(study)
    assert (len(finished.runs), finished.planned) == (24, 24)
    record = study.root / "d" / "m00" / "10000-20000" / "gating" / "record.json"
    kept = record.read_bytes()
    record.unlink()
    try:
        part = finished_runs(study)
    finally:
        record.write_bytes(kept)
    assert (len(part.runs), part.planned) == (23, 24)
    own = cells_of_runs(part.runs)
    assert own[(own.method == "m00") & (own.scenario == "d")].n.iloc[0] == 1


def test_nothing_finished_is_one_line(study: Study, tmp_path: Path) -> None:
    empty = Study(study.profile.name, study.params, tmp_path)
    with pytest.raises(CorruptResultError, match="no finished run: `make reproduce"):
        compare(empty, FOLDER, tmp_path)


def test_claims_read_the_records_of_a_profile(study: Study, tmp_path: Path) -> None:
    text = (REPOSITORY / "params" / "claims.yaml").read_text()
    params = study.params
    (params / "claims.yaml").write_text(text.replace("default-vllm", "m00"))
    checked = check_claims(params, FOLDER, study.results, study.profile.name)
    found = {c.claim.id: c for c in checked}
    rerun = found["rerun-vllm-default"]
    assert rerun.found.obtained > 0
    # The made records are of a profile with another load: they are shown, not judged.
    assert rerun.verdict is ClaimVerdict.UNLIKE
    alike = verdict_of(rerun.claim, replace(rerun.found, unlike=""))
    assert alike in (ClaimVerdict.AGREES, ClaimVerdict.FAILS)
    assert found["rerun-baseline-a"].found.obtained > 0
    assert found["fresh-smac"].verdict is ClaimVerdict.NOT_RUN
    assert "has no method smac-vllm" in found["fresh-smac"].found.note
