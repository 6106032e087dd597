"""One method against another: the ratio of their aggregates over common runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from ibench.errors import MetricUndefinedError
from ibench.metrics.intervals import aggregate, ratio_interval
from ibench.metrics.intervals.interval import Values

__all__ = ["Comparison", "compare_methods", "comparison_table"]


class Comparison(NamedTuple):
    """How many times as fast one method is as another.

    Attributes:
        ratio: of the two aggregates over the cells that both have a score in; NaN:
            there is none.
        low: lower limit of the ratio's interval, paired by seed; NaN: there is none.
        high: upper limit.
        runs: cells that both have a score in.
        seed_pairs: the most of them in one scenario.
    """

    ratio: float
    low: float
    high: float
    runs: int
    seed_pairs: int

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval is known and does not hold 1.00."""
        return self.low > 1 or self.high < 1


def compare_methods(
    runs: pd.DataFrame, ours: str, theirs: str, confidence: float
) -> Comparison:
    """Compare two methods over the scenarios and seed pairs that both have.

    Intervals that overlap say nothing: what both runs of a pair share, such as their
    requests and a baseline measured once, moves both. The interval of the ratio leaves
    it out (``metrics.intervals.ratio_interval``).

    Args:
        runs: columns method, scenario, seeds, speedup; NaN: no score.
        ours: the method above the line.
        theirs: the method below it.
        confidence: of the interval, within 0..1.
    """
    keys = ["scenario", "seeds"]
    left, right = (
        runs[(runs.method == name) & runs.speedup.notna()][[*keys, "speedup"]]
        for name in (ours, theirs)
    )
    both = left.merge(right, on=keys, suffixes=("_ours", "_theirs"))
    if both.empty:
        return Comparison(math.nan, math.nan, math.nan, 0, 0)
    groups = [group for _, group in both.groupby("scenario")]
    a, b = (
        [group[f"speedup_{side}"].to_numpy(float) for group in groups]
        for side in ("ours", "theirs")
    )
    limits = _limits(a, b, confidence)
    ratio = aggregate(a) / aggregate(b)
    return Comparison(ratio, *limits, len(both), max(map(len, groups)))


def _limits(
    ours: Sequence[Values], theirs: Sequence[Values], confidence: float
) -> tuple[float, float]:
    try:
        found = ratio_interval(ours, theirs, confidence)
    except MetricUndefinedError:
        return math.nan, math.nan
    return found.low, found.high


def comparison_table(
    runs: pd.DataFrame, aggregate: pd.DataFrame, confidence: float
) -> pd.DataFrame:
    """The first method of a table of aggregates against each other one with a score.

    Each interval stands for itself: of many, one in twenty may miss.

    Returns:
        Columns method, against, ratio, low, high, runs, seed_pairs.
    """
    columns = ["method", "against", *Comparison._fields]
    names = list(aggregate[aggregate.scored > 0].method)
    rows = [
        (names[0], other, *compare_methods(runs, names[0], other, confidence))
        for other in names[1:]
    ]
    return pd.DataFrame(rows, columns=columns)
