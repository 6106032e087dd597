from __future__ import annotations

import math

import pandas as pd
import pytest

from ibench.analysis.paper.data import Published, cells_of
from ibench.analysis.paper.derive import (
    AGGREGATED,
    aggregate_cells,
    aggregate_rows,
    all_aggregates,
    best_of_three,
    geometric,
    implied_costs,
    native_units,
    rank_of,
    scenario_summary,
)

BOARD = "paper_table02_leaderboard"


def row(aggregate: float, *means: float) -> pd.DataFrame:
    columns = {f"{s}_speedup": [m] for s, m in zip("abcd", means, strict=True)}
    return pd.DataFrame({"aggregate_speedup": [aggregate], **columns})


def test_the_geometric_mean_of_four() -> None:
    assert geometric(row(0, 1, 2, 4, 8)).iloc[0] == pytest.approx(64**0.25)


def test_every_published_aggregate_is_explained_by_rounding(data: Published) -> None:
    rows = all_aggregates(data)
    assert len(rows) == 139
    assert (rows.excess == 0).all()
    worst = rows.iloc[int(rows.deviation.abs().to_numpy().argmax())]
    assert worst["row"] == "GPT-5.5 (High)"
    assert worst.deviation == pytest.approx(0.00705, abs=1e-5)
    assert set(rows.file) == set(AGGREGATED)


def test_a_wrong_aggregate_is_not_explained() -> None:
    assert aggregate_rows(row(4.05, 1.25, 2.25, 48.69, 1.96)).excess.iloc[0] == 0
    off = aggregate_rows(row(4.15, 1.25, 2.25, 48.69, 1.96)).iloc[0]
    assert off.excess > 0.08
    assert off.deviation == pytest.approx(4.15 - off.recomputed)


def test_an_aggregate_that_is_not_printed_is_left_out() -> None:
    assert aggregate_rows(row(math.nan, 1, 1, 1, 1)).empty


def test_equal_values_share_a_rank() -> None:
    assert list(rank_of(pd.Series([2.0, 3.0, 2.0, 1.0]))) == [2, 1, 2, 4]


def test_the_sem_is_propagated_to_first_order(data: Published) -> None:
    table = aggregate_cells(cells_of(data(BOARD))).set_index("method")
    assert table["aggregate"]["SMAC"] == pytest.approx(11.532, abs=1e-3)
    assert table["sem"]["vLLM default"] == pytest.approx(0.073, abs=1e-3)
    means, sems = (1.25, 2.25, 48.69, 1.96), (0.04, 0.10, 1.74, 0.06)
    spread = math.sqrt(sum((s / m) ** 2 for m, s in zip(means, sems, strict=True)))
    expected = math.prod(means) ** 0.25 / 4 * spread
    assert table["sem"]["vLLM default"] == pytest.approx(expected)


def test_the_scenario_breakdown(data: Published) -> None:
    table = scenario_summary(cells_of(data(BOARD))).set_index("scenario")
    assert list(table.highest_agent) == [3.69, 12.03, 33.93, 3.66]
    assert list(table.median_search) == [4.37, 14.76, 43.46, 5.58]
    assert table.best_agent["b"] == "Claude Sonnet 4.6"
    assert table.median_agent["a"] == 3.07
    assert (table.agents == 15).all()


def test_best_of_three_lies_within_its_bounds(data: Published) -> None:
    bounds = best_of_three(data(BOARD)).set_index("method")
    printed = data("paper_table16_best_of_three").set_index("agent")
    both = printed.join(bounds)
    assert (both.bon_aggregate_speedup >= both.bound_low).all()
    assert (both.bon_aggregate_speedup <= both.bound_high).all()


def test_the_largest_of_three_seeds_is_bounded() -> None:
    seeds = {"a": (1, 1, 4), "b": (2, 5, 5), "c": (1, 2, 3), "d": (7, 7, 7)}
    cells: dict[str, list[object]] = {"method": ["m"]}
    for name, values in seeds.items():
        series = pd.Series(values, dtype=float)
        cells[f"{name}_speedup"] = [series.mean()]
        cells[f"{name}_sem"] = [series.std(ddof=1) / math.sqrt(3)]
    bounds = best_of_three(pd.DataFrame(cells)).iloc[0]
    best = math.prod(max(v) for v in seeds.values()) ** 0.25
    assert bounds.bound_low <= best <= bounds.bound_high


def test_implied_costs_meet_the_totals(data: Published) -> None:
    table = implied_costs(data).set_index("agent")
    assert table.difference_usd.count() == 7
    assert table.difference_usd.abs().max() < 0.2
    opus = table.loc["Claude Opus 4.7"]
    assert opus.known_cells_usd == pytest.approx(1646.77, abs=0.01)
    assert opus.known_cells_usd > opus.total_usd
    assert table.usd_per_aggregate_speedup["GLM-5"] == pytest.approx(77.36 / 6.20)


def test_native_units_are_derived(data: Published) -> None:
    rows = native_units(data)
    assert len(rows) == 50
    assert rows.relative_deviation.abs().max() < 0.003
