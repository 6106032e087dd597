"""From verdicts to speedups, cells and aggregates (paper, section 4)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from ibench.params import Stat
from ibench.records import Outcome

__all__ = [
    "aggregate_table",
    "aggregate_tables",
    "cell_table",
    "outcome_table",
    "score",
    "with_speedups",
]

FAILED_SCORE = 1.0


def score(
    outcome: str, ratio: float | None, baseline: float | None, *, floor: bool
) -> float:
    """Score of one run: speedup over the baseline of the same scenario, seed and host.

    Args:
        outcome: a value of ``records.Outcome``.
        ratio: the run over its baseline, as the profile pairs them.
        baseline: the baseline's objective of stage 1.
        floor: whether a valid but slower server counts as 1.00 (site) or as it is
            (paper tables).

    Returns:
        1.00 for a failed or gated run; NaN where no score is defined: a required
        check was not run, or there is no baseline.
    """
    if outcome == Outcome.INCOMPLETE or not baseline:
        return math.nan
    if outcome != Outcome.OK or ratio is None:
        return FAILED_SCORE
    return max(ratio, FAILED_SCORE) if floor else ratio


def with_speedups(runs: pd.DataFrame, choices: Stat) -> pd.DataFrame:
    """Add ``speedup`` (by the profile's floor rule), ``speedup_floored`` and ``_raw``.

    Args:
        runs: one row a run with outcome, ratio and baseline_objective.
        choices: the profile's statistics.
    """
    columns = zip(runs.outcome, runs.ratio, runs.baseline_objective, strict=True)
    rows = [(o, _none(x), _none(b)) for o, x, b in columns]
    plain = [score(o, x, b, floor=False) for o, x, b in rows]
    floored = [score(o, x, b, floor=True) for o, x, b in rows]
    return runs.assign(
        speedup_plain=plain,
        speedup_floored=floored,
        speedup=floored if choices.floor_below_baseline else plain,
        speedup_raw=runs.ratio.astype(float),
    )


def _none(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def cell_table(runs: pd.DataFrame, column: str = "speedup") -> pd.DataFrame:
    """Mean and SEM (ddof 1) over seed pairs, per method and scenario.

    The SEM of a single seed pair is unknown (NaN), not zero.
    """
    grouped = runs.groupby(["method", "scenario"], sort=False)[column]
    table = grouped.agg(mean="mean", n="count", sd="std").reset_index()
    table["sem"] = table["sd"] / np.sqrt(table["n"])
    return table.drop(columns="sd")


def aggregate_table(
    runs: pd.DataFrame, choices: Stat, column: str = "speedup"
) -> pd.DataFrame:
    """The aggregate of one column; see ``aggregate_tables``."""
    (table,) = aggregate_tables(runs, choices, (column,))
    return table


def aggregate_tables(
    runs: pd.DataFrame, choices: Stat, columns: tuple[str, ...]
) -> tuple[pd.DataFrame, ...]:
    """Geometric mean over scenarios of the arithmetic mean over seed pairs.

    The interval is a stratified percentile bootstrap: seed pairs are drawn with
    replacement within each scenario. With few seed pairs it is narrow by
    construction and says so in the report. All columns see the same draws.

    Returns:
        A table a column: method, aggregate, low, high, scenarios, runs; best first.
    """
    tail = (1 - choices.confidence) / 2
    tables: tuple[list[tuple[object, ...]], ...] = tuple([] for _ in columns)
    for number, (method, group) in enumerate(runs.groupby("method", sort=False)):
        strata = [
            [g[column].to_numpy(float) for column in columns]
            for _, g in group.groupby("scenario")
        ]
        rng = np.random.default_rng([choices.bootstrap_seed, number])
        drawn = _bootstrap(strata, choices.bootstrap_draws, rng)
        for i, rows in enumerate(tables):
            low, high = np.quantile(drawn[i], [tail, 1 - tail])
            value = float(stats.gmean([s[i].mean() for s in strata]))
            rows.append((method, value, low, high, len(strata), len(group)))
    names = ["method", "aggregate", "low", "high", "scenarios", "runs"]
    return tuple(
        pd.DataFrame(rows, columns=names).sort_values(
            "aggregate", ascending=False, ignore_index=True
        )
        for rows in tables
    )


def _bootstrap(
    strata: list[list[np.ndarray]], draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Geometric mean over strata of resampled means: a row a column, a value a draw."""
    logs = np.zeros((len(strata[0]), draws))
    for columns in strata:
        n = len(columns[0])
        picks = rng.integers(0, n, size=(draws, n))
        logs += np.log([values[picks].mean(axis=1) for values in columns])
    result: np.ndarray = np.exp(logs / len(strata))
    return result


def outcome_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Count outcomes per method; every outcome is a column, also when it is zero."""
    names = [str(o) for o in Outcome]
    counts = pd.crosstab(runs.method, runs.outcome).reindex(columns=names, fill_value=0)
    order = list(dict.fromkeys(runs.method))
    return counts.reindex(order).reset_index()
