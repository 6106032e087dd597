"""Made data with a known truth for every interval: one draw, one answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtri

from ibench.metrics.intervals import (
    Interval,
    SequentialStop,
    aggregate_interval,
    batch_means_interval,
    percentile_interval,
    ratio_interval,
    speedup_interval,
    t_interval,
)

__all__ = ["CASES", "Case", "Draw", "Seen", "find_case", "series"]

Floats: TypeAlias = NDArray[np.float64]
Generator: TypeAlias = np.random.Generator
Target: TypeAlias = Literal["p50", "mean", "rate"]
MEANS = (1.5, 3.0, 5.0, 2.0)
"""True speedups of the four scenarios of a made study."""
_SPREAD = 0.5  # of the logarithm of a latency
_MOST = 20_000  # values of one run


class Seen(NamedTuple):
    """One draw: the interval, the truth, and how many values it took."""

    interval: Interval
    truth: float
    values: int

    @property
    def is_covered(self) -> bool:
        """Whether the truth lies within the limits."""
        return self.interval.low <= self.truth <= self.interval.high


Draw: TypeAlias = Callable[[Generator], Seen]


class Case(NamedTuple):
    """What is simulated.

    Attributes:
        interval: which one.
        data: what its values are like.
        draw: one draw of it.
        floor: coverage that it must have at 95 %.
    """

    interval: str
    data: str
    draw: Draw
    floor: float


def _lognormal(rng: Generator, spread: float, shape: tuple[int, ...]) -> Floats:
    """Of mean 1; ``spread`` of the logarithm."""
    drawn: Floats = np.exp(rng.normal(-(spread**2) / 2, spread, shape))
    return drawn


def _percentile(q: float, n: int, rng: Generator) -> Seen:
    values = np.exp(_SPREAD * rng.standard_normal(n))
    truth = math.exp(_SPREAD * float(ndtri(q / 100)))
    return Seen(percentile_interval(values, q), truth, n)


def _rate(kind: str, n: int, rng: Generator) -> Seen:
    """Events of mean rate 1, watched from second 40 on."""
    if kind == "closed":
        services = rng.lognormal(-0.125, 0.5, (8, n // 2 + 50)) * 8
        times = np.sort(np.cumsum(services, axis=1).ravel())
    else:
        gaps = rng.exponential(1, 3 * n + 200)
        slow = np.exp(0.4 * series("ar 0.9", 3 * n + 200, rng) - 0.08)
        times = np.cumsum(gaps * slow if kind == "drifting" else gaps)
    return Seen(batch_means_interval(times, 40.0, 40.0 + n), 1.0, n)


def _mean(n: int, spread: float, rng: Generator) -> Seen:
    return Seen(t_interval(_lognormal(rng, spread, (n,))), 1.0, n)


def _speedup(ours: int, baseline: int, ratio: float, rng: Generator) -> Seen:
    """Runs that differ by 3 % on one side and ``ratio`` times as much on the other."""
    a = np.exp(rng.normal(0, 0.03, ours))
    b = np.exp(rng.normal(0, 0.03 * ratio, baseline))
    return Seen(speedup_interval(a, b), 1.0, ours + baseline)


def _study(pairs: int, spreads: tuple[float, ...], rng: Generator) -> list[Floats]:
    rows = zip(MEANS, spreads, strict=True)
    return [mean * _lognormal(rng, spread, (pairs,)) for mean, spread in rows]


def _aggregate(pairs: int, spreads: tuple[float, ...], rng: Generator) -> Seen:
    truth = math.exp(float(np.log(MEANS).mean()))
    found = aggregate_interval(_study(pairs, spreads, rng))
    return Seen(found, truth, pairs * len(MEANS))


def _failed(pairs: int, rng: Generator) -> Seen:
    """One run of the study fails; every run does so once in as many as there are."""
    study, n = _study(pairs, (0.05,) * 4, rng), pairs * len(MEANS)
    study[rng.integers(len(MEANS))][0] = 1.0
    truth = math.exp(float(np.log([m * (1 - 1 / n) + 1 / n for m in MEANS]).mean()))
    return Seen(aggregate_interval(study), truth, n)


def _partial(pairs: int, rng: Generator) -> Seen:
    """Incomplete runs leave one scenario with a single pair."""
    study = _study(pairs, (0.05,) * 4, rng)
    study[0] = study[0][:1]
    truth = math.exp(float(np.log(MEANS).mean()))
    return Seen(aggregate_interval(study), truth, pairs * len(MEANS) - pairs + 1)


def _ratio(pairs: int, spreads: tuple[float, ...], rng: Generator) -> Seen:
    """Two methods over one noisy baseline; the second is 1.2 times as fast."""
    ours, theirs = _study(pairs, spreads, rng), _study(pairs, spreads, rng)
    noise = [_lognormal(rng, 0.1, (pairs,)) for _ in MEANS]
    found = ratio_interval(
        [1.2 * x / n for x, n in zip(ours, noise, strict=True)],
        [x / n for x, n in zip(theirs, noise, strict=True)],
    )
    return Seen(found, 1.2, pairs * len(MEANS))


def series(kind: str, n: int, rng: Generator) -> Floats:
    """A stationary series of mean 0 and variance 1.

    ``independent``; ``ar 0.7``, an autoregression that remembers so much of the value
    before; ``average 10``, a moving average; ``modes 20``, a server in a slow or a fast
    mode that lasts 20 values on average.
    """
    name, _, number = kind.partition(" ")
    if name == "independent":
        return rng.standard_normal(n)
    if name == "ar":
        memory = float(number)
        steps = rng.standard_normal(n + 500) * math.sqrt(1 - memory**2)
        drawn: Floats = lfilter([1.0], [1.0, -memory], steps)[500:]
        return drawn
    if name == "average":
        window = np.full(int(number), 1 / math.sqrt(int(number)))
        return np.convolve(rng.standard_normal(n + len(window) - 1), window, "valid")
    flips = np.cumsum(rng.random(n) < 1 / int(number)) + rng.integers(2)
    mode = np.where(flips % 2 == 0, 1.0, -1.0)
    return math.sqrt(0.5) * (mode + rng.standard_normal(n))


def _mean_latency(kind: str) -> float:
    """Mean of ``exp(_SPREAD * series)``."""
    if not kind.startswith("modes"):
        return math.exp(_SPREAD**2 / 2)
    half = _SPREAD * math.sqrt(0.5)
    return math.exp(half**2 / 2) * math.cosh(half)


def _stopped(target: Target, kind: str, width: float, rng: Generator) -> Seen:
    """A run that stops by itself; latencies, or for the rate gaps, are log-normal."""
    least = round(6.4 / width**0.5 + 10)
    values = np.exp(_SPREAD * series(kind, _MOST, rng))
    mean = _mean_latency(kind)
    truth = {"p50": 1.0, "mean": mean, "rate": 1 / mean}[target]
    values = np.cumsum(values) if target == "rate" else values
    stop, n = SequentialStop(width, least, target=target), least
    # What lies between two looks cannot stop the run.
    while n < _MOST and not stop.enough(values[:n]):
        n = math.ceil(n * 1.1)
    n = min(n, _MOST)
    return Seen(stop.interval(values[:n]), truth, n)


ALIKE, ONE_WIDE = (0.05,) * 4, (0.3, 0.03, 0.03, 0.03)
GRADED = (0.02, 0.05, 0.1, 0.2)
_TARGETS: tuple[Target, ...] = ("p50", "mean", "rate")
_LATENCIES = {"independent": 0.93, "ar 0.7": 0.92, "average 10": 0.9, "modes 20": 0.78}
CASES = (
    *(
        Case(
            "percentile", f"p{q:g} of {n} log-normal", partial(_percentile, q, n), 0.94
        )
        for q, n in ((50, 30), (50, 700), (90, 100), (99, 700))
    ),
    *(
        Case(
            "batch means",
            f"{kind} events, {n} s at 1/s",
            partial(_rate, kind, n),
            least,
        )
        for kind, n, least in (
            ("poisson", 100, 0.94),
            ("poisson", 700, 0.94),
            ("closed", 700, 0.94),
            ("drifting", 2000, 0.92),
        )
    ),
    *(
        Case("t", f"{n} runs, spread {s:.0%}", partial(_mean, n, s), least)
        for n, s, least in ((2, 0.03, 0.94), (5, 0.03, 0.94), (5, 0.3, 0.93))
    ),
    *(
        Case(
            "speedup",
            f"{a} and {b} runs, spreads 1 : {r:g}",
            partial(_speedup, a, b, r),
            0.94,
        )
        for a, b, r in (
            (2, 2, 1.0),
            (3, 3, 1.0),
            (5, 5, 1.0),
            (5, 2, 1.0),
            (5, 2, 5.0),
            (5, 2, 0.2),
            (3, 2, 1.0),
            (10, 2, 1.0),
            (10, 3, 1.0),
        )
    ),
    *(
        Case(
            "aggregate",
            f"{pairs} seed pairs, {name}",
            partial(_aggregate, pairs, spreads),
            0.93,
        )
        for pairs in (2, 3, 5)
        for name, spreads in (
            ("spreads alike", ALIKE),
            ("one spread ten times the others", ONE_WIDE),
            ("spreads 2 to 20 %", GRADED),
        )
    ),
    *(
        Case("aggregate", f"{n} seed pairs, one run failed", partial(_failed, n), 0.93)
        for n in (2, 3, 5)
    ),
    *(
        Case(
            "aggregate",
            f"{n} seed pairs, one scenario with one run",
            partial(_partial, n),
            0.93,
        )
        for n in (2, 3, 5)
    ),
    *(
        Case(
            "ratio of methods",
            f"{n} seed pairs, {name}",
            partial(_ratio, n, spreads),
            0.93,
        )
        for n in (2, 3, 5)
        for name, spreads in (("spreads alike", ALIKE), ("spreads 2 to 20 %", GRADED))
    ),
    *(
        Case(
            f"stopping, {target}",
            f"{kind}, to {width:.0%}",
            partial(_stopped, target, kind, width),
            least,
        )
        for target in _TARGETS
        for kind, least in (*_LATENCIES.items(), ("ar 0.9", 0.85))
        for width in (0.1, 0.05)
    ),
)
"""Every interval of the workbench with the data that it is held against."""


def find_case(interval: str, data: str) -> Case:
    """The case of an interval whose data is described so."""
    return next(c for c in CASES if (c.interval, c.data) == (interval, data))
