"""How many times quicker than the baseline, from lives that were paired or not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from ibench.errors import MetricUndefinedError
from ibench.metrics.intervals import speedup_interval
from ibench.records import LifeSpread, PairedLife, Speedup

__all__ = ["paired_speedup", "unpaired_speedup"]


def paired_speedup(
    lives: Sequence[PairedLife],
    confidence: float = 0.95,
    host: LifeSpread | None = None,
) -> Speedup:
    """Geometric mean of the lives' ratios, with Student's interval on logarithms.

    Two levels of spread. Lives differ from one another (memory layout, scheduling);
    blocks of requests differ within a life. A life's log ratio carries both, so that
    ``m / sqrt(L)`` over ``L`` lives knows both (Kalibera & Jones, Rigorous
    benchmarking in reasonable time, 2013), with ``L - 1`` degrees of freedom.

    Two or three lives say little of their spread. Where the host file states it
    (``s0`` with ``d0`` degrees of freedom), it is pooled with the run's own, ``s^2 =
    (d0 s0^2 + (L - 1) m^2) / (d0 + L - 1)`` (the moderated t of Smyth, 2004), and the
    error is the largest of ``s / sqrt(L)``, ``m / sqrt(L)`` and ``b / sqrt(N)`` over
    ``N`` blocks: a run whose lives or blocks differ more than a quiet host's is as
    unsure as they show.

    Args:
        lives: of one run; those without a ratio make the speedup undefined.
        confidence: of the interval, 0..1. One life alone gives none.
        host: spread between lives on a quiet host of this kind.

    Raises:
        MetricUndefinedError: no life, or one without a ratio.
    """
    ratios = [life.ratio for life in lives]
    known = [r for r in ratios if r is not None and r > 0]
    if not known or len(known) < len(ratios):
        missing = len(ratios) - len(known)
        text = f"speedup: {missing} of {len(ratios)} lives have no ratio"
        raise MetricUndefinedError(text)
    logs = np.log(known)
    life_sd = float(logs.std(ddof=1)) if len(logs) > 1 else None
    block_sd, blocks = _within([life.blocks for life in lives])
    half = _half_width(len(logs), life_sd, block_sd, blocks, confidence, host)
    value = math.exp(float(logs.mean()))
    return Speedup(
        value=value,
        low=None if half is None else value * math.exp(-half),
        high=None if half is None else value * math.exp(half),
        confidence=confidence,
        lives=len(logs),
        blocks=blocks,
        block_sd=block_sd,
        life_sd=life_sd,
        host_sd=host.sd if host else None,
    )


def _half_width(
    lives: int,
    life_sd: float | None,
    block_sd: float | None,
    blocks: int,
    confidence: float,
    host: LifeSpread | None,
) -> float | None:
    """Half width of the log speedup; see ``paired_speedup``."""
    own_df, own = lives - 1, life_sd or 0.0
    df = own_df + (host.df if host else 0)
    if not df:
        return None
    squares = own_df * own**2 + (host.df * host.sd**2 if host else 0.0)
    errors = [math.sqrt(squares / df / lives), own / math.sqrt(lives)]
    if block_sd is not None:
        errors.append(block_sd / math.sqrt(blocks))
    return float(stats.t.ppf((1 + confidence) / 2, df)) * max(errors)


def _within(lives: Sequence[Sequence[float]]) -> tuple[float | None, int]:
    """Standard deviation of log ratios between blocks of one life; blocks in all."""
    logs = [np.log(blocks) for blocks in lives]
    left = sum(max(len(b) - 1, 0) for b in logs)
    squares = sum(float(((b - b.mean()) ** 2).sum()) for b in logs if len(b) > 1)
    return (math.sqrt(squares / left) if left else None), sum(map(len, logs))


def unpaired_speedup(
    ours: Sequence[float], baseline: Sequence[float], confidence: float = 0.95
) -> Speedup:
    """Ratio of geometric means over lives that were not up together.

    With one life on a side its spread is taken to be the other side's: a prediction
    interval, ``s sqrt(1/m + 1/n)`` with the degrees of freedom of that side.

    Raises:
        MetricUndefinedError: a side without lives, or a value that is not positive.
    """
    if not ours or not baseline or min(*ours, *baseline) <= 0:
        raise MetricUndefinedError("speedup: a side has no positive objective")
    a, b = np.log(ours), np.log(baseline)
    value = math.exp(float(a.mean() - b.mean()))
    low = high = None
    if min(len(a), len(b)) > 1:
        found = speedup_interval(ours, baseline, confidence)
        low, high = found.low, found.high
    elif len(a) + len(b) > 2:
        many = max(a, b, key=len)
        error = float(many.std(ddof=1)) * math.sqrt(1 / len(a) + 1 / len(b))
        half = float(stats.t.ppf((1 + confidence) / 2, len(many) - 1)) * error
        low, high = value * math.exp(-half), value * math.exp(half)
    return Speedup(
        value=value,
        low=low,
        high=high,
        confidence=confidence,
        lives=min(len(a), len(b)),
    )
