"""Intervals of an aggregate over scenarios, and of the ratio of two aggregates.

The number is the paper's: the geometric mean over scenarios of the arithmetic mean over
seed pairs. Scenarios are fixed, seed pairs are drawn: the interval speaks of other seed
pairs of the same scenarios. Failures that no run showed are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ibench.errors import MetricUndefinedError
from ibench.metrics.intervals.interval import (
    Floats,
    Interval,
    Values,
    cautious_freedom,
    sample_of,
    student,
)

__all__ = ["aggregate", "aggregate_interval", "ratio_interval"]

# Relative variance that the rounding of equal numbers can leave.
_ROUNDING = 1e-24
_EQUAL_SHARE, _UNEQUAL_SHARE = 1 / 2, 1 / 4


def aggregate(scenarios: Sequence[Values]) -> float:
    """Geometric mean over scenarios of the arithmetic mean over seed pairs.

    Raises:
        MetricUndefinedError: no scenario, one without a value, a mean not positive.
    """
    return math.exp(float(np.log(_relative(scenarios)[0]).mean()))


def aggregate_interval(
    scenarios: Sequence[Values], confidence: float = 0.95
) -> Interval:
    """Interval of ``exp(mean over scenarios of ln(mean over seed pairs))``.

    On logarithms, by the delta method: the variance of ``ln(mean)`` of a scenario is
    its relative variance over its number of pairs, ``(s / mean)^2 / n``. The parts add
    up over scenarios; the degrees of freedom are ``cautious_freedom``'s, half the way
    to Satterthwaite's and a quarter where scenarios have different numbers of pairs. A
    scenario with one pair is taken to spread as the others do, relative to its mean.

    Args:
        scenarios: the speedups of each scenario's seed pairs.
        confidence: within 0..1.

    Raises:
        MetricUndefinedError: no scenario, one without a value, a mean not positive, no
            scenario with two pairs, or values that are all alike (failed runs).
    """
    means, parts = _relative(scenarios)
    return _interval(np.log(means), parts, confidence)


def ratio_interval(
    ours: Sequence[Values], theirs: Sequence[Values], confidence: float = 0.95
) -> Interval:
    """Interval of the ratio of two aggregates, paired by scenario and seed pair.

    As ``aggregate_interval``, of the difference of logarithms: what both runs of a
    seed pair share, such as their baseline, cancels within the pair.

    Args:
        ours: the speedups of each scenario's seed pairs.
        theirs: of the same scenarios and seed pairs, in the same order.
        confidence: within 0..1.

    Raises:
        MetricUndefinedError: as for ``aggregate_interval``.
        ValueError: the two sides are not of the same scenarios and pairs.
    """
    if [len(x) for x in ours] != [len(x) for x in theirs]:
        raise ValueError("a paired ratio needs the same seed pairs on both sides")
    (a, left), (b, right) = _relative(ours), _relative(theirs)
    parts = [x - y for x, y in zip(left, right, strict=True)]
    return _interval(np.log(a) - np.log(b), parts, confidence)


def _relative(scenarios: Sequence[Values]) -> tuple[Floats, list[Floats]]:
    """Each scenario's mean, and its values over their mean."""
    samples = [sample_of(values, 1) for values in scenarios]
    means = np.array([sample.mean() for sample in samples])
    if not samples or (means <= 0).any():
        raise MetricUndefinedError("aggregate of no scenario, or of one without speed")
    return means, [x / mean for x, mean in zip(samples, means, strict=True)]


def _interval(logs: Floats, parts: Sequence[Floats], confidence: float) -> Interval:
    """From each scenario's logarithm and the influence of each of its pairs on it."""
    n = np.array([len(part) for part in parts])
    several = n > 1
    if not several.any():
        raise MetricUndefinedError("one seed pair a scenario gives no interval")
    freedom = (n - 1)[several]
    spread = np.array([part.var(ddof=1) for part in parts if len(part) > 1])
    weight = 1 / n / len(parts) ** 2
    borrowed = weight[~several].sum() * freedom / freedom.sum()
    terms = (weight[several] + borrowed) * spread
    variance = float(terms.sum())
    if variance < _ROUNDING:
        raise MetricUndefinedError("values that are all alike give no interval")
    share = _EQUAL_SHARE if len(set(n.tolist())) == 1 else _UNEQUAL_SHARE
    df = cautious_freedom(terms, freedom * 1.0, share)
    found = student(float(logs.mean()), math.sqrt(variance), df, confidence)
    low, value, high = (math.exp(x) for x in found[:3])
    return Interval(low, value, high, confidence)
