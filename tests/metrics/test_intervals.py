"""Intervals against simulation: they must cover as often as they claim."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ibench.errors import MetricUndefinedError
from ibench.metrics.intervals import (
    Interval,
    SequentialStop,
    batch_means_interval,
    minimum_n,
    percentile_interval,
    speedup_interval,
    t_interval,
    tail_is_shown,
)
from ibench.metrics.requests import percentile

LAWS: dict[str, Any] = {
    "normal": stats.norm(10, 1),
    "lognormal": stats.lognorm(0.5),
    "exponential": stats.expon(),
}
SIZES = [30, 100, 700]
CLAIM = 0.95
Floats = NDArray[np.float64]


def draws(law: str, shape: tuple[int, ...], seed: int) -> Floats:
    sample: Floats = LAWS[law].rvs(shape, random_state=np.random.default_rng(seed))
    return sample


def is_covered(found: Interval, truth: float) -> bool:
    return found.low <= truth <= found.high


def coverage(rows: Floats, truth: float, interval: Callable[[Any], Interval]) -> float:
    return float(np.mean([is_covered(interval(row), truth) for row in rows]))


def noise(repeats: int) -> float:
    """Three standard errors of a share of 95 %."""
    return 3 * math.sqrt(CLAIM * (1 - CLAIM) / repeats)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("law", list(LAWS))
def test_percentile_intervals_cover(law: str, n: int) -> None:
    rows = draws(law, (1000, n), seed=n)
    for q in (50, 90, 99):
        if n < 299 and q == 99:
            with pytest.raises(MetricUndefinedError, match=f"p99 of {n} values"):
                percentile_interval(rows[0], q)
            continue
        truth = float(LAWS[law].ppf(q / 100))
        share = coverage(rows, truth, partial(percentile_interval, q=q))
        assert share >= CLAIM - noise(1000)
        assert share <= 0.99  # not by being wide


@pytest.mark.slow
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("law", list(LAWS))
def test_mean_intervals_cover(law: str, n: int) -> None:
    """Skewed values are covered less often while they are few; the text says so."""
    rows, truth = draws(law, (1000, n), seed=n + 1), float(LAWS[law].mean())
    lost = 0.0 if law == "normal" or n == 700 else 0.03
    assert coverage(rows, truth, t_interval) >= CLAIM - lost - noise(1000)


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_a_server_against_itself_gives_a_speedup_of_one(runs: int) -> None:
    """A/A over repeats: runs of one server differ by some per cent."""
    pairs = np.exp(np.random.default_rng(runs).normal(0, 0.03, (1000, 2, runs)))
    share = coverage(pairs, 1.0, lambda pair: speedup_interval(*pair))
    assert CLAIM - noise(1000) <= share <= 0.99


def test_a_speedup_is_found() -> None:
    found = speedup_interval([20.0, 21.0, 20.5], [10.0, 10.2, 9.9])
    assert found.value == pytest.approx(2.043, abs=0.001)
    assert 1.9 < found.low < 2 < found.high < 2.2
    back = speedup_interval([10.0, 10.2, 9.9], [20.0, 21.0, 20.5])
    assert back.low == pytest.approx(1 / found.high)


def events(gap: str, n: int, rng: np.random.Generator) -> Floats:
    """Event times of mean rate 1; ``closed`` is eight busy slots of rate 1/8."""
    if gap == "closed":
        services = rng.lognormal(-0.125, 0.5, (8, n // 2 + 50)) * 8
        return np.sort(np.cumsum(services, axis=1).ravel())
    gaps = {
        "poisson": lambda: rng.exponential(1, 3 * n + 200),
        "clumped": lambda: rng.gamma(0.25, 4, 3 * n + 200),
        "drifting": lambda: rng.exponential(1, 3 * n + 200) * _drift(3 * n + 200, rng),
    }[gap]()
    return np.cumsum(gaps)


def _drift(n: int, rng: np.random.Generator) -> Floats:
    """A factor of mean 1 that remembers about ten events (AR(1) of logs, 0.9)."""
    from scipy.signal import lfilter

    steps = rng.normal(0, 0.4 * math.sqrt(1 - 0.9**2), n)
    drift: Floats = np.exp(lfilter([1.0], [1.0, -0.9], steps) - 0.08)
    return drift


@pytest.mark.parametrize(
    ("gap", "n", "least"),
    [
        ("poisson", 100, 0.95),
        ("poisson", 700, 0.95),
        ("clumped", 700, 0.94),
        ("closed", 700, 0.95),
        ("drifting", 2000, 0.93),
    ],
)
def test_throughput_intervals_cover(gap: str, n: int, least: float) -> None:
    rng = np.random.default_rng(n)
    hits = []
    for _ in range(600):
        times = events(gap, n, rng)
        weights = rng.geometric(0.01, len(times))
        found = batch_means_interval(times, 40.0, 40.0 + n, weights=weights)
        hits.append(is_covered(found, 100.0))
    assert np.mean(hits) >= least - noise(600)


def test_correlated_batches_widen_the_interval() -> None:
    """A rate that falls through the window: no batch is like another."""
    steady = np.arange(0.5, 1000.0)
    falling = 1000 * (1 - np.sqrt(1 - steady / 1000.0))
    flat = batch_means_interval(steady, 0.0, 1000.0)
    steep = batch_means_interval(falling, 0.0, 1000.0)
    assert flat.value == pytest.approx(1.0)
    assert steep.value == pytest.approx(1.0, abs=0.01)
    assert flat.relative_half_width < 0.001
    assert steep.relative_half_width > 0.5


def test_throughput_is_of_the_window_only() -> None:
    times = [i / 10 for i in range(-50, 200)]
    found = batch_means_interval(times, 0.0, 10.0, weights=[3.0] * 250)
    assert found.value == pytest.approx(30.0)
    with pytest.raises(MetricUndefinedError, match="of 24 events"):
        batch_means_interval(times, 0.0, 2.4)
    with pytest.raises(MetricUndefinedError, match="of 0 events"):
        batch_means_interval(times, 5.0, 5.0)
    with pytest.raises(ValueError, match="2 weights of 250"):
        batch_means_interval(times, 0.0, 10.0, weights=[1, 2])


@pytest.mark.parametrize(
    ("q", "n"), [(90, 64), (95, 130), (99, 662), (99.9, 6636), (50, 11), (10, 64)]
)
def test_tails_hide_below_their_least_number(q: float, n: int) -> None:
    assert minimum_n(q) == n
    assert tail_is_shown(q, n)
    assert not tail_is_shown(q, n - 1)
    assert minimum_n(q, 0.9) < n


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    q=st.floats(0, 100),
    confidence=st.floats(0.01, 0.99),
)
def test_limits_enclose_the_percentile(
    values: list[float], q: float, confidence: float
) -> None:
    try:
        found = percentile_interval(values, q, confidence)
    except MetricUndefinedError:
        assert max(q, 100 - q) ** len(values) > 0
        return
    assert found.value == percentile(values, q)
    assert found.low <= found.value <= found.high
    assert {found.low, found.high} <= {*values, found.value}


STOPS = [("p50", 0.1, 30), ("p50", 0.05, 64), ("mean", 0.1, 30), ("rate", 0.1, 64)]


@pytest.mark.slow
@pytest.mark.parametrize(("target", "width", "least"), STOPS)
def test_a_stopped_run_covers_as_claimed(
    target: Literal["p50", "mean", "rate"], width: float, least: int
) -> None:
    rng = np.random.default_rng(4)
    law = LAWS["lognormal"]
    truth = {"p50": law.ppf(0.5), "mean": law.mean(), "rate": 1.0}[target]
    hits, lengths = [], []
    for _ in range(2000):
        data = law.rvs(4000, random_state=rng)
        values = np.cumsum(rng.exponential(1, 4000)) if target == "rate" else data
        stop = SequentialStop(width, least, target=target)
        n = least
        # What lies between two looks cannot stop the run.
        while not stop.enough(values[:n]):
            n = math.ceil(n * 1.1)
        found = stop.interval(values[:n])
        assert found.relative_half_width <= width
        hits.append(is_covered(found, truth))
        lengths.append(n)
    assert np.mean(hits) >= CLAIM - 0.01 - noise(2000)
    assert np.median(lengths) < 1000


def test_stopping_looks_seldom_and_never_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).lognormal(0, 0.1, 2000).tolist()
    stop, looks = SequentialStop(0.01, 100, target="mean"), list[int]()
    look = stop._interval

    def counted(seen: Floats) -> tuple[Interval, float]:
        looks.append(len(seen))
        return look(seen)

    monkeypatch.setattr(stop, "_interval", counted)
    stopped = next(n for n in range(1, 2001) if stop.enough(values[:n]))
    assert looks[0] == 100
    assert looks[-1] == stopped
    assert len(looks) <= 2 + math.log(stopped / 100) / math.log(1.1)
    assert stop.enough(values[: stopped + 1])  # it does not change its mind
    assert looks[-1] == stopped


def test_too_little_is_never_enough() -> None:
    for target in ("p50", "mean", "rate"):
        stop = SequentialStop(100.0, 0, target=target)
        assert not stop.enough([])
        assert not stop.enough([1.0])
        assert not stop.enough([1.0, math.nan])
    with pytest.raises(MetricUndefinedError):
        SequentialStop(0.1, 2, target="rate").interval([])
    with pytest.raises(ValueError, match="half width of 0"):
        SequentialStop(0.0, 10)


def test_unknown_is_not_an_interval() -> None:
    undefined: list[Callable[[], object]] = [
        lambda: percentile_interval([], 50),
        lambda: percentile_interval([1.0] * 5, 50),
        lambda: t_interval([1.0]),
        lambda: t_interval([1.0, math.inf]),
        lambda: speedup_interval([1.0, 2.0], [1.0]),
        lambda: speedup_interval([1.0, 2.0], [1.0, 0.0]),
        lambda: t_interval([-1.0, 1.0]).relative_half_width,
    ]
    for attempt in undefined:
        with pytest.raises(MetricUndefinedError):
            attempt()
    for bad in (0.0, 1.0, 95.0):
        with pytest.raises(ValueError, match="confidence"):
            t_interval([1.0, 2.0], bad)
    with pytest.raises(ValueError, match="p100"):
        minimum_n(100)


def test_equal_runs_have_no_width() -> None:
    assert speedup_interval([2.0, 2.0], [1.0, 1.0])[:3] == (2.0, 2.0, 2.0)
    assert t_interval([3.0, 3.0]).relative_half_width == 0
