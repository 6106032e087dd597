from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ibench.analysis.paper.budget import agent_slopes, fit_budget_model
from ibench.analysis.paper.data import Published
from ibench.analysis.paper.power import (
    adjacent_pairs,
    gate_threshold,
    kappa_from_margins,
    kappa_interval,
    mcnemar_questions,
    paired_pass_probability,
    pass_probability,
    questions_needed,
    sem_coverage,
    sem_coverage_simulated,
    share_resolved,
)


def test_mean_and_sem_of_three_cover_57_7_percent() -> None:
    # With two degrees of freedom P(|t| < 1) = 1 / sqrt(3).
    assert sem_coverage(3) == pytest.approx(1 / math.sqrt(3), abs=1e-12)
    assert sem_coverage(2) == pytest.approx(0.5)
    assert sem_coverage(10_000) == pytest.approx(0.6827, abs=1e-3)


def test_the_coverage_comes_out_of_a_simulation() -> None:
    found = sem_coverage_simulated(3, failures=0.0, spread=0.01, draws=40_000, seed=1)
    assert found == pytest.approx(sem_coverage(3), abs=0.01)


@pytest.mark.parametrize(("correct", "needed"), [(128, 122), (151, 144), (149, 142)])
def test_thresholds_of_the_published_baselines(correct: int, needed: int) -> None:
    assert gate_threshold(0.95, correct) == needed


def test_a_threshold_is_not_raised_by_binary_fractions() -> None:
    assert gate_threshold(0.95, 140) == 133


def test_the_gate_refuses_one_equal_server_in_four() -> None:
    refused = 1 - pass_probability(1.0, n=500, baseline=128, tau=0.95)
    expected = sum(stats.binom.pmf(k, 500, 0.256) for k in range(122))
    assert refused == pytest.approx(expected)
    assert 0.24 < refused < 0.27


@pytest.mark.parametrize("ratio", [1.0, 0.95, 0.9])
def test_paired_answers_against_a_simulation(ratio: float) -> None:
    n, baseline, tau, changed = 500, 128, 0.95, 0.06
    p = baseline / n
    lost, gained = (changed + p * (1 - ratio)) / 2, (changed - p * (1 - ratio)) / 2
    rng = np.random.default_rng(2)
    losses = rng.binomial(baseline, lost / p, 60_000)
    gains = rng.binomial(n - baseline, gained / (1 - p), 60_000)
    passed = (baseline - losses + gains >= gate_threshold(tau, baseline)).mean()
    found = paired_pass_probability(
        ratio, n=n, baseline=baseline, tau=tau, discordance=changed
    )
    assert found == pytest.approx(passed, abs=0.01)


def test_a_loss_needs_changed_answers() -> None:
    with pytest.raises(ValueError, match="needs more"):
        paired_pass_probability(0.9, n=500, baseline=128, tau=0.95, discordance=0.02)


@pytest.mark.parametrize("discordance", [None, 0.05])
def test_needed_questions_keep_the_error(discordance: float | None) -> None:
    n = questions_needed(0.256, 0.95, discordance=discordance)
    rng = np.random.default_rng(3)
    if discordance is None:
        base, own = rng.binomial(n, 0.256, (2, 40_000))
        refused = (own < 0.95 * base).mean()
    else:
        half = discordance / 2
        base = 0.256 * n
        own = base - rng.binomial(n, half, 40_000) + rng.binomial(n, half, 40_000)
        refused = (own < 0.95 * base).mean()
    assert refused == pytest.approx(0.05, abs=0.007)


def test_mcnemar_questions_reach_their_power() -> None:
    lost, gained = 0.06, 0.03
    n = mcnemar_questions(lost, gained)
    rng = np.random.default_rng(4)
    counts = rng.multinomial(n, [lost, gained, 1 - lost - gained], 20_000)
    z = (counts[:, 0] - counts[:, 1]) / np.sqrt(counts[:, 0] + counts[:, 1])
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.02)


def test_kappa_against_its_formula() -> None:
    table = np.array([[20, 5], [10, 15]])  # agreement 0.7, by chance 0.5
    found = kappa_interval(table)
    assert found["kappa"] == pytest.approx(0.4)
    assert found["agreement"] == pytest.approx(0.7)
    assert found["low"] < 0.4 < found["high"]


def test_the_kappa_interval_covers() -> None:
    truth = kappa_from_margins(0.6, 1, 0.3)
    rng, inside = np.random.default_rng(5), 0
    for counts in rng.multinomial(200, truth.ravel(), 400):
        found = kappa_interval(counts.reshape(2, 2))
        inside += found["low"] <= 0.6 <= found["high"]
    assert inside / 400 == pytest.approx(0.95, abs=0.03)


def test_a_kappa_gives_its_table_back() -> None:
    table = kappa_from_margins(0.82, 180, 11)
    assert table.sum() == pytest.approx(180)
    assert table[1].sum() == pytest.approx(11)
    assert kappa_interval(table)["kappa"] == pytest.approx(0.82)


def test_seed_pairs_for_two_methods_reach_their_power() -> None:
    table = pd.DataFrame(
        {"method": ["x", "y"], "aggregate": [5.0, 4.0], "sem": [0.6, 0.5], "n": 3}
    )
    row = adjacent_pairs(table).iloc[0]
    assert (row.method, row.next) == ("x", "y")
    n = int(row.seed_pairs)
    rng = np.random.default_rng(6)
    spread = np.array([0.6 / 5, 0.5 / 4]) * math.sqrt(3 / n)
    drawn = np.log([5.0, 4.0]) + spread * rng.standard_normal((20_000, 2))
    z = (drawn[:, 0] - drawn[:, 1]) / math.hypot(*spread)
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.03)


def test_more_seed_pairs_resolve_more() -> None:
    table = pd.DataFrame(
        {
            "method": list("wxyz"),
            "aggregate": [5.0, 4.0, 4.0, 1.0],
            "sem": [0.6, 0.5, 0.5, 0.0],
            "n": 3,
        }
    )
    shares = share_resolved(table, (3, 30, 10**9))
    assert shares.all_pairs.is_monotonic_increasing
    # Equal methods are never told apart.
    assert shares.all_pairs.iloc[-1] == pytest.approx(5 / 6)
    assert adjacent_pairs(table).seed_pairs.iloc[1] == math.inf


def test_methods_without_spread_need_two_pairs_or_never_differ() -> None:
    """A printed SEM of 0 on both sides: the difference is infinitely many errors."""
    table = pd.DataFrame(
        {"method": list("xyz"), "aggregate": [5.0, 4.0, 4.0], "sem": 0.0, "n": 3}
    )
    differ, alike = adjacent_pairs(table).itertuples()
    assert (differ.seed_pairs, differ.z) == (2.0, math.inf)
    assert (alike.seed_pairs, alike.z) == (math.inf, 0.0)
    assert share_resolved(table, (2,)).all_pairs.iloc[0] == pytest.approx(2 / 3)


def budget(agents: int, slope: float, noise: float) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    rows = []
    for i in range(agents):
        own = slope + 0.1 * rng.standard_normal()
        start = 1 + 0.3 * rng.standard_normal()
        for hours in (1, 2, 4, 8):
            y = start + own * math.log2(hours) + noise * rng.standard_normal()
            rows.append((f"m{i}", hours, math.exp(y)))
    return pd.DataFrame(rows, columns=["model", "budget_hours", "aggregate_speedup"])


def test_the_mixed_model_finds_a_slope_where_there_are_agents_enough() -> None:
    model = fit_budget_model(budget(30, 0.3, 0.1))
    assert model.slope == pytest.approx(0.3, abs=0.06)
    assert model.low < 0.3 < model.high
    assert not model.singular
    assert "singular" not in model.sentence()


def test_three_agents_are_too_few_and_the_model_says_so(data: Published) -> None:
    model = fit_budget_model(data("paper_figure02_time_budget"))
    assert model.singular
    assert "is singular" in model.sentence()
    assert (model.observations, model.agents) == (12, 3)


def test_one_line_per_agent() -> None:
    frame = budget(2, 0.3, 0.0)
    table = agent_slopes(frame)
    log = np.log(frame.aggregate_speedup[:4])
    assert table.factor_per_doubling[0] == pytest.approx(
        math.exp((log[3] - log[0]) / 3)
    )
