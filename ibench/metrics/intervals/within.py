"""Intervals inside one run: percentiles of latencies, rates of events.

They know nothing of what differs between runs (placement, clocks, neighbours).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ibench.errors import MetricUndefinedError
from ibench.metrics.intervals.interval import (
    Interval,
    Values,
    checked,
    sample_of,
    student,
)
from ibench.metrics.requests import percentile

__all__ = [
    "batch_means_interval",
    "minimum_n",
    "percentile_interval",
    "ranks",
    "tail_is_shown",
]

_LEAST_BATCHES = 5


def percentile_interval(values: Values, q: float, confidence: float = 0.95) -> Interval:
    """Distribution-free interval of percentile ``q`` from independent values.

    Order statistics ``x_(l)``, ``x_(u)`` enclose the percentile with probability
    ``P(l <= Bin(n, q/100) < u)``; the ranks are the closest pair that reaches the
    confidence, the most even one of equals (Hahn & Meeker, Statistical Intervals,
    5.2). Ties only raise the coverage.

    Raises:
        MetricUndefinedError: no pair of ranks reaches the confidence: n is too small.
    """
    ordered = np.sort(sample_of(values, 1))
    found = ranks(len(ordered), q / 100, checked(confidence))
    if found is None:
        raise MetricUndefinedError(
            f"p{q:g} of {len(ordered)} values has no {confidence:.0%} interval"
        )
    low, high = (float(ordered[rank - 1]) for rank in found)
    value = percentile(ordered.tolist(), q)
    # With few values interpolation may leave the ranks: widening keeps the claim.
    return Interval(min(low, value), value, max(high, value), confidence)


@lru_cache(maxsize=1024)
def ranks(n: int, p: float, confidence: float) -> tuple[int, int] | None:
    """The ranks of ``percentile_interval``, counted from 1; none: n is too small."""
    # At place l - 1 stands P(Bin < l), and at place u - 1 what l and u lie below.
    below = stats.binom.cdf(np.arange(n), n, p)
    upper = np.searchsorted(below, below + confidence) + 1
    places = np.flatnonzero(upper <= n)
    if not len(places):
        return None
    low, high = places + 1, upper[places]
    unevenness = np.abs(below[places] - (1 - below[high - 1]))
    best = np.lexsort((unevenness, high - low))[0]
    return int(low[best]), int(high[best])


def minimum_n(q: float, confidence: float = 0.99) -> int:
    """Least number of values that shows percentile ``q``.

    Smallest n with ``P(Bin(n, p) <= 1) <= 1 - confidence``, ``p`` the share beyond
    the percentile on its nearer side: at least two values lie out there (rule of
    MLPerf Endpoints). At 99 %: p90 64, p95 130, p99 662, p99.9 6,636.

    Raises:
        ValueError: the percentile is not strictly within 0..100.
    """
    p, left = min(q, 100 - q) / 100, 1 - checked(confidence)
    if not p > 0:
        raise ValueError(f"no number of values shows p{q:g}")

    def chance(n: int) -> float:
        return float((1 - p) ** n + n * p * (1 - p) ** (n - 1))

    low, high = 0, 1
    while chance(high) > left:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) <= left else (middle, high)
    return high


def tail_is_shown(q: float, n: int, confidence: float = 0.99) -> bool:
    """Whether ``n`` values are enough to print percentile ``q`` (``minimum_n``)."""
    return n >= minimum_n(q, confidence)


def batch_means_interval(
    times_s: Values,
    start_s: float,
    end_s: float,
    *,
    weights: Values | None = None,
    confidence: float = 0.95,
    batches: int = 20,
) -> Interval:
    """Interval of a throughput, per second, from the events of one window.

    The window is cut into k batches of equal time, at most ``batches`` and with five
    events each on average. While successive batch rates correlate (lag-1
    autocorrelation r above 1.645 / sqrt(k), one-sided 5 %), k is halved, to no less
    than five. Then ``mean +- t(k - 1) s / sqrt(k)``, where what correlation is left
    counts through ``s^2 (1 + r) / (1 - r)`` (Law, Simulation Modeling and Analysis,
    9.5.3; the AR(1) form). Short windows hide what correlates over a good part of
    them: give it some hundred times the time over which the rate drifts.

    Args:
        times_s: when each event ended; those outside ``start < t <= end`` are ignored.
        start_s: begin of the steady window; ramp-up before it is the caller's to cut.
        end_s: its end.
        weights: what each event counts, such as its tokens; one each by default.
        confidence: within 0..1.
        batches: how many to start with.

    Raises:
        MetricUndefinedError: an empty window, or too few events for five batches.
        ValueError: the weights are not one an event.
    """
    times = sample_of(times_s, 1)
    counts = np.ones_like(times) if weights is None else sample_of(weights, 1)
    if len(counts) != len(times):
        raise ValueError(f"{len(counts)} weights of {len(times)} events")
    inside = (times > start_s) & (times <= end_s)
    k = min(batches, int(inside.sum()) // 5)
    if not start_s < end_s or k < _LEAST_BATCHES:
        raise MetricUndefinedError(
            f"throughput interval of {inside.sum()} events in {end_s - start_s:g} s"
        )
    share = (end_s - times[inside]) / (end_s - start_s)
    while True:
        # From the end, so that a batch holds its last moment and not its first.
        places = np.minimum((share * k).astype(np.int64), k - 1)
        sums = np.bincount(places, weights=counts[inside], minlength=k)
        rates = sums * (k / (end_s - start_s))
        r = _lag1(rates)
        if r <= 1.645 / math.sqrt(k) or k // 2 < _LEAST_BATCHES:
            break
        k //= 2
    value, error = float(rates.mean()), float(rates.std(ddof=1)) / math.sqrt(k)
    r = min(max(r, 0.0), 0.9)
    return student(value, error * math.sqrt((1 + r) / (1 - r)), k - 1, confidence)


def _lag1(values: NDArray[np.floating[Any]]) -> float:
    centred = values - values.mean()
    total = float(centred @ centred)
    return float(centred[:-1] @ centred[1:]) / total if total > 0 else 0.0
