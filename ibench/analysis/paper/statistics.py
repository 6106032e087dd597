"""Uncertainty of a leaderboard: ranks, improvement, profiles, interquartile means.

Everything works on draws of seed-level speedups. For our own runs they are resampled
seed pairs; the paper prints only mean and SEM, so its seeds are drawn from a log-normal
with that mean and SD = SEM * sqrt(3). That treats the SD of three runs as known and a
printed SEM of 0 as certainty, so the intervals are narrower than the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

__all__ = [
    "Draws",
    "interquartile_means",
    "parametric_draws",
    "performance_profiles",
    "probability_of_improvement",
    "rank_intervals",
]

LEVELS = (0.025, 0.975)


@dataclass(frozen=True)
class Draws:
    """Seed-level speedups: array of (draw, method, scenario, seed)."""

    methods: tuple[str, ...]
    values: np.ndarray

    @property
    def aggregates(self) -> np.ndarray:
        """Geometric mean over scenarios of the mean over seeds: (draw, method)."""
        result: np.ndarray = np.exp(np.log(self.values.mean(axis=3)).mean(axis=2))
        return result


def parametric_draws(cells: pd.DataFrame, draws: int, seed: int) -> Draws:
    """Draw the seeds that printed means and SEMs stand for.

    Args:
        cells: columns method, scenario, mean, sem, n; every method has all scenarios.
        draws: how many.
        seed: of the generator.
    """
    methods = tuple(dict.fromkeys(cells.method))
    wide = cells.pivot_table(
        index="method", columns="scenario", values=["mean", "sem", "n"], sort=False
    ).loc[list(methods)]
    mean, sem = wide["mean"].to_numpy(float), wide["sem"].to_numpy(float)
    n = int(cells.n.iloc[0])
    variance = np.log1p(np.square(sem * np.sqrt(n) / mean))
    location = np.log(mean) - variance / 2
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((draws, *mean.shape, n))
    values = np.exp(location[..., None] + np.sqrt(variance)[..., None] * normal)
    return Draws(methods, values)


def rank_intervals(draws: Draws) -> pd.DataFrame:
    """Rank of each method over the draws: median, 95 % interval, chance to be first.

    The range that a leaderboard's rank column hides. Equal aggregates share the better
    rank, as in ``derive.rank_of``.
    """
    ranks = stats.rankdata(-draws.aggregates, method="min", axis=1).astype(int)
    low, high = np.quantile(ranks, LEVELS, axis=0, method="nearest")
    bottom, top = np.quantile(draws.aggregates, LEVELS, axis=0)
    return pd.DataFrame(
        {
            "method": draws.methods,
            "median_rank": np.median(ranks, axis=0).astype(int),
            "rank_low": low.astype(int),
            "rank_high": high.astype(int),
            "first_share": (ranks == 1).mean(axis=0),
            "aggregate_low": bottom,
            "aggregate_high": top,
        }
    )


def probability_of_improvement(draws: Draws) -> pd.DataFrame:
    """P(a run of X beats a run of Y), mean over scenarios, ties count half.

    Returns:
        Columns x, y, probability, low, high for every ordered pair.
    """
    rows = []
    for i, x in enumerate(draws.methods):
        for j, y in enumerate(draws.methods):
            if i == j:
                continue
            ours = draws.values[:, i, :, :, None]
            theirs = draws.values[:, j, :, None, :]
            wins = (ours > theirs) + 0.5 * (ours == theirs)
            each = wins.mean(axis=(1, 2, 3))
            low, high = np.quantile(each, LEVELS)
            rows.append((x, y, each.mean(), low, high))
    return pd.DataFrame(rows, columns=["x", "y", "probability", "low", "high"])


def performance_profiles(draws: Draws, speedups: np.ndarray) -> pd.DataFrame:
    """Share of a method's runs that reach a speedup, over all scenarios.

    Returns:
        Columns method, speedup, share, low, high.
    """
    rows = []
    for i, method in enumerate(draws.methods):
        own = draws.values[:, i].reshape(len(draws.values), -1)
        for speedup in speedups:
            share = (own >= speedup).mean(axis=1)
            low, high = np.quantile(share, LEVELS)
            rows.append((method, float(speedup), share.mean(), low, high))
    names = ["method", "speedup", "share", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def interquartile_means(draws: Draws) -> pd.DataFrame:
    """Geometric mean of the middle half of a method's runs, with its interval.

    Half the weight of the arithmetic outliers: one lucky or failed seed in four moves
    nothing. Runs of all scenarios are pooled, so it favours even performance.
    """
    count = len(draws.values)
    logs = np.sort(np.log(draws.values).reshape(count, len(draws.methods), -1), axis=2)
    cut = logs.shape[2] // 4
    middle = np.exp(logs[:, :, cut : logs.shape[2] - cut].mean(axis=2))
    low, high = np.quantile(middle, LEVELS, axis=0)
    return pd.DataFrame(
        {"method": draws.methods, "iqm": middle.mean(axis=0), "low": low, "high": high}
    )
