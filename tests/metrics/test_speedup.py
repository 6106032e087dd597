from __future__ import annotations

import math

import numpy as np
import pytest

from ibench.errors import MetricUndefinedError
from ibench.metrics.speedup import paired_speedup, unpaired_speedup
from ibench.records import LifeSpread, PairedLife

RUNS = 1500


def life(ratio: float, blocks: tuple[float, ...] = ()) -> PairedLife:
    return PairedLife(objective=ratio, baseline_objective=1.0, blocks=blocks)


def test_the_value_is_the_geometric_mean_and_t_gives_the_interval() -> None:
    found = paired_speedup([life(1.0), life(4.0)])
    assert found.value == pytest.approx(2.0)
    half = 12.706 * math.log(4.0) / 2  # t of one degree of freedom, sd / sqrt(2)
    assert found.low == pytest.approx(2.0 * math.exp(-half), rel=1e-3)
    assert (found.lives, found.blocks, found.block_sd) == (2, 0, None)


def test_one_life_alone_has_no_interval_and_a_host_gives_it_one() -> None:
    assert paired_speedup([life(2.0)]).low is None
    found = paired_speedup([life(2.0)], host=LifeSpread(sd=0.02, df=10))
    assert found.low == pytest.approx(2.0 * math.exp(-2.228 * 0.02), rel=1e-3)


def test_a_life_without_a_ratio_leaves_no_speedup() -> None:
    dead = PairedLife(objective=None, baseline_objective=1.0, detail="died")
    with pytest.raises(MetricUndefinedError, match="1 of 2 lives"):
        paired_speedup([life(1.0), dead])
    with pytest.raises(MetricUndefinedError):
        paired_speedup([])


def coverage(life_sd: float, block_sd: float, lives: int, host: LifeSpread) -> float:
    """Share of drawn runs whose interval covers 1; four blocks a life."""
    draw = np.random.default_rng(7)
    covered = 0
    for _ in range(RUNS):
        drawn = []
        for _ in range(lives):
            logs = draw.normal(draw.normal(0, life_sd), block_sd, 4)
            blocks = tuple(float(x) for x in np.exp(logs))
            drawn.append(life(math.exp(float(logs.mean())), blocks))
        found = paired_speedup(drawn, host=host)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 1 <= found.high
    return covered / RUNS


@pytest.mark.parametrize("lives", [2, 3])
def test_it_covers_on_a_quiet_host_and_when_blocks_are_noisy(lives: int) -> None:
    of_a_mean = math.sqrt(0.02**2 + 0.04**2 / 4)
    host = LifeSpread(sd=of_a_mean, df=10)
    assert coverage(0.02, 0.04, lives, host) >= 0.94
    assert coverage(0.02, 0.30, lives, host) >= 0.90  # a neighbour in bursts


def test_lives_that_differ_twice_as_much_as_the_hosts_are_mostly_covered() -> None:
    host = LifeSpread(sd=math.sqrt(0.02**2 + 0.04**2 / 4), df=10)
    assert coverage(0.05, 0.04, 2, host) >= 0.80


def test_unpaired_lives_are_welchs_and_a_single_one_takes_the_others_spread() -> None:
    base = [100.0, 104.0, 96.0]
    one = unpaired_speedup([200.0], base)
    both = unpaired_speedup([200.0, 201.0, 199.0], base)
    assert one.low is not None
    assert both.low is not None
    assert one.low < both.low < both.value
    assert unpaired_speedup([2.0], [1.0]).low is None
    with pytest.raises(MetricUndefinedError):
        unpaired_speedup([], [1.0])
    with pytest.raises(MetricUndefinedError):
        unpaired_speedup([0.0], [1.0])
