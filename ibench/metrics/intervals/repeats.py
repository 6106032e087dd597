"""Intervals over repeated runs: of a mean, and of the ratio of two servers."""

from __future__ import annotations

import math

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

__all__ = ["speedup_interval", "t_interval"]

_UNEQUAL_SHARE = 1 / 3


def t_interval(values: Values, confidence: float = 0.95) -> Interval:
    """Student interval of a mean over repeated runs: ``m +- t(n - 1) s / sqrt(n)``.

    Exact for normal values; skewed ones are covered less often when they are few.

    Raises:
        MetricUndefinedError: fewer than two values.
    """
    sample = sample_of(values, 2)
    error = float(sample.std(ddof=1)) / math.sqrt(len(sample))
    return student(float(sample.mean()), error, len(sample) - 1, confidence)


def speedup_interval(
    ours: Values, baseline: Values, confidence: float = 0.95
) -> Interval:
    """Ratio of geometric means over runs, ``ours / baseline``, by Student's t on logs.

    Of equal numbers of runs it is Welch's interval. Of unequal ones Welch's is too
    narrow (90 to 93 % for five against two), so the larger of Welch's and the pooled
    variance is taken, with ``cautious_freedom``: at least 94 % whatever the two spreads
    are, for twice the width where they are alike. A third run on the short side costs
    less.

    Larger values are better ones: objectives or rates, or latencies with the sides
    exchanged. Runs count as independent; pair interleaved runs by their ratios and
    ``t_interval`` where drift is feared.

    Raises:
        MetricUndefinedError: fewer than two runs a side, or a value not positive.
    """
    a, b = _logs(ours, 2), _logs(baseline, 2)
    n, spread = np.array([len(a), len(b)]), np.array([a.var(ddof=1), b.var(ddof=1)])
    terms, difference = spread / n, float(a.mean() - b.mean())
    if terms.sum() == 0:
        ratio = math.exp(difference)
        return Interval(ratio, ratio, ratio, confidence)
    pooled = float(spread @ (n - 1)) / (n.sum() - 2) * float((1 / n).sum())
    error = math.sqrt(max(float(terms.sum()), pooled))
    share = 1.0 if len(a) == len(b) else _UNEQUAL_SHARE
    df = cautious_freedom(terms, n - 1.0, share)
    logs = student(difference, error, df, confidence)
    low, value, high = (math.exp(x) for x in logs[:3])
    return Interval(low, value, high, confidence)


def _logs(values: Values, least: int) -> Floats:
    sample = sample_of(values, least)
    if (sample <= 0).any():
        raise MetricUndefinedError("ratio of values that are not all positive")
    return np.log(sample)
