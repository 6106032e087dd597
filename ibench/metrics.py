"""Metrics: one pure function each, with formula, unit and refusal.

Stamps are monotonic nanoseconds of one clock (``RequestResult``). A metric without its
input raises ``MetricUndefinedError``; it is never zero. Failed requests count in wall
time and denominators, never in numerators or latencies, so that no failure can raise a
score. Sources: InferenceBench (arXiv 2607.20468) defines TTFT, TPOT and the objectives;
where its code differs, docs/metrics.md says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

from ibench.errors import MetricUndefinedError
from ibench.records import Chunk, PhaseSummary, RequestResult

__all__ = [
    "ObjectiveKind",
    "chunk_gaps_s",
    "failure_rate",
    "goodput_per_s",
    "is_completed",
    "itl_s",
    "latency_s",
    "objective",
    "percentile",
    "request_rate_per_s",
    "send_lag_s",
    "summarize",
    "token_rate_per_s",
    "tpot_s",
    "ttft_s",
    "wall_s",
]

Origin: TypeAlias = Literal["sent", "scheduled"]
ObjectiveKind: TypeAlias = Literal["ttft", "tpot", "request_rate", "balanced"]
_NS = 1e-9


def ttft_s(r: RequestResult, origin: Origin = "sent") -> float:
    """Time to first token: ``first_token - origin``, seconds.

    ``sent`` is the paper's definition; ``scheduled`` adds the time a request waited
    in the client.

    Raises:
        MetricUndefinedError: no text arrived, or nothing was sent.
    """
    start = r.sent_ns if origin == "sent" else r.scheduled_ns
    if start is None or r.first_token_ns is None:
        raise MetricUndefinedError(f"{r.request_id}: TTFT without a first token")
    return (r.first_token_ns - start) * _NS


def tpot_s(r: RequestResult) -> float:
    """Time per output token: ``(last_token - first_token) / (n - 1)``, seconds.

    ``n`` counts tokens of the received text with the base model's tokenizer, not
    what the server reports. The original code ends at the stream's close instead.

    Raises:
        MetricUndefinedError: fewer than two tokens, or their number is unknown.
    """
    if r.tokens is None or r.tokens < 2:
        raise MetricUndefinedError(f"{r.request_id}: TPOT of {r.tokens} tokens")
    if r.first_token_ns is None or r.last_token_ns is None:
        raise MetricUndefinedError(f"{r.request_id}: TPOT without token times")
    return (r.last_token_ns - r.first_token_ns) * _NS / (r.tokens - 1)


def chunk_gaps_s(r: RequestResult) -> tuple[float, ...]:
    """Times between successive chunks with text, seconds; the paper's ITL.

    Kernel stamps are used where every chunk has one, else user-space stamps.
    """
    return tuple((after - before) * _NS for before, after in pairwise(_stamps(r)))


def itl_s(r: RequestResult) -> tuple[float, ...]:
    """Inter-token latencies, seconds, one value a token after the first chunk.

    A gap ``g`` before a chunk of ``k`` tokens gives ``k`` values ``g / k``; the gap
    of a chunk that completes no token adds to the next. Where the server does not say
    ``k``, it is taken as 1: then several tokens in a chunk read as one slow token.
    """
    latencies: list[float] = []
    carried = 0.0
    for gap, chunk in zip(chunk_gaps_s(r), r.chunks[1:], strict=True):
        carried += gap
        tokens = 1 if chunk.n_tokens is None else chunk.n_tokens
        if tokens > 0:
            latencies += [carried / tokens] * tokens
            carried = 0.0
    return tuple(latencies)


def latency_s(r: RequestResult, origin: Origin = "sent") -> float:
    """Time to the last token: ``last_token - origin``, seconds.

    Raises:
        MetricUndefinedError: no text arrived, or nothing was sent.
    """
    start = r.sent_ns if origin == "sent" else r.scheduled_ns
    if start is None or r.last_token_ns is None:
        raise MetricUndefinedError(f"{r.request_id}: latency without a last token")
    return (r.last_token_ns - start) * _NS


def send_lag_s(r: RequestResult) -> float:
    """How late the client sent: ``sent - scheduled``, seconds.

    Raises:
        MetricUndefinedError: nothing was sent.
    """
    if r.sent_ns is None:
        raise MetricUndefinedError(f"{r.request_id}: send lag of a request not sent")
    return (r.sent_ns - r.scheduled_ns) * _NS


def percentile(values: Sequence[float], q: float) -> float:
    """Percentile ``q`` in 0..100 by linear interpolation (as numpy's default).

    Raises:
        MetricUndefinedError: there are no values.
    """
    if not values:
        raise MetricUndefinedError(f"p{q:g} of no values")
    if not 0 <= q <= 100:
        raise ValueError(f"percentile {q} outside 0..100")
    ordered = sorted(values)
    position = (len(ordered) - 1) * q / 100
    low = math.floor(position)
    below, above = ordered[low], ordered[min(low + 1, len(ordered) - 1)]
    # Clamped: interpolation may leave the interval by a rounding error.
    return min(max(below + (above - below) * (position - low), below), above)


def is_completed(r: RequestResult, min_length_ratio: float = 0.0) -> bool:
    """Whether a request counts: no failure and enough tokens.

    Args:
        r: the request.
        min_length_ratio: least ``tokens / requested_tokens``. Whatever it is, a text
            without tokens, or with an unknown number of them, does not count.
    """
    if r.failure is not None or not r.tokens or r.first_token_ns is None:
        return False
    return r.tokens >= min_length_ratio * r.requested_tokens


def wall_s(results: Iterable[RequestResult]) -> float:
    """Wall time of a phase: ``max(end) - min(sent)`` over all requests, seconds.

    Failed requests take part, and one that was never sent stands with its schedule:
    turning a request into a failure cannot shorten the wall time.

    Raises:
        MetricUndefinedError: there are no requests.
    """
    spans = [
        (r.scheduled_ns if r.sent_ns is None else r.sent_ns, r.end_ns) for r in results
    ]
    if not spans:
        raise MetricUndefinedError("wall time of no requests")
    return (max(end for _, end in spans) - min(start for start, _ in spans)) * _NS


def request_rate_per_s(results: Sequence[RequestResult]) -> float:
    """Completed requests per second of wall time; the original counts all.

    Raises:
        MetricUndefinedError: no requests, or completed ones in no time.
    """
    return _rate(sum(map(is_completed, results)), results)


def token_rate_per_s(results: Sequence[RequestResult]) -> float:
    """System output tokens of completed requests per second of wall time.

    Raises:
        MetricUndefinedError: no requests, or completed ones in no time.
    """
    return _rate(_output_tokens(results), results)


def goodput_per_s(
    results: Sequence[RequestResult], ttft_slo_s: float, tpot_slo_s: float
) -> float:
    """Completed requests that meet both limits, per second of wall time.

    TTFT counts from the schedule here: a user waits for a late client too.

    Raises:
        MetricUndefinedError: no requests, or completed ones in no time.
    """
    return _rate(sum(_meets(r, ttft_slo_s, tpot_slo_s) for r in results), results)


def failure_rate(results: Sequence[RequestResult]) -> float:
    """Share of requests that did not complete, 0..1.

    Raises:
        MetricUndefinedError: there are no requests.
    """
    if not results:
        raise MetricUndefinedError("failure rate of no requests")
    return 1 - sum(map(is_completed, results)) / len(results)


def objective(kind: ObjectiveKind, phases: Sequence[PhaseSummary]) -> float:
    """Scenario objective, larger is better (reference section 4).

    ``ttft`` (A): 1 / TTFT p50. ``tpot`` (B): 1 / TPOT p50. ``request_rate`` (C):
    geometric mean over phases of req/s. ``balanced`` (D): cube root of
    (1 / TTFT p50) (1 / TPOT p50) (req/s).

    Raises:
        MetricUndefinedError: a phase completed nothing, a number is missing or not
            positive, or A, B, D got other than one phase.
    """
    if not phases or (kind != "request_rate" and len(phases) != 1):
        raise MetricUndefinedError(f"objective {kind} of {len(phases)} phases")
    for phase in phases:
        if phase.completed == 0:
            raise MetricUndefinedError(f"phase {phase.name}: no request completed")
    if kind == "request_rate":
        rates = [_positive(p.request_rate_per_s, p, "req/s") for p in phases]
        return math.exp(math.fsum(map(math.log, rates)) / len(rates))
    phase = phases[0]
    if kind == "ttft":
        return 1 / _positive(phase.ttft_p50_s, phase, "TTFT p50")
    if kind == "tpot":
        return 1 / _positive(phase.tpot_p50_s, phase, "TPOT p50")
    ttft = _positive(phase.ttft_p50_s, phase, "TTFT p50")
    tpot = _positive(phase.tpot_p50_s, phase, "TPOT p50")
    rate = _positive(phase.request_rate_per_s, phase, "req/s")
    return math.cbrt(rate / (ttft * tpot))


def summarize(
    name: str,
    *,
    arrivals: str,
    concurrency: int,
    arrivals_sha256: str,
    offered_rate_per_s: float | None,
    results: Sequence[RequestResult],
    ttft_slo_s: float,
    tpot_slo_s: float,
) -> PhaseSummary:
    """Reduce one phase to its numbers; latencies are of completed requests only.

    Raises:
        MetricUndefinedError: no requests, or completed ones in no time.
    """
    done = [r for r in results if is_completed(r)]
    ttft, tpot = _defined(ttft_s, done), _defined(tpot_s, done)
    itl = [gap for r in done for gap in itl_s(r)]
    failures = Counter(r.failure.value for r in results if r.failure is not None)
    return PhaseSummary(
        name=name,
        arrivals=arrivals,
        concurrency=concurrency,
        arrivals_sha256=arrivals_sha256,
        requests=len(results),
        completed=len(done),
        failures=dict(sorted(failures.items())),
        wall_s=wall_s(results),
        offered_rate_per_s=offered_rate_per_s,
        send_lag_p99_s=_percentile(_defined(send_lag_s, results), 99),
        ttft_p50_s=_percentile(ttft, 50),
        ttft_p90_s=_percentile(ttft, 90),
        ttft_p99_s=_percentile(ttft, 99),
        ttft_mean_s=math.fsum(ttft) / len(ttft) if ttft else None,
        tpot_p50_s=_percentile(tpot, 50),
        tpot_p90_s=_percentile(tpot, 90),
        tpot_p99_s=_percentile(tpot, 99),
        itl_p50_s=_percentile(itl, 50),
        itl_p99_s=_percentile(itl, 99),
        latency_p50_s=_percentile(_defined(latency_s, done), 50),
        request_rate_per_s=request_rate_per_s(results),
        token_rate_per_s=token_rate_per_s(results),
        goodput_per_s=goodput_per_s(results, ttft_slo_s, tpot_slo_s),
        output_tokens=_output_tokens(results),
    )


def _stamps(r: RequestResult) -> list[int]:
    kernel = [chunk.t_recv_ns for chunk in r.chunks if chunk.t_recv_ns is not None]
    return kernel if len(kernel) == len(r.chunks) else _user_stamps(r.chunks)


def _user_stamps(chunks: Iterable[Chunk]) -> list[int]:
    return [chunk.t_read_ns for chunk in chunks]


def _rate(count: int, results: Sequence[RequestResult]) -> float:
    wall = wall_s(results)
    if count == 0:
        return 0.0
    if wall <= 0:
        raise MetricUndefinedError(f"{count} in {wall} s is no rate")
    return count / wall


def _output_tokens(results: Iterable[RequestResult]) -> int:
    return sum(r.tokens or 0 for r in results if is_completed(r))


def _meets(r: RequestResult, ttft_slo_s: float, tpot_slo_s: float) -> bool:
    # A single token has no TPOT: unknown does not meet a limit.
    if not is_completed(r):
        return False
    tpot = _defined(tpot_s, [r])
    return bool(tpot) and ttft_s(r, "scheduled") <= ttft_slo_s and tpot[0] <= tpot_slo_s


def _defined(
    metric: Callable[[RequestResult], float], results: Iterable[RequestResult]
) -> list[float]:
    values = []
    for r in results:
        try:
            values.append(metric(r))
        except MetricUndefinedError:
            continue
    return values


def _percentile(values: Sequence[float], q: float) -> float | None:
    return percentile(values, q) if values else None


def _positive(value: float | None, phase: PhaseSummary, what: str) -> float:
    if value is None or value <= 0:
        raise MetricUndefinedError(f"phase {phase.name}: {what} is {value}")
    return value
