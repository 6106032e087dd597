from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ibench.analysis.paper.data import Published
from ibench.analysis.paper.statistics import (
    Draws,
    interquartile_means,
    parametric_draws,
    performance_profiles,
    probability_of_improvement,
    rank_intervals,
)
from ibench.analysis.paper.uncertainty import DrawSettings, quartiles, ranks


def cells(**methods: tuple[float, float]) -> pd.DataFrame:
    rows = [
        {"method": m, "scenario": s, "mean": mean, "sem": sem, "n": 3}
        for m, (mean, sem) in methods.items()
        for s in "abcd"
    ]
    return pd.DataFrame(rows)


def test_drawn_seeds_have_the_printed_mean_and_sem() -> None:
    draws = parametric_draws(cells(x=(5.0, 0.8), y=(1.0, 0.0)), 40_000, 1)
    own = draws.values[:, 0]
    assert own.mean() == pytest.approx(5.0, rel=0.005)
    assert own.std() / math.sqrt(3) == pytest.approx(0.8, rel=0.02)
    assert own.min() > 0
    assert (draws.values[:, 1] == 1.0).all()


def test_draws_are_reproducible() -> None:
    table = cells(x=(5.0, 0.8), y=(3.0, 0.2))
    first, second = (parametric_draws(table, 50, 3).values for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, parametric_draws(table, 50, 4).values)


def test_ranks_of_methods_far_apart_are_certain() -> None:
    draws = parametric_draws(cells(b=(2.0, 0.01), a=(9.0, 0.01)), 500, 1)
    table = rank_intervals(draws).set_index("method")
    assert list(table.loc["a", ["median_rank", "rank_low", "rank_high"]]) == [1, 1, 1]
    assert table.first_share["b"] == 0.0


def test_ranks_of_equal_methods_are_open() -> None:
    draws = parametric_draws(cells(a=(4.0, 0.9), b=(4.0, 0.9)), 4000, 1)
    table = rank_intervals(draws).set_index("method")
    assert (table.rank_low["a"], table.rank_high["a"]) == (1, 2)
    assert table.first_share["a"] == pytest.approx(0.5, abs=0.03)


def test_equal_methods_share_their_rank_in_any_order_of_rows() -> None:
    draws = parametric_draws(cells(a=(1.0, 0.0), b=(1.0, 0.0), c=(2.0, 0.0)), 10, 1)
    table = rank_intervals(draws).set_index("method")
    assert list(table.median_rank[["a", "b", "c"]]) == [2, 2, 1]
    assert (table.rank_low == table.rank_high).all()


def test_probability_of_improvement_against_the_closed_form() -> None:
    mean_x, mean_y, sem = 6.0, 5.0, 0.4
    draws = parametric_draws(cells(x=(mean_x, sem), y=(mean_y, sem)), 20_000, 5)
    table = probability_of_improvement(draws).set_index(["x", "y"])
    found = table.probability[("x", "y")]
    variance = [math.log1p(3 * (sem / m) ** 2) for m in (mean_x, mean_y)]
    shift = math.log(mean_x / mean_y) - (variance[0] - variance[1]) / 2
    assert found == pytest.approx(
        stats.norm.cdf(shift / math.sqrt(sum(variance))), abs=0.01
    )
    assert found + table.probability[("y", "x")] == pytest.approx(1.0)


def test_ties_count_half() -> None:
    table = probability_of_improvement(
        parametric_draws(cells(x=(1.0, 0.0), y=(1.0, 0.0)), 10, 1)
    )
    assert set(table.probability) == {0.5}


def test_profiles_count_runs_that_reach_a_speedup() -> None:
    values = np.tile(np.array([1.0, 2.0, 3.0]), (5, 1, 4, 1))
    table = performance_profiles(Draws(("m",), values), np.array([0.5, 2.0, 3.5]))
    assert list(table["share"]) == pytest.approx([1.0, 2 / 3, 0.0])


def test_the_interquartile_mean_is_a_trimmed_mean_of_logarithms() -> None:
    values = np.random.default_rng(0).lognormal(size=(1, 1, 4, 3))
    expected = math.exp(stats.trim_mean(np.log(values).ravel(), 0.25))
    assert interquartile_means(Draws(("m",), values)).iqm[0] == pytest.approx(expected)


def test_what_is_twice_as_fast_in_every_draw_is_first() -> None:
    slow = np.random.default_rng(0).choice([10.0, 11.0, 12.0], size=(200, 1, 2, 3))
    draws = Draws(("x", "y"), np.concatenate([slow, 2 * slow], axis=1))
    assert (rank_intervals(draws).median_rank == [2, 1]).all()


def test_the_leaderboard_of_the_paper_is_open_below_the_first_place(
    data: Published,
) -> None:
    table = ranks(data, DrawSettings(draws=1000)).data.set_index("method")
    assert table.median_rank["Claude Sonnet 4.6"] == 1
    assert table.rank_high["GLM-5"] - table.rank_low["GLM-5"] >= 3
    assert (table.rank_high >= table.rank_low).all()


def test_drawn_quartile_ranges_stand_beside_the_printed_ones(data: Published) -> None:
    table = quartiles(data, DrawSettings(draws=300))
    assert list(table.scenario) == ["A", "B", "C", "D"]
    assert (table.low <= table.drawn_mean_quartile_range).all()
    assert table.drawn_mean_quartile_range.between(0, 3).all()
