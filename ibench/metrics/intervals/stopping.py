"""When a run knows its number well enough to stop."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
from scipy import stats

from ibench.errors import MetricUndefinedError
from ibench.metrics.intervals.correlation import inflation
from ibench.metrics.intervals.interval import (
    Floats,
    Interval,
    Values,
    checked,
    sample_of,
    student,
)
from ibench.metrics.intervals.within import batch_means_interval, ranks

__all__ = ["SequentialStop"]

Target: TypeAlias = Literal["p50", "mean", "rate"]
_LOOK_GROWTH = 1.1
_FAR = 0.9999


class SequentialStop:
    """Stop a run once its number is known well enough.

    The interval is looked at when ``minimum_n`` values are there and then at each
    growth by 10 %; the run may stop at the second look in a row whose relative half
    width is small enough (Chow & Robbins 1965: such intervals keep their coverage as
    the width goes to 0; the second look, and for ``p50`` a width that is judged by a
    99.99 % interval too, keep it at widths of some per cent).

    Neighbours in time may correlate: the values count as n over their ``inflation``
    independent ones, in the interval and against ``minimum_n``. The coverage by
    simulation stands in docs/metrics.md.

    Args:
        relative_half_width: what is asked for, such as 0.01.
        minimum_n: no stop before this many values, counted as independent ones.
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
        self._confidence = checked(confidence)
        self._minimum_n = self._next_n = max(minimum_n, 2)
        self._streak = 0

    def enough(self, values: Values) -> bool:
        """Whether to stop; call it after each value with all values so far."""
        if self._streak < 2 and len(values) >= self._next_n:
            self._next_n = math.ceil(len(values) * _LOOK_GROWTH)
            self._streak = self._streak + 1 if self._is_narrow(values) else 0
        return self._streak >= 2

    def interval(self, values: Values) -> Interval:
        """Interval of the target.

        Raises:
            MetricUndefinedError: too few values, or too few independent ones.
        """
        return self._interval(sample_of(values, 2))[0]

    def _is_narrow(self, values: Values) -> bool:
        try:
            series = sample_of(values, 2)
            found, independent = self._interval(series)
            if independent < self._minimum_n:
                return False
            return self._half_width(series, found, independent) <= self._width
        except MetricUndefinedError:
            return False

    def _interval(self, series: Floats) -> tuple[Interval, float]:
        """Interval of the target, and how many independent values it rests on."""
        if self._target == "p50":
            below = (series <= np.median(series)).astype(np.float64)
            independent = len(series) / inflation(below)
            return _median_interval(series, independent, self._confidence), independent
        if self._target == "mean":
            independent = len(series) / inflation(series)
            return _mean_interval(series, independent, self._confidence), independent
        independent = len(series) / inflation(np.diff(series))
        first, last = float(series[0]), float(series[-1])
        found = batch_means_interval(series, first, last, confidence=self._confidence)
        return found, independent

    def _half_width(self, series: Floats, found: Interval, independent: float) -> float:
        width = found.relative_half_width
        if self._target != "p50":
            return width
        # Two order statistics lie close together by chance now and then; to stop at
        # those moments cost a point of coverage. Ranks far apart vary less.
        far = _median_interval(series, independent, _FAR).relative_half_width
        near_z, far_z = stats.norm.ppf([(1 + self._confidence) / 2, (1 + _FAR) / 2])
        return max(width, far * float(near_z / far_z))


def _median_interval(series: Floats, independent: float, confidence: float) -> Interval:
    """Of the median: ranks as far out as those of so many independent values."""
    n, few = len(series), int(independent)
    found = ranks(few, 0.5, confidence)
    if found is None:
        raise MetricUndefinedError(f"p50 of {few} independent values has no interval")
    out = [(rank - (few + 1) / 2) / few * n + (n + 1) / 2 for rank in found]
    ordered = np.sort(series)
    low, high = ordered[math.floor(out[0]) - 1], ordered[math.ceil(out[1]) - 1]
    value = float(np.median(series))
    return Interval(min(float(low), value), value, max(float(high), value), confidence)


def _mean_interval(series: Floats, independent: float, confidence: float) -> Interval:
    """Of the mean: Student's, as of so many independent values."""
    if independent < 2:
        raise MetricUndefinedError("mean of less than two independent values")
    # With ddof 0 and n - 1 below: what correlates also spreads less about its mean.
    error = float(series.std()) / math.sqrt(independent - 1)
    return student(float(series.mean()), error, independent - 1, confidence)
