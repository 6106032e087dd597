"""One traffic phase in numbers: latencies, rates, how sure, how exact, valid or not."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence

from ibench.errors import MetricUndefinedError
from ibench.metrics import requests as metrics
from ibench.metrics.intervals import (
    Interval,
    batch_means_interval,
    percentile_interval,
)
from ibench.metrics.phase import PhasePlan, Seen, values_of
from ibench.params import ClientSpec
from ibench.records import (
    Calibration,
    ClientCost,
    ClientHealth,
    PhaseSummary,
    Range,
    RequestResult,
    StoppedEarly,
)

__all__ = ["client_health", "summarize"]

_NS = 1e-9
_MAX_DRIFT_S = 1e-3  # more is a clock that was set while the run went on


def summarize(
    plan: PhasePlan,
    results: Sequence[RequestResult],
    cost: ClientCost | None = None,
    calibration: Sequence[Calibration] = (),
    spec: ClientSpec | None = None,
    tpot: Callable[[RequestResult], float] = metrics.tpot_s,
    counted_hit_rate: float | None = None,
) -> PhaseSummary:
    """Reduce one phase to its numbers.

    Latencies are of completed requests unless the name says ``all``. Tails whose
    number of values is below the minimum (``intervals.minimum_n``) are unknown.

    Args:
        plan: what was asked for.
        results: what came.
        cost: of the client; without it nothing is said about exactness or validity.
        calibration: the client against the null server, before and after.
        spec: limits and confidence.
        tpot: ``metrics.tpot_words_s`` for the original's number.
        counted_hit_rate: of the engine's own counters, where usage names none.

    Raises:
        MetricUndefinedError: no requests, or completed ones in no time.
    """
    spec = spec or ClientSpec()
    phase = Seen.of(plan, results, tpot)
    health = None if cost is None else client_health(results, cost)
    failures = Counter(r.failure.value for r in results if r.failure is not None)
    values = values_of(phase)
    fields = PhaseSummary.model_fields
    confidence = spec.confidence
    summary = PhaseSummary(
        name=plan.name,
        arrivals=plan.arrivals,
        concurrency=plan.concurrency,
        arrivals_sha256=plan.arrivals_sha256,
        requests=len(results),
        completed=len(phase.done),
        failures=dict(sorted(failures.items())),
        offered_rate_per_s=plan.offered_rate_per_s,
        **{name: value for name, value in values.items() if name in fields},
        more={name: value for name, value in values.items() if name not in fields},
        cache_hit_rate=_cache_hit_rate(phase.done, counted_hit_rate),
        confidence=confidence,
        ttft_p50_range_s=_range(
            lambda: percentile_interval(phase.ttft, 50, confidence)
        ),
        tpot_p50_range_s=_range(
            lambda: percentile_interval(phase.tpot, 50, confidence)
        ),
        request_rate_range_per_s=_range(lambda: _rate_interval(results, spec)),
        client=health,
        calibration=tuple(calibration),
        stopped_early=_stopped_early(plan, results),
    )
    if health is None:
        return summary
    lag = _lag_share(results)
    faults = _faults(summary, health, spec, lag)
    return summary.model_copy(update={"invalid": faults})


def client_health(
    results: Sequence[RequestResult], cost: ClientCost
) -> ClientHealth | None:
    """What the stamps and the cost say about the client itself.

    A chunk is coalesced when it came out of one read with the chunk before it: the
    kernel then told only the later one's arrival. Read lag is the read stamp minus
    the kernel's, over reads that completed a chunk.
    """
    lags, chunks, coalesced = [], 0, 0
    for r in results:
        before = None
        for chunk in r.chunks:
            chunks += 1
            coalesced += chunk.t_read_ns == before
            before = chunk.t_read_ns
            if chunk.t_recv_ns is not None:
                lags.append((chunk.t_read_ns - chunk.t_recv_ns) * _NS)
    sent = metrics.defined(metrics.send_lag_s, results)
    queue = metrics.defined(metrics.queue_s, results)
    wall = metrics.wall_s(results)
    return ClientHealth(
        **cost.model_dump(),
        chunks=chunks,
        coalesced_chunks=coalesced,
        chunks_per_s=chunks / wall if wall > 0 else 0.0,
        cpu_s_per_chunk=cost.cpu_s / chunks if chunks else None,
        cpu_share=cost.cpu_s / cost.processes / wall if wall > 0 else 0.0,
        read_lag_p50_s=_any(lags, 50),
        read_lag_p99_s=_any(lags, 99),
        read_lag_max_s=max(lags, default=None),
        send_lag_p50_s=_any(sent, 50),
        send_lag_p99_s=_any(sent, 99),
        send_lag_max_s=max(sent, default=None),
        queue_p50_s=_any(queue, 50),
        queue_p99_s=_any(queue, 99),
    )


def _lag_share(results: Sequence[RequestResult]) -> float | None:
    """What the client's late sends can do to a scored number, as a share.

    TTFT, TPOT and latency count from the send: a late one moves none of them. The
    request rate it can lower, by ``mean send lag / mean time of a request``.
    """
    done = [r for r in results if r.sent_ns is not None]
    lag_s = sum(metrics.defined(metrics.send_lag_s, done))
    busy_s = sum((r.end_ns - (r.sent_ns or 0)) * _NS for r in done)
    return lag_s / busy_s if busy_s > 0 else None


def _faults(
    s: PhaseSummary, client: ClientHealth, spec: ClientSpec, lag_share: float | None
) -> tuple[str, ...]:
    """Why a point must not be used, one line each.

    A late read moves no number where the kernel stamped every chunk's arrival.
    """
    found: list[str] = []

    def limit(what: str, value: float | None, most: float | None, unit: str) -> None:
        if value is not None and most is not None and value > most:
            found.append(f"{what} is {value:.4g}{unit}, the limit {most:.4g}{unit}")

    error_s = None if s.ttft_p50_s is None else spec.max_error_share * s.ttft_p50_s
    ceiling = min((c.ceiling_chunks_per_s for c in s.calibration), default=None)
    bias_s = max((abs(c.ttft_bias_s) for c in s.calibration), default=None)
    each_per_s = client.chunks_per_s / client.processes
    drift_s = None if client.clock_drift_s is None else abs(client.clock_drift_s)
    limit("send lag", lag_share, spec.max_error_share, " of the requests' time")
    limit("TTFT bias against the null server", bias_s, error_s, " s")
    if client.timestamp_source == "user":
        limit("read lag p99", client.read_lag_p99_s, spec.max_read_lag_p99_s, " s")
    limit("client CPU", client.cpu_share, spec.max_cpu_share, " of a core")
    limit("chunk rate a process", each_per_s, ceiling, " a second")
    limit("cache hit rate", s.cache_hit_rate, spec.max_cache_hit_rate, "")
    limit("clock drift", drift_s, _MAX_DRIFT_S, " s")
    return tuple(found)


def _rate_interval(results: Sequence[RequestResult], spec: ClientSpec) -> Interval:
    ends = [r.end_ns * _NS for r in results if metrics.is_completed(r)]
    starts = [r.scheduled_ns if r.sent_ns is None else r.sent_ns for r in results]
    last = max(r.end_ns for r in results)
    found = batch_means_interval(
        ends, min(starts) * _NS, last * _NS, confidence=spec.confidence
    )
    return found._replace(low=max(found.low, 0.0))  # a rate is not negative


def _range(interval: Callable[[], Interval]) -> Range | None:
    try:
        found = interval()
    except MetricUndefinedError:
        return None
    return Range(low=found.low, high=found.high)


def _stopped_early(
    plan: PhasePlan, results: Sequence[RequestResult]
) -> StoppedEarly | None:
    if len(results) >= plan.requests:
        return None
    each_s = metrics.wall_s(results) / len(results)
    return StoppedEarly(
        planned_requests=plan.requests,
        done_requests=len(results),
        saved_server_s=each_s * (plan.requests - len(results)),
    )


def _cache_hit_rate(
    done: Sequence[RequestResult], counted: float | None
) -> float | None:
    """The larger of what usage and what the engine's counters say."""
    known = [] if counted is None else [counted]
    with contextlib.suppress(MetricUndefinedError):
        known.append(metrics.cache_hit_rate(done))
    return max(known, default=None)


def _any(values: Sequence[float], q: float) -> float | None:
    return metrics.percentile(values, q) if values else None
