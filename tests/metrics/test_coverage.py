"""Coverage floors of every interval, by smaller runs of `make bench-intervals`."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ibench.metrics.intervals.correlation import inflation
from perf.interval_cases import CASES, Case, find_case, series
from perf.intervals import Coverage, coverage, main, table

FAST = [c for c in CASES if not c.interval.startswith("stopping")]
DRAWS, STOPPED_DRAWS = 400, 150
STOPPED = [
    find_case(f"stopping, {target}", f"{kind}, to 10%")
    for target in ("p50", "mean", "rate")
    for kind in ("independent", "ar 0.7")
]


def name(case: Case) -> str:
    return f"{case.interval}: {case.data}"


def holds(found: Coverage) -> bool:
    """Chance alone takes three standard errors from a share that is at its floor."""
    floor = found.case.floor
    return found.share >= floor - 3 * math.sqrt(floor * (1 - floor) / found.draws)


@pytest.mark.parametrize("case", FAST, ids=name)
def test_an_interval_covers_as_often_as_its_floor(case: Case) -> None:
    found = coverage(case, DRAWS)
    assert holds(found), found
    assert math.isfinite(found.half_width)


@pytest.mark.slow
@pytest.mark.parametrize("case", STOPPED, ids=name)
def test_a_run_that_stops_covers_also_where_its_values_correlate(case: Case) -> None:
    found = coverage(case, STOPPED_DRAWS)
    assert holds(found), found
    assert found.half_width <= 0.1


@pytest.mark.parametrize(
    ("kind", "truth"),
    [("independent", 1.0), ("ar 0.7", 17 / 3), ("ar 0.9", 19.0), ("average 10", 10.0)],
)
def test_a_correlated_series_is_worth_fewer_values(kind: str, truth: float) -> None:
    found = inflation(series(kind, 20_000, np.random.default_rng(3)))
    assert found == pytest.approx(truth, rel=0.15)


def test_what_has_no_spread_or_few_values_is_not_inflated() -> None:
    assert inflation(np.full(50, 3.0)) == 1.0
    assert inflation(np.arange(5.0)) == 1.0
    # Neighbours that undo each other would make an interval narrower: never.
    assert inflation(np.tile([1.0, 2.0], 50)) == 1.0


def test_the_bench_prints_a_row_a_case_and_fails_below_a_floor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--only", "t", "--draws", "50"]) == 0
    rows = [x for x in capsys.readouterr().out.splitlines() if x.startswith("| t |")]
    assert len(rows) == 3
    wrong = find_case("t", "5 runs, spread 30%")._replace(floor=1.05)
    monkeypatch.setattr("perf.intervals.CASES", (wrong,))
    assert main(["--draws", "50"]) == 1
    assert "below its floor" in capsys.readouterr().out


def test_the_table_shows_share_and_width_in_percent() -> None:
    row = table([Coverage(FAST[0], 10, 0.95, 0.0123, 30.0)]).splitlines()[-1]
    assert row == "| percentile | p50 of 30 log-normal | 30 | 1.2 % | 95.0 % | 10 |"
