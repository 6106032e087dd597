"""Arrival schedules against the statistics of the process they claim to be."""

from __future__ import annotations

import hashlib
import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ibench.errors import MetricUndefinedError, ParameterError
from ibench.load.arrivals import (
    ArrivalKind,
    ArrivalSpec,
    arrival_offsets_ns,
    load_arrivals,
    parse_arrivals,
    replay_offsets_ns,
    save_arrivals,
)
from tests.load.arrival_statistics import (
    achieved_rate_per_s,
    dispersion_index,
    gap_cv,
    lag1_autocorrelation,
)

FROZEN = (0, 280080964, 531571147)
FROZEN_GAMMA = (0, 257832526, 1896159992)
N = 20_000
KINDS = st.sampled_from(["burst", "constant", "poisson", "gamma"])


@pytest.mark.parametrize("name", ["a", "b", "phase/poisson/7"])
def test_poisson_gaps_are_exponential_and_independent(name: str) -> None:
    offsets = arrival_offsets_ns("poisson", N, 3.0, name)
    # Four standard errors each; 1,300 windows for the dispersion.
    assert achieved_rate_per_s(offsets) / 3.0 == pytest.approx(1, abs=4 / N**0.5)
    assert gap_cv(offsets) == pytest.approx(1, abs=4 / N**0.5)
    assert lag1_autocorrelation(offsets) == pytest.approx(0, abs=4 / N**0.5)
    spread = 4 * (2 / 1300) ** 0.5
    assert dispersion_index(offsets, 5.0) == pytest.approx(1, abs=spread)


@pytest.mark.parametrize("shape", [0.25, 0.5, 1.0, 4.0, 25.0])
def test_gamma_gaps_have_the_variation_of_their_shape(shape: float) -> None:
    offsets = arrival_offsets_ns("gamma", N, 3.0, "gamma", shape=shape)
    cv = 1 / math.sqrt(shape)
    assert achieved_rate_per_s(offsets) / 3.0 == pytest.approx(1, abs=4 * cv / N**0.5)
    # The error of a CV grows with the fourth moment: 3 + 6 / shape.
    spread = 2 * cv * ((2 + 6 / shape) / N) ** 0.5
    assert gap_cv(offsets) == pytest.approx(cv, abs=2 * spread)
    assert lag1_autocorrelation(offsets) == pytest.approx(0, abs=4 / N**0.5)
    # In windows of 60 gaps, 333 of them, the dispersion nears cv squared.
    assert dispersion_index(offsets, 20.0) == pytest.approx(cv**2, rel=0.35)


def test_gamma_of_shape_one_is_poisson() -> None:
    gamma = arrival_offsets_ns("gamma", 500, 7.0, "same", shape=1.0)
    poisson = arrival_offsets_ns("poisson", 500, 7.0, "same")
    assert max(abs(a - b) for a, b in zip(gamma, poisson, strict=True)) <= 1000


def test_constant_arrivals_do_not_vary() -> None:
    offsets = arrival_offsets_ns("constant", N, 3.0, "any")
    assert achieved_rate_per_s(offsets) == pytest.approx(3.0)
    assert gap_cv(offsets) == pytest.approx(0, abs=1e-8)
    assert dispersion_index(offsets, 10.0) == pytest.approx(0, abs=0.01)
    with pytest.raises(MetricUndefinedError, match="constant"):
        lag1_autocorrelation(offsets)


def test_the_statistics_find_the_faults_of_other_generators() -> None:
    """Ten workers that draw the same gaps; gaps stretched to the stage's end."""
    gaps = list(itertools.pairwise(arrival_offsets_ns("poisson", 2001, 10.0, "peer")))
    repeated = [after - before for before, after in gaps for _ in range(10)]
    offsets = (0, *itertools.accumulate(repeated))
    assert lag1_autocorrelation(offsets) == pytest.approx(0.9, abs=0.02)
    assert dispersion_index(offsets, 10.0) > 5
    assert gap_cv(offsets) == pytest.approx(1, abs=0.1)  # and this does not show it


@given(n=st.integers(0, 200), rate_per_s=st.floats(0.01, 1e4))
def test_constant_is_evenly_spaced(n: int, rate_per_s: float) -> None:
    offsets = arrival_offsets_ns("constant", n, rate_per_s, "any")
    assert len(offsets) == n
    for index, offset in enumerate(offsets):
        assert offset == pytest.approx(index * 1e9 / rate_per_s, abs=1)


@given(kind=KINDS, n=st.integers(1, 50), name=st.text(max_size=20))
def test_sorted_from_zero_and_reproducible(
    kind: ArrivalKind, n: int, name: str
) -> None:
    offsets = arrival_offsets_ns(kind, n, 5.0, name, shape=0.3)
    assert offsets[0] == 0
    assert list(offsets) == sorted(offsets)
    assert offsets == arrival_offsets_ns(kind, n, 5.0, name, shape=0.3)
    # A shorter schedule is the beginning of a longer one: nothing is rescaled to n.
    longer = arrival_offsets_ns(kind, n + 7, 5.0, name, shape=0.3)
    assert longer[:n] == offsets


@given(kind=st.sampled_from(["poisson", "gamma"]), factor=st.integers(2, 50))
def test_a_rate_only_stretches_the_schedule(kind: ArrivalKind, factor: int) -> None:
    slow = arrival_offsets_ns(kind, 40, 1.0, "x", shape=0.5)
    fast = arrival_offsets_ns(kind, 40, float(factor), "x", shape=0.5)
    for a, b in zip(slow, fast, strict=True):
        assert a == pytest.approx(b * factor, abs=2 * factor)
    assert gap_cv(slow) == pytest.approx(gap_cv(fast), rel=1e-4)


def test_burst_needs_no_rate_and_names_matter() -> None:
    assert arrival_offsets_ns("burst", 3, None, "x") == (0, 0, 0)
    one = arrival_offsets_ns("poisson", 5, 1.0, "x")
    assert one != arrival_offsets_ns("poisson", 5, 1.0, "y")


def test_frozen_values() -> None:
    """A schedule must never change between versions."""
    assert arrival_offsets_ns("poisson", 3, 2.0, "frozen") == FROZEN
    gamma = arrival_offsets_ns("gamma", 3, 2.0, "frozen", shape=0.5)
    assert gamma == FROZEN_GAMMA


@pytest.mark.parametrize("value", [None, 0.0, -1.0, math.inf, math.nan])
def test_rate_and_shape_are_needed(value: float | None) -> None:
    with pytest.raises(ValueError, match="positive rate"):
        arrival_offsets_ns("poisson", 3, value, "x")
    with pytest.raises(ValueError, match="positive shape"):
        arrival_offsets_ns("gamma", 3, 1.0, "x", shape=value)


def test_undefined_statistics_are_not_zero() -> None:
    burst = arrival_offsets_ns("burst", 50, None, "x")
    for few in ((), (5,), burst):
        with pytest.raises(MetricUndefinedError):
            achieved_rate_per_s(few)
        with pytest.raises(MetricUndefinedError):
            gap_cv(few)
        with pytest.raises(MetricUndefinedError):
            lag1_autocorrelation(few)
        with pytest.raises(MetricUndefinedError):
            dispersion_index(few, 1.0)
    with pytest.raises(ValueError, match="window"):
        dispersion_index((0, 1), 0.0)


def test_file_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "arrivals.json"
    offsets = arrival_offsets_ns("poisson", 20, 1.0, "x")
    digest = save_arrivals(path, offsets)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_arrivals(path) == offsets
    assert replay_offsets_ns(path, 20) == offsets
    assert replay_offsets_ns(path, 7) == offsets[:7]
    path.write_text('[0, "1"]')
    with pytest.raises(ValidationError):
        load_arrivals(path)


def test_a_replay_keeps_a_late_start(tmp_path: Path) -> None:
    path = tmp_path / "late.json"
    save_arrivals(path, (10, 10, 30))
    assert parse_arrivals(f"replay:{path}").offsets_ns(2, "unused") == (10, 10)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[0, 5, 3, 9]", "arrivals[2]: 3: is before 5"),
        ("[-1, 5, 6]", "arrivals[0]: -1: is before 0"),
        ("[0, 5]", "too few: the phase sends 3 requests"),
        ("[0, 1.5, 2]", "list of whole nanoseconds"),
        ("{", "list of whole nanoseconds"),
        (None, "No such file"),
    ],
)
def test_a_file_that_does_not_serve(
    tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "saved.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ParameterError) as caught:
        replay_offsets_ns(path, 3)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    ["burst", "constant:16", "poisson:0.5", "gamma:32:0.5", "replay:a:b/v1.0"],
)
def test_a_schedule_reads_back_from_its_text(text: str) -> None:
    assert parse_arrivals(text).text == text


def test_a_specification_yields_its_schedule() -> None:
    expected = arrival_offsets_ns("gamma", 9, 32.0, "x", shape=0.5)
    assert parse_arrivals("gamma:32:0.5").offsets_ns(9, "x") == expected
    assert parse_arrivals("burst").offsets_ns(2, "x") == (0, 0)


@pytest.mark.parametrize(
    "text",
    (
        *("", "burst:1", "poisson", "poisson:", "poisson:-3", "poisson:inf"),
        *("poisson:1:2", "gamma:32", "gamma:32:0", "constant:fast", "replay:"),
        "uniform:3",
    ),
)
def test_other_texts_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="is no arrival schedule; write") as caught:
        parse_arrivals(text)
    assert str(caught.value).startswith(repr(text))
    assert "\n" not in str(caught.value)


def test_a_specification_holds_the_fields_of_its_kind_only() -> None:
    with pytest.raises(ValidationError, match="burst takes no rate_per_s"):
        ArrivalSpec(kind="burst", rate_per_s=1.0)
    with pytest.raises(ValidationError, match="gamma needs shape"):
        ArrivalSpec(kind="gamma", rate_per_s=1.0)
