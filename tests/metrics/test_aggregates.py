"""The aggregate's interval and the paired ratio: what they are of, and when none is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ibench.errors import MetricUndefinedError
from ibench.metrics.intervals import (
    aggregate,
    aggregate_interval,
    ratio_interval,
    speedup_interval,
)

STUDY = [[2.0, 2.2], [4.0, 4.2], [8.0, 7.6]]


def test_the_aggregate_is_the_geometric_mean_of_arithmetic_means() -> None:
    value = (2.1 * 4.1 * 7.8) ** (1 / 3)
    assert aggregate(STUDY) == pytest.approx(value)
    found = aggregate_interval(STUDY)
    assert found.value == pytest.approx(value)
    assert found.low < value < found.high


def test_one_scenario_is_students_interval_on_logarithms() -> None:
    values = [2.0, 2.1, 2.2]
    found = aggregate_interval([values])
    half = 4.3027 * np.std(values, ddof=1) / 2.1 / math.sqrt(3)
    assert found.high == pytest.approx(2.1 * math.exp(half), rel=1e-4)
    assert found.low == pytest.approx(2.1 / math.exp(half), rel=1e-4)


def test_the_spread_of_one_scenario_has_its_own_degrees_of_freedom() -> None:
    """Three scenarios without noise add none of their certainty to the fourth."""
    quiet = [[2.0, 2.0]] * 3
    found = aggregate_interval([[2.0, 2.2], *quiet])
    alone = aggregate_interval([[2.0, 2.2]])
    logs = [math.log(x.high / x.value) for x in (found, alone)]
    assert logs[0] == pytest.approx(logs[1] / 4)


def test_a_scenario_with_one_pair_spreads_as_the_others_do() -> None:
    whole, part = aggregate_interval(STUDY), aggregate_interval([[2.1], *STUDY[1:]])
    assert part.value == pytest.approx(whole.value)
    assert part.high > part.value


def test_a_paired_ratio_loses_what_both_sides_share() -> None:
    noise = np.array([[1.0, 1.3], [0.8, 1.1], [1.2, 0.9]])
    ours = [list(1.5 * np.array(x) * n) for x, n in zip(STUDY, noise, strict=True)]
    theirs = [list(np.array(x) * n) for x, n in zip(STUDY, noise, strict=True)]
    theirs[0][0] *= 1.01
    found = ratio_interval(ours, theirs)
    assert 1.45 < found.low < found.value < found.high < 1.55
    wide = [aggregate_interval(side) for side in (ours, theirs)]
    assert wide[0].low < wide[1].high  # the two intervals overlap all the same


def test_sides_exchanged_is_one_over_the_ratio() -> None:
    other = [[1.0, 1.2], [4.4, 4.0], [7.0, 7.7]]
    found, back = ratio_interval(STUDY, other), ratio_interval(other, STUDY)
    assert back.value == pytest.approx(1 / found.value)
    assert back.low == pytest.approx(1 / found.high)


@pytest.mark.parametrize(
    ("scenarios", "why"),
    [
        ([], "no scenario"),
        ([[]], "0 values"),
        ([[1.0, math.nan]], "finite"),
        ([[0.0, 0.0]], "without speed"),
        ([[2.0], [3.0]], "one seed pair"),
        ([[1.0, 1.0], [1.1, 1.1]], "all alike"),
    ],
)
def test_what_gives_no_interval_says_why(
    scenarios: list[list[float]], why: str
) -> None:
    with pytest.raises(MetricUndefinedError, match=why):
        aggregate_interval(scenarios)


def test_a_ratio_needs_the_same_pairs() -> None:
    with pytest.raises(ValueError, match="same seed pairs"):
        ratio_interval(STUDY, [[2.0], *STUDY[1:]])


def test_few_runs_against_many_are_not_narrower_than_pooled() -> None:
    """Two equal runs by chance must not make a ratio look certain."""
    ours, baseline = [1.0, 1.02, 0.98, 1.03, 0.97], [1.0, 1.0001]
    found = speedup_interval(ours, baseline)
    logs = np.log(ours), np.log(baseline)
    pooled = (4 * logs[0].var(ddof=1) + logs[1].var(ddof=1)) / 5
    half = 2.5706 * math.sqrt(pooled * (1 / 5 + 1 / 2))
    assert math.log(found.high / found.value) >= half
