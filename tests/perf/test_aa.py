from __future__ import annotations

import math
import time

import psutil
import pytest

from ibench.records import Speedup
from perf.aa import Pair, life_spread, neighbour, summary


def speedup(value: float, half: float, life_sd: float = 0.02) -> Speedup:
    low, high = value * math.exp(-half), value * math.exp(half)
    return Speedup(
        value=value, low=low, high=high, confidence=0.95, lives=2, life_sd=life_sd
    )


def test_a_row_counts_what_covers_one_and_keeps_the_halves_apart() -> None:
    good, bad = speedup(1.01, 0.05), speedup(1.2, 0.05)
    pairs = [
        Pair(True, good, bad, ()),
        Pair(True, bad, bad, ()),
        Pair(False, good, bad, ("other programs",)),
    ]
    rows = summary("b", pairs)
    assert [row[:4] for row in rows] == [
        ("b", "quiet", "paired", "1/2"),
        ("b", "quiet", "unpaired", "0/2"),
        ("b", "busy", "paired", "1/1"),
        ("b", "busy", "unpaired", "0/1"),
    ]
    assert rows[0][4] == "5.0%"
    assert [row[-1] for row in rows] == ["0", "0", "1", "1"]


def test_the_spread_that_a_host_file_may_state_is_of_quiet_pairs_only() -> None:
    pairs = [
        Pair(True, speedup(1.0, 0.1, 0.03), speedup(1.0, 0.1), ()),
        Pair(True, speedup(1.0, 0.1, 0.04), speedup(1.0, 0.1), ()),
        Pair(False, speedup(1.0, 0.1, 0.9), speedup(1.0, 0.1), ()),
    ]
    sd, df = life_spread(pairs)
    assert sd == pytest.approx(math.sqrt((0.03**2 + 0.04**2) / 2))
    assert df == 2


def test_a_neighbour_takes_a_core_and_is_gone_afterwards() -> None:
    before = set(psutil.Process().children())
    with neighbour(7, is_quiet=False):
        (one,) = set(psutil.Process().children()) - before
        time.sleep(1.5)
        used_s = sum(one.cpu_times()[:2])
    assert used_s > 0.1
    assert not one.is_running()
    with neighbour(7, is_quiet=True):
        assert set(psutil.Process().children()) == before


def test_without_pairs_no_spread_is_stated() -> None:
    sd, df = life_spread([])
    assert math.isnan(sd)
    assert df == 0
