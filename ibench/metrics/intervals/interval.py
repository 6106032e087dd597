"""A value between its limits, and what every interval needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ibench.errors import MetricUndefinedError

__all__ = [
    "Floats",
    "Interval",
    "Values",
    "cautious_freedom",
    "checked",
    "sample_of",
    "student",
]

Floats: TypeAlias = NDArray[np.float64]
Values: TypeAlias = Sequence[float] | NDArray[Any]


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


def student(value: float, error: float, df: float, confidence: float) -> Interval:
    """``value`` plus and minus Student's quantile times its standard error."""
    half = float(stats.t.ppf((1 + checked(confidence)) / 2, df)) * error
    return Interval(value - half, value, value + half, confidence)


def cautious_freedom(terms: Floats, freedom: Floats, share: float) -> float:
    """Degrees of freedom of a sum of variances that few values estimate each.

    Welch's and Satterthwaite's, ``(sum v)^2 / sum(v^2 / df)``, is too hopeful where one
    part has most of the variance and its few values happen to lie close together: the
    other parts then seem to share it. The least of the parts' degrees of freedom is
    always enough, and far too wide where the parts are alike. This is ``share`` of the
    way from the least to Satterthwaite's. What a share costs and holds, over all ratios
    of the spreads, stands in docs/log.md.

    Args:
        terms: variances that add up.
        freedom: degrees of freedom of each.
        share: 1 is Satterthwaite's, 0 the least.
    """
    least = float(freedom.min())
    found = float(terms.sum()) ** 2 / float((terms**2 / freedom).sum())
    return least + share * (found - least)


def sample_of(values: Values, least: int) -> Floats:
    """The values as an array.

    Raises:
        MetricUndefinedError: fewer than ``least``, or one that is not finite.
    """
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < least or not np.isfinite(sample).all():
        raise MetricUndefinedError(
            f"interval of {len(sample)} values: {least} needed, all of them finite"
        )
    return sample


def checked(confidence: float) -> float:
    """The confidence itself.

    Raises:
        ValueError: it does not lie strictly within 0..1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} outside 0..1")
    return confidence
