"""The control: the baseline's own launcher as a competitor. It should measure 1.00."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from ibench.errors import MetricUndefinedError
from ibench.metrics.intervals import aggregate, aggregate_interval
from ibench.params import CONTROL
from ibench.records import Outcome

__all__ = ["ALL", "Control", "control_table", "read_control"]

ALL = "aggregate"
"""Row of the control's table over all scenarios."""
_COLUMNS = ["scenario", "runs", "valid", "ratio", "low", "high"]


class Control(NamedTuple):
    """What a study measured of a server whose speedup is 1.00.

    Attributes:
        runs: of it that finished.
        valid: of these that passed every required check.
        ratio: their aggregate; NaN: none is valid.
        low: lower limit of its interval; NaN: unknown.
        high: upper limit.
    """

    runs: int
    valid: int
    ratio: float
    low: float
    high: float

    @property
    def is_off(self) -> bool:
        """Whether its interval is known and does not hold 1.00."""
        return self.low > 1 or self.high < 1

    def hides(self, ratio: float) -> bool:
        """Whether a ratio of two methods is within what the control is off by.

        Its interval is wider than the ratio is far from 1.00; where it has none, it
        is itself as far from 1.00.
        """
        width = math.log(self.high / self.low)
        if math.isnan(width):
            width = abs(math.log(self.ratio))
        return width >= abs(math.log(ratio))


def control_table(runs: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """The control's ratio per scenario and over all, each with its interval.

    Failed runs are left out and counted: a failed server's score of 1.00 would pass for
    a perfect control. Over two seed pairs and more the interval is that of the
    aggregate; over one it is the run's own, where it has one.

    Args:
        runs: one row a run, also of other methods: kind, scenario, outcome, ratio,
            ratio_low, ratio_high; the last two are NaN where the run has no interval.
        confidence: of the interval, within 0..1.

    Returns:
        Columns scenario, runs, valid, ratio, low, high; the last row is of all
        scenarios. Empty: the study has no control.
    """
    own = runs[runs.kind == CONTROL]
    if own.empty:
        return pd.DataFrame(columns=_COLUMNS)
    own = own.assign(ratio=own.ratio.astype(float))
    parts = [(str(name), group) for name, group in own.groupby("scenario")]
    rows = [(name, *_read(group, confidence)) for name, group in [*parts, (ALL, own)]]
    return pd.DataFrame(rows, columns=_COLUMNS)


def read_control(table: pd.DataFrame) -> Control | None:
    """The control over all scenarios; none: the study has no control."""
    if table.empty:
        return None
    runs, valid, *numbers = table[_COLUMNS[1:]].iloc[-1]
    return Control(int(runs), int(valid), *map(float, numbers))


def _read(own: pd.DataFrame, confidence: float) -> Control:
    """The control over some runs."""
    valid = own[(own.outcome == Outcome.OK) & own.ratio.notna()]
    if valid.empty:
        return Control(len(own), 0, math.nan, math.nan, math.nan)
    groups = [group for _, group in valid.groupby("scenario")]
    values = [group.ratio.to_numpy(float) for group in groups]
    try:
        found = aggregate_interval(values, confidence)
        low, high = found.low, found.high
    except MetricUndefinedError:
        low, high = _own_limits(valid)
    return Control(len(own), len(valid), aggregate(values), low, high)


def _own_limits(valid: pd.DataFrame) -> tuple[float, float]:
    """Of one run a scenario: their own half widths, on logarithms, independent."""
    if valid.scenario.duplicated().any():
        return math.nan, math.nan
    columns = ["ratio_low", "ratio", "ratio_high"]
    logs = np.log(valid[columns].astype(float).to_numpy())
    down, up = logs[:, 1] - logs[:, 0], logs[:, 2] - logs[:, 1]
    middle = float(logs[:, 1].mean())
    below, above = (float(np.sqrt(np.square(x).sum())) / len(x) for x in (down, up))
    return math.exp(middle - below), math.exp(middle + above)
