"""Behaviour of many runs, in the terms of the paper's Tables 14 and 15."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import mean, median

import pandas as pd

from ibench.analysis.trajectories.events import FAMILIES, Family, RunFacts
from ibench.analysis.trajectories.facts import FAILURE_MODES
from ibench.analysis.trajectories.techniques import TECHNIQUES

__all__ = [
    "behaviour",
    "failure_modes",
    "technique_shares",
    "transitions",
]


def technique_shares(facts: Sequence[RunFacts]) -> pd.DataFrame:
    """Percent of runs that name a technique, and that launch with it."""
    rows = []
    for n, rule in enumerate(TECHNIQUES):
        named = sum(f.techniques[n].mentioned.n > 0 for f in facts)
        launched = sum(f.techniques[n].launched.n > 0 for f in facts)
        rows.append((rule.name, _percent(named, facts), _percent(launched, facts)))
    columns = ["technique", "percent_mentioned", "percent_launched"]
    return pd.DataFrame(rows, columns=columns)


def failure_modes(facts: Sequence[RunFacts]) -> pd.DataFrame:
    """Runs with each failure mode; modes overlap."""
    counts = Counter(mode for f in facts for mode in f.failure_modes)
    rows = [
        (name, counts[name], _percent(counts[name], facts)) for name in FAILURE_MODES
    ]
    return pd.DataFrame(rows, columns=["mode", "runs", "percent"])


def behaviour(facts: Sequence[RunFacts]) -> pd.DataFrame:
    """Medians and means a run; None where no run defines the number."""
    configs = [f.distinct_configs.n for f in facts]
    restarts = [max(0, f.launches.n - 1) for f in facts]
    unchanged = sum(f.relaunches_unchanged.n for f in facts)
    judged = [f.shipped_measured for f in facts if f.shipped_measured is not None]
    rows: list[tuple[str, float | None]] = [
        ("runs", len(facts)),
        ("distinct_configs_median", median(configs) if facts else None),
        ("distinct_configs_mean", mean(configs) if facts else None),
        ("restarts_median", median(restarts) if facts else None),
        ("restarts_unchanged_percent", _share(unchanged, sum(restarts))),
        ("evaluations_mean", mean(f.evaluations.n for f in facts) if facts else None),
        ("shipped_measured_percent", _share(sum(judged), len(judged))),
    ]
    return pd.DataFrame(rows, columns=["metric", "value"])


def transitions(runs: Iterable[Sequence[Family]]) -> pd.DataFrame:
    """How often an episode of one family (row) is followed by another (column).

    Args:
        runs: the families of each run's episodes, in order.
    """
    counts = Counter(pair for families in runs for pair in pairwise(families))
    table = [[counts[(a, b)] for b in FAMILIES] for a in FAMILIES]
    return pd.DataFrame(table, index=list(FAMILIES), columns=list(FAMILIES))


def _percent(n: int, facts: Sequence[RunFacts]) -> float | None:
    return _share(n, len(facts))


def _share(n: int, total: int) -> float | None:
    return round(100 * n / total, 1) if total else None
