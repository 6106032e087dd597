"""How sure a number is: confidence intervals, least sample sizes, when to stop.

Inside one run: ``percentile_interval`` for latencies, ``batch_means_interval`` for
throughput. Over repeated runs: ``t_interval``, ``speedup_interval``. Over the scenarios
and seed pairs of a study: ``aggregate_interval``, ``ratio_interval``. A/A mode is the
ratio with the same server on both sides: the interval must cover 1.00. How often each
covers, by simulation (``make bench-intervals``), stands in docs/metrics.md.
"""

from ibench.metrics.intervals.aggregates import (
    aggregate,
    aggregate_interval,
    ratio_interval,
)
from ibench.metrics.intervals.interval import Interval
from ibench.metrics.intervals.repeats import speedup_interval, t_interval
from ibench.metrics.intervals.stopping import SequentialStop
from ibench.metrics.intervals.within import (
    batch_means_interval,
    minimum_n,
    percentile_interval,
    tail_is_shown,
)

__all__ = [
    "Interval", "SequentialStop", "aggregate", "aggregate_interval",
    "batch_means_interval", "minimum_n", "percentile_interval", "ratio_interval",
    "speedup_interval", "t_interval", "tail_is_shown",
]  # fmt: skip
