"""A phase in numbers: tails, failures, error bars, and when a point is invalid."""

from __future__ import annotations

import re

import pytest

from ibench.load.lines import phase_table
from ibench.metrics.phase import PhasePlan
from ibench.metrics.summary import client_health, summarize
from ibench.params import ClientSpec
from ibench.records import Calibration, ClientCost, FailureKind, RequestResult
from ibench.terminal import plain
from tests.factories import MS, result

COST = ClientCost(
    timestamp_source="kernel", processes=1, cpu_s=0.01, clock_drift_s=0.0, resent=0
)


def _plan(requests: int) -> PhasePlan:
    return PhasePlan("burst", "burst", 4, "0" * 64, None, 0.2, 0.02, requests)


def _calibration(**changes: float) -> Calibration:
    values = {
        "when": "before",
        "timestamp_source": "kernel",
        "requests": 8,
        "chunks": 128,
        "ttft_bias_s": 1e-5,
        "ttft_sigma_s": 1e-5,
        "ttft_error_p99_s": 1e-4,
        "itl_bias_s": 0.0,
        "itl_sigma_s": 1e-5,
        "chunk_error_p99_s": 1e-4,
        "cpu_s_per_chunk": 1e-5,
        "ceiling_chunks_per_s": 70_000.0,
    }
    return Calibration.model_validate(values | changes)


def _many(n: int, **changes: float) -> list[RequestResult]:
    return [
        result(ttft_ms=20 + i % 7, start_ms=30 * i).model_copy(
            update={"request_id": f"r{i}", "ready_ns": 30 * i * MS, **changes}
        )
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("n", "p90", "p99"), [(63, False, False), (64, True, False), (662, True, True)]
)
def test_tails_are_hidden_below_their_minimum(n: int, p90: bool, p99: bool) -> None:
    found = summarize(_plan(n), _many(n))
    assert found.ttft_p50_s is not None
    assert (found.ttft_p90_s is not None, found.ttft_p99_s is not None) == (p90, p99)
    assert (found.ttft_all_p99_s is not None) == p99
    assert found.ttft_p50_range_s is not None
    assert found.ttft_p50_range_s.low <= found.ttft_p50_s <= found.ttft_p50_range_s.high


def test_failures_are_infinitely_slow() -> None:
    good = _many(20)
    bad = [r.model_copy(update={"failure": FailureKind.TIMEOUT}) for r in _many(21)]
    found = summarize(_plan(41), [*good, *bad])
    assert found.ttft_all_p50_s == "inf"
    assert found.ttft_p50_s == pytest.approx(0.023, abs=0.002)
    few = summarize(_plan(22), [*good, *bad[:2]])
    assert isinstance(few.ttft_all_p50_s, float)
    assert few.ttft_all_p50_s >= (few.ttft_p50_s or 0)


def test_coalesced_chunks_and_read_lag_are_counted() -> None:
    request = result(tokens=4)
    first = request.chunks[0].t_read_ns
    chunks = tuple(
        c.model_copy(update={"t_read_ns": first + 9, "t_recv_ns": first})
        for c in request.chunks
    )
    health = client_health([request.model_copy(update={"chunks": chunks})], COST)
    assert health is not None
    assert (health.chunks, health.coalesced_chunks) == (4, 3)
    assert health.read_lag_max_s == pytest.approx(9e-9)


def test_waiting_for_a_slot_is_not_the_clients_lag() -> None:
    queued = [
        r.model_copy(update={"scheduled_ns": 0, "ready_ns": (r.sent_ns or 0) - 1000})
        for r in _many(30)
    ]
    found = summarize(_plan(30), queued, COST)
    assert found.client is not None
    assert found.client.send_lag_max_s == pytest.approx(1e-6)
    assert found.client.queue_p50_s == pytest.approx(0.435, abs=0.02)
    assert (found.ttft_scheduled_p50_s or 0) > 10 * (found.ttft_p50_s or 0)
    assert found.invalid == ()


@pytest.mark.parametrize(
    ("what", "results", "cost", "calibration"),
    [
        (
            "send lag",
            [
                r.model_copy(update={"ready_ns": (r.sent_ns or 0) - 4 * MS})
                for r in _many(20)
            ],
            COST,
            _calibration(),
        ),
        ("TTFT bias", _many(20), COST, _calibration(ttft_bias_s=0.002)),
        ("chunk rate", _many(20), COST, _calibration(ceiling_chunks_per_s=10.0)),
        (
            "client CPU",
            _many(20),
            COST.model_copy(update={"cpu_s": 0.6}),
            _calibration(),
        ),
        (
            "clock drift",
            _many(20),
            COST.model_copy(update={"clock_drift_s": -0.01}),
            _calibration(),
        ),
        (
            "cache hit rate",
            [r.model_copy(update={"cached_tokens": 9}) for r in _many(20)],
            COST,
            _calibration(),
        ),
    ],
)
def test_a_point_beyond_a_limit_is_invalid_and_says_why(
    what: str, results: list[RequestResult], cost: ClientCost, calibration: Calibration
) -> None:
    assert summarize(_plan(20), _many(20), COST, [_calibration()]).invalid == ()
    found = summarize(_plan(20), results, cost, [calibration])
    assert len(found.invalid) == 1
    assert found.invalid[0].startswith(what)
    text = "\n".join(plain(phase_table(found)))
    assert f"INVALID  {found.invalid[0]}" in re.sub(" {2,}", "  ", text)
    # The number is still there: whoever reads it is told what it is worth.
    assert found.ttft_p50_s is not None


def test_the_engines_own_counters_are_a_second_witness() -> None:
    found = summarize(_plan(20), _many(20), COST, counted_hit_rate=0.9)
    assert found.cache_hit_rate == 0.9
    assert found.invalid[0].startswith("cache hit rate is 0.9")
    cached = [r.model_copy(update={"cached_tokens": 10}) for r in _many(20)]
    both = summarize(_plan(20), cached, COST, counted_hit_rate=0.2)
    assert both.cache_hit_rate == 1.0


def test_late_reads_make_a_point_invalid_where_reads_are_the_stamps() -> None:
    late = [
        r.model_copy(
            update={
                "chunks": tuple(
                    c.model_copy(update={"t_recv_ns": c.t_read_ns - 3 * MS})
                    for c in r.chunks
                )
            }
        )
        for r in _many(20)
    ]
    # A late read moves no stamp of the kernel's.
    stamped = COST.model_copy(update={"timestamp_source": "kernel"})
    assert summarize(_plan(20), late, stamped).invalid == ()
    read = COST.model_copy(update={"timestamp_source": "user"})
    assert summarize(_plan(20), late, read).invalid[0].startswith("read lag p99")
    lenient = ClientSpec(max_read_lag_p99_s=0.01)
    assert summarize(_plan(20), late, read, (), lenient).invalid == ()


def test_a_late_send_counts_by_what_it_does_to_a_number() -> None:
    def late_by(ms: float, tpot_ms: float) -> list[RequestResult]:
        made = [result(10, tpot_ms, start_ms=30 * i) for i in range(20)]
        return [
            r.model_copy(update={"ready_ns": (r.sent_ns or 0) - int(ms * MS)})
            for r in made
        ]

    # 3 ms are more than a fourth of this TTFT, and 1.5 % of the time of the answer.
    assert summarize(_plan(20), late_by(3, 50), COST).invalid == ()
    assert summarize(_plan(20), late_by(3, 2), COST).invalid[0].startswith("send lag")


def test_what_stopping_early_saved() -> None:
    found = summarize(_plan(100), _many(25), COST)
    assert found.stopped_early is not None
    assert (found.stopped_early.planned_requests, found.requests) == (100, 25)
    assert found.stopped_early.saved_server_s == pytest.approx(3 * found.wall_s)
    assert summarize(_plan(25), _many(25), COST).stopped_early is None
