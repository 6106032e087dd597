"""Arrival schedules against the statistics of the process they claim to be."""

from __future__ import annotations

import hashlib
import itertools
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ibench.load.arrivals import (
    ArrivalKind,
    arrival_offsets_ns,
    load_arrivals,
    save_arrivals,
)

FROZEN = (0, 280080964, 531571147)


def _gaps_s(offsets: tuple[int, ...]) -> list[float]:
    pairs = itertools.pairwise(offsets)
    return [(after - before) / 1e9 for before, after in pairs]


@pytest.mark.parametrize("name", ["a", "b", "phase/poisson/7"])
def test_poisson_gaps_are_exponential_and_independent(name: str) -> None:
    n, rate_per_s = 20_000, 3.0
    gaps = _gaps_s(arrival_offsets_ns("poisson", n, rate_per_s, name))
    mean = statistics.fmean(gaps)
    # Four standard errors each.
    assert mean * rate_per_s == pytest.approx(1, abs=4 / n**0.5)
    assert statistics.stdev(gaps) / mean == pytest.approx(1, abs=4 / n**0.5)
    lag = statistics.correlation(gaps[:-1], gaps[1:])
    assert lag == pytest.approx(0, abs=4 / n**0.5)


@given(n=st.integers(0, 200), rate_per_s=st.floats(0.01, 1e4))
def test_constant_is_evenly_spaced(n: int, rate_per_s: float) -> None:
    offsets = arrival_offsets_ns("constant", n, rate_per_s, "any")
    assert len(offsets) == n
    for index, offset in enumerate(offsets):
        assert offset == pytest.approx(index * 1e9 / rate_per_s, abs=1)


@given(
    kind=st.sampled_from(["burst", "constant", "poisson"]),
    n=st.integers(1, 50),
    name=st.text(max_size=20),
)
def test_sorted_from_zero_and_reproducible(
    kind: ArrivalKind, n: int, name: str
) -> None:
    offsets = arrival_offsets_ns(kind, n, 5.0, name)
    assert offsets[0] == 0
    assert list(offsets) == sorted(offsets)
    assert offsets == arrival_offsets_ns(kind, n, 5.0, name)


def test_burst_needs_no_rate_and_names_matter() -> None:
    assert arrival_offsets_ns("burst", 3, None, "x") == (0, 0, 0)
    one = arrival_offsets_ns("poisson", 5, 1.0, "x")
    assert one != arrival_offsets_ns("poisson", 5, 1.0, "y")


def test_frozen_values() -> None:
    """A schedule must never change between versions."""
    offsets = arrival_offsets_ns("poisson", 3, 2.0, "frozen")
    assert offsets == FROZEN


@pytest.mark.parametrize("rate_per_s", [None, 0.0, -1.0])
def test_rate_is_needed(rate_per_s: float | None) -> None:
    with pytest.raises(ValueError, match="positive rate"):
        arrival_offsets_ns("poisson", 3, rate_per_s, "x")


def test_file_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "arrivals.json"
    offsets = arrival_offsets_ns("poisson", 20, 1.0, "x")
    digest = save_arrivals(path, offsets)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_arrivals(path) == offsets
    path.write_text('[0, "1"]')
    with pytest.raises(ValidationError):
        load_arrivals(path)
