"""What a schedule is like: rate, variation, memory and clumping of its arrivals.

Load generators that claim Poisson arrivals have been found to repeat or to stretch
gaps; a mean rate does not show it, these numbers do. All take nanoseconds, of a
schedule or of the sends that followed it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ibench.errors import MetricUndefinedError

__all__ = [
    "achieved_rate_per_s",
    "dispersion_index",
    "gap_cv",
    "lag1_autocorrelation",
]

# Rounding a constant gap to whole nanoseconds, twice, moves it by up to this.
_ROUNDING_NS = 2


def achieved_rate_per_s(sent_ns: Sequence[int]) -> float:
    """Rate over the span of the arrivals: ``(n - 1) / (last - first)``, per second.

    Raises:
        MetricUndefinedError: fewer than two arrivals, or all at one time.
    """
    span_ns = max(sent_ns) - min(sent_ns) if sent_ns else 0
    if span_ns == 0:
        raise MetricUndefinedError(f"rate of {len(sent_ns)} arrivals in no time")
    return (len(sent_ns) - 1) / (span_ns * 1e-9)


def gap_cv(offsets: Sequence[int]) -> float:
    """Coefficient of variation of the gaps: standard deviation (ddof 1) / mean.

    Constant 0, Poisson 1, gamma 1 / sqrt(shape).

    Raises:
        MetricUndefinedError: fewer than two gaps, or all of them zero.
    """
    gaps = _gaps(offsets, least=2)
    mean = float(gaps.mean())
    if mean == 0:
        raise MetricUndefinedError("variation of gaps that are all zero")
    return float(gaps.std(ddof=1)) / mean


def lag1_autocorrelation(offsets: Sequence[int]) -> float:
    """Correlation of each gap with the next: 0 where gaps are independent.

    ``sum((g_i - m) (g_(i+1) - m)) / sum((g_i - m)^2)``, with ``m`` the mean gap.

    Raises:
        MetricUndefinedError: fewer than three gaps, or gaps that differ by no more
            than their rounding to nanoseconds.
    """
    gaps = _gaps(offsets, least=3)
    if np.ptp(gaps) <= _ROUNDING_NS:
        raise MetricUndefinedError("autocorrelation of constant gaps")
    centred = gaps - gaps.mean()
    return float((centred[:-1] @ centred[1:]) / (centred @ centred))


def dispersion_index(offsets: Sequence[int], window_s: float) -> float:
    """Variance (ddof 1) over mean of the arrivals per window: Poisson 1.

    Windows of ``window_s`` follow each other from the first arrival; an incomplete
    last one is left out. Independent gaps tend to the squared ``gap_cv`` in long
    windows; more than that means that gaps are not independent.

    Raises:
        ValueError: the window is not positive.
        MetricUndefinedError: fewer than two whole windows.
    """
    if not (math.isfinite(window_s) and window_s > 0):
        raise ValueError(f"a window of {window_s} s")
    first = min(offsets, default=0)
    since = np.asarray(offsets, dtype=np.int64) - first
    places = np.floor(since / (window_s * 1e9)).astype(np.int64)
    windows = int(places.max(initial=0))
    if windows < 2:
        raise MetricUndefinedError(f"dispersion over {windows} windows")
    counts = np.bincount(places, minlength=windows)[:windows]
    return float(counts.var(ddof=1) / counts.mean())


def _gaps(offsets: Sequence[int], least: int) -> NDArray[np.float64]:
    gaps = np.diff(np.sort(np.asarray(offsets, dtype=np.int64))).astype(np.float64)
    if len(gaps) < least:
        raise MetricUndefinedError(f"{len(gaps)} gaps, at least {least} needed")
    return gaps
