from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from ibench import REPOSITORY
from ibench.analysis.scores import (
    aggregate_table,
    cell_table,
    outcome_table,
    score,
    with_speedups,
)
from ibench.params import Stat

CHOICES = Stat(floor_below_baseline=False, confidence=0.95)


def frame(rows: Sequence[tuple[str, str, str, str, float | None]]) -> pd.DataFrame:
    """Rows of scenario, method, seeds, outcome, objective over a baseline of 2.0."""
    names = ["scenario", "method", "seeds", "outcome", "objective"]
    runs = pd.DataFrame(rows, columns=names).assign(baseline_objective=2.0)
    return runs.assign(ratio=runs.objective.astype(float) / 2.0)


@pytest.mark.parametrize(
    ("outcome", "ratio", "floor", "expected"),
    [
        ("ok", 2.5, False, 2.5),
        ("ok", 0.5, False, 0.5),
        ("ok", 0.5, True, 1.0),
        ("quality", 25.0, False, 1.0),
        ("integrity", 25.0, False, 1.0),
        ("unreachable", None, False, 1.0),
        ("ok", None, False, 1.0),
    ],
)
def test_score(outcome: str, ratio: float | None, floor: bool, expected: float) -> None:
    assert score(outcome, ratio, 2.0, floor=floor) == expected


@pytest.mark.parametrize(("outcome", "baseline"), [("incomplete", 2.0), ("ok", None)])
def test_no_score_where_none_is_defined(outcome: str, baseline: float | None) -> None:
    assert math.isnan(score(outcome, 5.0, baseline, floor=False))


def test_cells_have_mean_and_sem_with_ddof_1() -> None:
    values = [2.0, 4.0, 9.0]
    rows = [("a", "m", str(i), "ok", 2 * v) for i, v in enumerate(values)]
    cell = cell_table(with_speedups(frame(rows), CHOICES)).iloc[0]
    assert cell["mean"] == 5.0
    assert cell["sem"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(3))


def test_the_sem_of_one_seed_pair_is_unknown() -> None:
    cells = cell_table(with_speedups(frame([("a", "m", "1", "ok", 4.0)]), CHOICES))
    assert math.isnan(cells.iloc[0]["sem"])


def test_the_aggregate_is_the_geometric_mean_of_scenario_means() -> None:
    rows = [
        ("a", "m", "1", "ok", 4.0),
        ("a", "m", "2", "ok", 12.0),
        ("b", "m", "1", "ok", 18.0),
        ("b", "m", "2", "quality", 99.0),
    ]
    table = aggregate_table(with_speedups(frame(rows), CHOICES), CHOICES)
    assert table.iloc[0]["aggregate"] == pytest.approx(math.sqrt(4.0 * 5.0))
    assert table.iloc[0].low <= table.iloc[0]["aggregate"] <= table.iloc[0].high
    again = aggregate_table(with_speedups(frame(rows), CHOICES), CHOICES)
    pd.testing.assert_frame_equal(table, again)


def test_the_published_aggregates_come_out_within_rounding() -> None:
    path = REPOSITORY / "results/published/paper_table02_leaderboard.csv"
    board = pd.read_csv(path)
    letters = ["a", "b", "c", "d"]
    means = board[[f"{s}_speedup" for s in letters]].dropna()
    got = np.exp(np.log(means).mean(axis=1))
    printed = board.loc[means.index, "aggregate_speedup"]
    assert (got - printed).abs().max() < 0.011
    assert len(means) >= 20


def test_intervals_widen_with_the_spread() -> None:
    narrow = [("a", "m", str(i), "ok", v) for i, v in enumerate([4.0, 4.1, 4.2])]
    wide = [("a", "m", str(i), "ok", v) for i, v in enumerate([1.0, 4.0, 9.0])]
    widths = []
    for rows in (narrow, wide):
        row = aggregate_table(with_speedups(frame(rows), CHOICES), CHOICES).iloc[0]
        widths.append(row.high - row.low)
    assert widths[0] < widths[1]


def test_runs_without_a_score_are_left_out_and_counted() -> None:
    rows = [
        ("a", "m", "1", "ok", 4.0),
        ("a", "m", "2", "incomplete", 4.0),
        ("b", "m", "1", "ok", 8.0),
        ("b", "m", "2", "ok", 9.0),
        ("a", "n", "1", "incomplete", 4.0),
    ]
    runs = with_speedups(frame(rows), CHOICES)
    table = aggregate_table(runs, CHOICES).set_index("method")
    assert list(table.loc["m", ["scenarios", "runs", "scored"]]) == [2, 4, 3]
    assert table["aggregate"]["m"] == pytest.approx(math.sqrt(2.0 * 4.25))
    assert table.low["m"] < table["aggregate"]["m"] < table.high["m"]
    assert math.isnan(table["aggregate"]["n"])
    cells = cell_table(runs).set_index(["method", "scenario"])
    assert list(cells.loc[("m", "a"), ["n", "runs"]]) == [1, 2]


def test_fewer_scenarios_stand_below_all_of_them() -> None:
    rows = [("a", "m", "1", "ok", 40.0), ("b", "m", "1", "incomplete", 4.0)]
    rows += [("a", "n", "1", "ok", 4.0), ("b", "n", "1", "ok", 4.0)]
    table = aggregate_table(with_speedups(frame(rows), CHOICES), CHOICES)
    assert list(table.method) == ["n", "m"]
    assert table.low.isna().all()  # one seed pair


def test_every_outcome_is_counted_also_when_it_is_zero() -> None:
    rows = [("a", "m", "1", "ok", 4.0), ("a", "m", "2", "quality", 4.0)]
    counts = outcome_table(frame(rows)).iloc[0]
    assert (counts.ok, counts.quality, counts.integrity) == (1, 1, 0)
