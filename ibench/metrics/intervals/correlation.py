"""How many independent values a correlated series is worth."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ibench.metrics.intervals.interval import Floats

__all__ = ["inflation"]

_LEAST = 8
_ROUNDING = 1e-12


def inflation(values: Floats) -> float:
    """Variance of the series' mean over that of as many independent values, at least 1.

    It is ``1 + 2 sum of all autocorrelations``, read off an autoregression as its
    spectral density at frequency 0 (Heidelberger & Welch 1981; the estimator of R's
    ``coda::spectrum0.ar``), fitted by Burg's method. The larger of two orders counts:
    what AIC chooses among 0 to ``10 log10(n)``, which is 0 for most independent values
    and too short for a slow memory under noise, and ``1.5 n^(1/3)``. What correlates
    over more than a good part of the series cannot be seen in it.
    """
    series = values - values.mean()
    n, variance = len(series), float(series @ series) / len(series)
    if n < _LEAST or variance <= 0:
        return 1.0
    found = _autoregressions(series, min(n // 4, round(10 * math.log10(n))))
    orders = range(len(found))
    chosen = min(orders, key=lambda p: float(n * math.log(found[p].left) + 2 * p))
    long = min(len(found) - 1, round(1.5 * math.cbrt(n)))
    return max(1.0, found[chosen].inflation, found[long].inflation)


class _Fit(NamedTuple):
    """An autoregression: variance that it leaves, as a share, and its inflation."""

    left: float
    inflation: float


def _autoregressions(series: Floats, most: int) -> list[_Fit]:
    """Burg's fits of order 0, 1, and so on."""
    forward = backward = series
    filter_, left, found = np.ones(1), 1.0, [_Fit(1.0, 1.0)]
    while len(found) <= most:
        ahead, behind = forward[1:], backward[:-1]
        power = float(ahead @ ahead + behind @ behind)
        reflection = -2 * float(ahead @ behind) / power if power > 0 else 0.0
        forward, backward = ahead + reflection * behind, behind + reflection * ahead
        padded = np.append(filter_, 0.0)
        filter_ = padded + reflection * padded[::-1]
        left *= 1 - reflection**2
        if left <= _ROUNDING:  # the series repeats itself exactly
            break
        found.append(_Fit(left, left / float(filter_.sum()) ** 2))
    return found
