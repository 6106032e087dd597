"""From verdicts to speedups, cells and aggregates (paper, section 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ibench.errors import MetricUndefinedError
from ibench.metrics.intervals import aggregate, aggregate_interval
from ibench.metrics.intervals.interval import Values
from ibench.params import CONTROL, Stat
from ibench.records import Outcome

__all__ = [
    "aggregate_table",
    "aggregate_tables",
    "cell_table",
    "competitors",
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

    The SEM of a single seed pair is unknown (NaN), not zero. ``n`` of the ``runs`` have
    a score.
    """
    grouped = runs.groupby(["method", "scenario"], sort=False)[column]
    table = grouped.agg(mean="mean", n="count", sd="std", runs="size").reset_index()
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

    The interval is ``metrics.intervals.aggregate_interval`` over the seed pairs; one
    seed pair gives none. A run without a score is left out and its method is partial:
    ``scored`` is less than ``runs``. Fewer scenarios make another number, which stands
    below those over all of them.

    Returns:
        A table a column: method, aggregate, low, high, scenarios (with a score), runs,
        scored; best first. Unknown numbers are NaN.
    """
    names = ["method", "aggregate", "low", "high", "scenarios", "runs", "scored"]
    tables = []
    for column in columns:
        rows = []
        for method, group in runs.groupby("method", sort=False):
            known = group[group[column].notna()].groupby("scenario")[column]
            values = [own.to_numpy(float) for _, own in known]
            scored = sum(map(len, values))
            found = _estimate(values, choices.confidence)
            rows.append((method, *found, len(values), len(group), scored))
        table = pd.DataFrame(rows, columns=names)
        tables.append(
            table.sort_values(
                ["scenarios", "aggregate"], ascending=False, ignore_index=True
            )
        )
    return tuple(tables)


def _estimate(
    scenarios: Sequence[Values], confidence: float
) -> tuple[float, float, float]:
    """The aggregate and its limits; what is not defined is NaN."""
    if not scenarios:
        return math.nan, math.nan, math.nan
    try:
        found = aggregate_interval(scenarios, confidence)
    except MetricUndefinedError:
        return aggregate(scenarios), math.nan, math.nan
    return found.value, found.low, found.high


def competitors(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of methods that compete: all but the control's."""
    return runs[runs.kind != CONTROL].reset_index(drop=True)


def outcome_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Count outcomes per method; every outcome is a column, also when it is zero."""
    names = [str(o) for o in Outcome]
    counts = pd.crosstab(runs.method, runs.outcome).reindex(columns=names, fill_value=0)
    order = list(dict.fromkeys(runs.method))
    return counts.reindex(order).reset_index()
