from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibench.errors import MetricUndefinedError
from ibench.metrics import requests as metrics
from ibench.metrics.objectives import OBJECTIVES, objective
from ibench.metrics.phase import Plan
from ibench.metrics.summary import summarize
from ibench.records import Chunk, FailureKind, PhaseSummary, RequestResult
from tests.factories import MS, phase, result

FAILURES = st.sampled_from(list(FailureKind))
REQUESTS = st.lists(
    st.builds(
        result,
        ttft_ms=st.floats(1, 500),
        tpot_ms=st.floats(0.1, 50),
        tokens=st.integers(2, 40),
        start_ms=st.floats(0, 1000),
    ),
    min_size=1,
    max_size=12,
)


def failed(request: RequestResult, kind: FailureKind) -> RequestResult:
    return request.model_copy(update={"failure": kind})


def test_ttft_counts_from_send_or_from_the_schedule() -> None:
    late = result(ttft_ms=10, start_ms=5).model_copy(update={"scheduled_ns": 0})
    assert metrics.ttft_s(late) == pytest.approx(0.010)
    assert metrics.ttft_s(late, "scheduled") == pytest.approx(0.015)
    assert metrics.send_lag_s(late) == pytest.approx(0.005)


def test_tpot_ends_at_the_last_token_not_at_the_end_of_the_stream() -> None:
    slow_close = result(tpot_ms=2, tokens=6).model_copy(update={"end_ns": 10**12})
    assert metrics.tpot_s(slow_close) == pytest.approx(0.002)


@pytest.mark.parametrize("changes", [{"tokens": None}, {"tokens": 1}])
def test_tpot_is_undefined_without_two_tokens(changes: dict[str, int | None]) -> None:
    with pytest.raises(MetricUndefinedError):
        metrics.tpot_s(result().model_copy(update=changes))


def test_a_request_without_a_token_has_no_ttft() -> None:
    with pytest.raises(MetricUndefinedError, match="first token"):
        metrics.ttft_s(result(tokens=0))


def test_chunks_of_several_tokens_are_apportioned_evenly() -> None:
    chunks = tuple(
        Chunk(t_read_ns=t * MS, t_recv_ns=None, text="x", n_tokens=k)
        for t, k in ((0, 1), (9, 3), (11, 1))
    )
    request = result().model_copy(update={"chunks": chunks})
    assert metrics.chunk_gaps_s(request) == pytest.approx([0.009, 0.002])
    assert metrics.itl_s(request) == pytest.approx([0.003] * 3 + [0.002])


def test_percentiles_interpolate_and_refuse_nothing() -> None:
    assert metrics.percentile([1, 2, 3, 4], 50) == 2.5
    with pytest.raises(MetricUndefinedError):
        metrics.percentile([], 50)


def test_rates_count_completed_requests_over_the_whole_wall_time() -> None:
    good = [result(tokens=10, tpot_ms=10, ttft_ms=9, start_ms=t) for t in (0, 100)]
    bad = result(failure=FailureKind.TIMEOUT, start_ms=899, ttft_ms=100, tokens=0)
    wall = metrics.wall_s([*good, bad])
    assert wall == pytest.approx(1.0)
    assert metrics.request_rate_per_s([*good, bad]) == pytest.approx(2 / wall)
    assert metrics.token_rate_per_s([*good, bad]) == pytest.approx(20 / wall)
    assert metrics.failure_rate([*good, bad]) == pytest.approx(1 / 3)


def test_a_hundred_quick_failures_are_no_throughput() -> None:
    bad = [result(failure=FailureKind.HTTP_STATUS, tokens=0) for _ in range(100)]
    assert metrics.request_rate_per_s(bad) == 0.0
    summary = summary_of(bad)
    with pytest.raises(MetricUndefinedError):
        objective("request_rate", [summary])


def test_goodput_needs_both_objectives_from_the_schedule() -> None:
    queued = result(ttft_ms=10).model_copy(update={"scheduled_ns": -200 * MS})
    results = [result(ttft_ms=10), queued, result(tpot_ms=30)]
    rate = metrics.goodput_per_s(results, ttft_slo_s=0.1, tpot_slo_s=0.02)
    assert rate * metrics.wall_s(results) == pytest.approx(1.0)


def summary_of(results: list[RequestResult]) -> PhaseSummary:
    plan = Plan(
        name="burst",
        arrivals="burst",
        concurrency=1,
        arrivals_sha256="0" * 64,
        offered_rate_per_s=None,
        ttft_slo_s=0.2,
        tpot_slo_s=0.02,
        requests=len(results),
    )
    return summarize(plan, results)


@given(REQUESTS, st.data())
def test_a_failure_never_raises_a_rate(
    requests: list[RequestResult], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(requests) - 1))
    kind = data.draw(FAILURES)
    worse = list(requests)
    worse[index] = failed(worse[index], kind)
    before, after = summary_of(requests), summary_of(worse)
    assert after.request_rate_per_s < before.request_rate_per_s
    assert after.token_rate_per_s < before.token_rate_per_s
    assert after.goodput_per_s <= before.goodput_per_s
    assert after.completed == before.completed - 1
    assert after.failures == {str(kind): 1}


@given(REQUESTS, FAILURES)
def test_an_added_failure_never_raises_a_rate_or_enters_a_latency(
    requests: list[RequestResult], kind: FailureKind
) -> None:
    more = [*requests, failed(result(ttft_ms=0.001, tokens=3), kind)]
    before, after = summary_of(requests), summary_of(more)
    assert after.request_rate_per_s <= before.request_rate_per_s
    assert after.goodput_per_s <= before.goodput_per_s
    assert (after.ttft_p50_s, after.tpot_p50_s) == (
        before.ttft_p50_s,
        before.tpot_p50_s,
    )
    # Failed requests stand at infinity.
    assert float(after.ttft_all_p50_s or 0) >= float(before.ttft_all_p50_s or 0)


def test_objectives_of_the_four_scenarios() -> None:
    one = phase(ttft_p50_s=0.02, tpot_p50_s=0.005, request_rate_per_s=4.0)
    two = phase(request_rate_per_s=9.0)
    assert objective("ttft", [one]) == pytest.approx(50)
    assert objective("tpot", [one]) == pytest.approx(200)
    assert objective("request_rate", [one, two]) == pytest.approx(6)
    assert objective("balanced", [one]) == pytest.approx(math.cbrt(50 * 200 * 4))


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_an_objective_without_completed_requests_is_undefined(
    kind: str,
) -> None:
    empty = phase(completed=0, ttft_p50_s=None, tpot_p50_s=None, request_rate_per_s=0.0)
    with pytest.raises(MetricUndefinedError):
        objective(kind, [empty])
