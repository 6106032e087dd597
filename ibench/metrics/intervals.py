"""How sure a number is: confidence intervals, least sample sizes, when to stop.

Inside one run: ``percentile_interval`` for latencies, ``batch_means_interval`` for
throughput. They know nothing of what differs between runs (placement, clocks,
neighbours). Over repeated runs: ``t_interval``, ``speedup_interval``. A/A mode is the
ratio with the same server on both sides: the interval must cover 1.00. Coverage by
simulation stands in tests/metrics/test_intervals.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ibench.errors import MetricUndefinedError
from ibench.metrics.requests import percentile

__all__ = [
    "Interval", "SequentialStop", "batch_means_interval", "minimum_n",
    "percentile_interval", "speedup_interval", "t_interval", "tail_is_shown",
]  # fmt: skip

Floats: TypeAlias = NDArray[np.float64]
Values: TypeAlias = Sequence[float] | NDArray[Any]
Target: TypeAlias = Literal["p50", "mean", "rate"]
_LEAST_BATCHES = 5
_LOOK_GROWTH = 1.1
_FAR = 0.9999


class Interval(NamedTuple):
    """A value between its limits; ``confidence`` in 0..1."""

    low: float
    value: float
    high: float
    confidence: float

    @property
    def relative_half_width(self) -> float:
        """``(high - low) / (2 |value|)``: 0.01 reads as plus or minus 1 %.

        Raises:
            MetricUndefinedError: the value is 0.
        """
        if self.value == 0:
            raise MetricUndefinedError("relative width around 0")
        return (self.high - self.low) / 2 / abs(self.value)


def percentile_interval(values: Values, q: float, confidence: float = 0.95) -> Interval:
    """Distribution-free interval of percentile ``q`` from independent values.

    Order statistics ``x_(l)``, ``x_(u)`` enclose the percentile with probability
    ``P(l <= Bin(n, q/100) < u)``; the ranks are the closest pair that reaches the
    confidence, the most even one of equals (Hahn & Meeker, Statistical Intervals,
    5.2). Ties only raise the coverage.

    Raises:
        MetricUndefinedError: no pair of ranks reaches the confidence: n is too small.
    """
    ordered = np.sort(_sample(values, 1))
    ranks = _ranks(len(ordered), q / 100, _checked(confidence))
    if ranks is None:
        raise MetricUndefinedError(
            f"p{q:g} of {len(ordered)} values has no {confidence:.0%} interval"
        )
    low, high = float(ordered[ranks[0] - 1]), float(ordered[ranks[1] - 1])
    value = percentile(ordered.tolist(), q)
    # With few values interpolation may leave the ranks: widening keeps the claim.
    return Interval(min(low, value), value, max(high, value), confidence)


@lru_cache(maxsize=1024)
def _ranks(n: int, p: float, confidence: float) -> tuple[int, int] | None:
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
    p, left = min(q, 100 - q) / 100, 1 - _checked(confidence)
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
    times = _sample(times_s, 1)
    counts = np.ones_like(times) if weights is None else _sample(weights, 1)
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
    return _student(value, error * math.sqrt((1 + r) / (1 - r)), k - 1, confidence)


def _lag1(values: NDArray[np.floating[Any]]) -> float:
    centred = values - values.mean()
    total = float(centred @ centred)
    return float(centred[:-1] @ centred[1:]) / total if total > 0 else 0.0


def t_interval(values: Values, confidence: float = 0.95) -> Interval:
    """Student interval of a mean over repeated runs: ``m +- t(n - 1) s / sqrt(n)``.

    Exact for normal values; skewed ones are covered less often when they are few.

    Raises:
        MetricUndefinedError: fewer than two values.
    """
    sample = _sample(values, 2)
    error = float(sample.std(ddof=1)) / math.sqrt(len(sample))
    return _student(float(sample.mean()), error, len(sample) - 1, confidence)


def _student(value: float, error: float, df: float, confidence: float) -> Interval:
    half = float(stats.t.ppf((1 + _checked(confidence)) / 2, df)) * error
    return Interval(value - half, value, value + half, confidence)


def speedup_interval(
    ours: Values, baseline: Values, confidence: float = 0.95
) -> Interval:
    """Ratio of geometric means over runs, ``ours / baseline``; Welch's t on logs.

    Larger values are better ones: objectives or rates, or latencies with the sides
    exchanged. Runs count as independent; pair interleaved runs by their ratios and
    ``t_interval`` where drift is feared.

    Raises:
        MetricUndefinedError: fewer than two runs a side, or a value not positive.
    """
    a, b = _logs(ours, 2), _logs(baseline, 2)
    parts = [float(x.var(ddof=1)) / len(x) for x in (a, b)]
    difference, variance = float(a.mean() - b.mean()), sum(parts)
    if variance == 0:
        ratio = math.exp(difference)
        return Interval(ratio, ratio, ratio, confidence)
    pairs = zip(parts, (a, b), strict=True)
    df = variance**2 / sum(v**2 / (len(x) - 1) for v, x in pairs)
    logs = _student(difference, math.sqrt(variance), df, confidence)
    low, value, high = (math.exp(x) for x in logs[:3])
    return Interval(low, value, high, confidence)


class SequentialStop:
    """Stop a run once its number is known well enough.

    The interval is looked at when ``minimum_n`` values are there and then at each
    growth by 10 %; the run may stop at the second look in a row whose relative half
    width is small enough (Chow & Robbins 1965: such intervals keep their coverage as
    the width goes to 0; the second look, and for ``p50`` a width that is judged by a
    99.99 % interval too, keep it at widths of some per cent). Simulated at
    95 %: p50 and rate 94.7 to 95.0 % at half widths of 5 and 10 %, mean 94.3 % at 5 %
    and 93.5 % at 10 %.

    Args:
        relative_half_width: what is asked for, such as 0.01.
        minimum_n: no stop before this many values.
        confidence: of the interval.
        target: ``p50`` or ``mean`` of the values, or the ``rate`` of events whose
            times, in seconds and in order, the values are.
    """

    def __init__(
        self,
        relative_half_width: float,
        minimum_n: int,
        *,
        confidence: float = 0.95,
        target: Target = "p50",
    ) -> None:
        """Refuse what can never be met: a width that is not positive."""
        if not relative_half_width > 0:
            raise ValueError(f"a relative half width of {relative_half_width}")
        self._width, self._target = relative_half_width, target
        self._confidence = _checked(confidence)
        self._next_n, self._streak = max(minimum_n, 2), 0

    def enough(self, values: Values) -> bool:
        """Whether to stop; call it after each value with all values so far."""
        if self._streak < 2 and len(values) >= self._next_n:
            self._next_n = math.ceil(len(values) * _LOOK_GROWTH)
            self._streak = self._streak + 1 if self._is_narrow(values) else 0
        return self._streak >= 2

    def interval(self, values: Values) -> Interval:
        """Interval of the target.

        Raises:
            MetricUndefinedError: too few values.
        """
        if self._target == "p50":
            return percentile_interval(values, 50, self._confidence)
        if self._target == "mean":
            return t_interval(values, self._confidence)
        first, last = (values[0], values[-1]) if len(values) else (0.0, 0.0)
        return batch_means_interval(values, first, last, confidence=self._confidence)

    def _is_narrow(self, values: Values) -> bool:
        try:
            return self._half_width(values) <= self._width
        except MetricUndefinedError:
            return False

    def _half_width(self, values: Values) -> float:
        width = self.interval(values).relative_half_width
        if self._target != "p50":
            return width
        # Two order statistics lie close together by chance now and then; to stop at
        # those moments cost a point of coverage. Ranks far apart vary less.
        far = percentile_interval(values, 50, _FAR).relative_half_width
        near_z, far_z = stats.norm.ppf([(1 + self._confidence) / 2, (1 + _FAR) / 2])
        return max(width, far * float(near_z / far_z))


def _sample(values: Values, least: int) -> Floats:
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < least or not np.isfinite(sample).all():
        raise MetricUndefinedError(
            f"interval of {len(sample)} values: {least} needed, all of them finite"
        )
    return sample


def _logs(values: Values, least: int) -> Floats:
    sample = _sample(values, least)
    if (sample <= 0).any():
        raise MetricUndefinedError("ratio of values that are not all positive")
    return np.log(sample)


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} outside 0..1")
    return confidence
