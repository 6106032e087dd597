"""Metrics: one pure function each, with formula, unit and refusal.

Stamps are monotonic nanoseconds of one clock (``RequestResult``). A metric without its
input raises ``MetricUndefinedError``; it is never zero. Failed requests count in wall
time and denominators, never in numerators or latencies, so that no failure can raise a
score. Sources: InferenceBench (arXiv 2607.20468) defines TTFT, TPOT and the objectives;
where its code differs, docs/metrics.md says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

from ibench.errors import MetricUndefinedError
from ibench.records import RequestResult

__all__ = [
    "cache_hit_rate", "chunk_gaps_s", "defined", "failure_rate", "goodput_per_s",
    "is_completed", "itl_s", "latency_s", "output_tokens", "percentile", "queue_s",
    "request_rate_per_s", "send_lag_s", "token_rate_per_s", "tpot_s", "tpot_words_s",
    "ttfb_s", "ttft_s", "ttft_visible_s", "wall_s", "with_failures",
]  # fmt: skip

Origin: TypeAlias = Literal["sent", "scheduled"]
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


def ttfb_s(r: RequestResult) -> float:
    """Time to the first byte of the answer's body: ``first_byte - sent``, seconds.

    Raises:
        MetricUndefinedError: no byte arrived, or nothing was sent.
    """
    if r.sent_ns is None or r.first_byte_ns is None:
        raise MetricUndefinedError(f"{r.request_id}: TTFB without a byte")
    return (r.first_byte_ns - r.sent_ns) * _NS


def ttft_visible_s(r: RequestResult) -> float:
    """Time to the first text a user sees (reasoning is not), seconds.

    Raises:
        MetricUndefinedError: no such text arrived, or nothing was sent.
    """
    if r.sent_ns is None or r.first_visible_ns is None:
        raise MetricUndefinedError(f"{r.request_id}: no visible token")
    return (r.first_visible_ns - r.sent_ns) * _NS


def tpot_s(r: RequestResult) -> float:
    """Time per output token: ``(last_token - first_token) / (n - n_first)``, seconds.

    ``n`` counts the output tokens (``tokens_from``), ``n_first`` those of the first
    chunk, re-tokenized too; without a tokenizer as the server says, else 1. The
    original code ends at the stream's close and counts words (``tpot_words_s``).

    Raises:
        MetricUndefinedError: fewer than two tokens, all of them in one chunk, or
            their number is unknown.
    """
    if r.tokens is None or r.tokens < 2:
        raise MetricUndefinedError(f"{r.request_id}: TPOT of {r.tokens} tokens")
    if r.first_token_ns is None or r.last_token_ns is None:
        raise MetricUndefinedError(f"{r.request_id}: TPOT without token times")
    said = r.chunks[0].n_tokens if r.chunks else None
    first = r.opening_tokens[0] if r.opening_tokens else said
    later = r.tokens - max(first or 1, 1)
    if later < 1 or r.last_token_ns == r.first_token_ns:
        raise MetricUndefinedError(f"{r.request_id}: TPOT of a single chunk")
    return (r.last_token_ns - r.first_token_ns) * _NS / later


def tpot_words_s(r: RequestResult) -> float:
    """The original harness's TPOT: ``(end - first_token) / (words - 1)``, seconds.

    For ``measure.tpot: words`` only (reference, section 18, defect 2): it counts words
    for tokens and waits for the stream's close.

    Raises:
        MetricUndefinedError: fewer than two words, or no first token.
    """
    words = len(r.text.split())
    if words < 2 or r.first_token_ns is None:
        raise MetricUndefinedError(f"{r.request_id}: TPOT of {words} words")
    return (r.end_ns - r.first_token_ns) * _NS / (words - 1)


def chunk_gaps_s(r: RequestResult) -> tuple[float, ...]:
    """Times between successive chunks with text, seconds; the paper's ITL.

    Kernel stamps are used where there are some, else user-space stamps.
    """
    stamps = [chunk.best_ns for chunk in r.chunks]
    return tuple((after - before) * _NS for before, after in pairwise(stamps))


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
    """How late the client sent: ``sent - ready``, seconds.

    A request is ready when it is due and a slot is free; waiting for a slot is the
    server's doing (``queue_s``), waiting after that the client's.

    Raises:
        MetricUndefinedError: nothing was sent.
    """
    if r.sent_ns is None:
        raise MetricUndefinedError(f"{r.request_id}: send lag of a request not sent")
    ready = r.scheduled_ns if r.ready_ns is None else r.ready_ns
    return (r.sent_ns - ready) * _NS


def queue_s(r: RequestResult) -> float:
    """How long a request that was due waited for a slot: ``ready - scheduled``.

    Raises:
        MetricUndefinedError: it is not known when it was ready.
    """
    if r.ready_ns is None:
        raise MetricUndefinedError(f"{r.request_id}: ready at an unknown time")
    return (r.ready_ns - r.scheduled_ns) * _NS


def cache_hit_rate(results: Iterable[RequestResult]) -> float:
    """Share of the prompt tokens that came from a cache, 0..1, as the server says.

    Raises:
        MetricUndefinedError: no answer reports cached tokens.
    """
    known = [
        (r.cached_tokens, r.prompt_tokens)
        for r in results
        if r.cached_tokens is not None and r.prompt_tokens
    ]
    if not known:
        raise MetricUndefinedError("cached tokens are not reported")
    return sum(cached for cached, _ in known) / sum(prompt for _, prompt in known)


def with_failures(values: Sequence[float], failed: int, q: float) -> float:
    """Percentile over completed and failed requests, the failed ones infinite.

    Raises:
        MetricUndefinedError: there are no requests.
    """
    count = len(values) + failed
    if failed and math.ceil((count - 1) * q / 100) >= len(values):
        return math.inf
    worst = max(values, default=0.0)
    return percentile([*values, *([worst] * failed)], q)


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
    return _rate(output_tokens(results), results)


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


def _rate(count: int, results: Sequence[RequestResult]) -> float:
    wall = wall_s(results)
    if count == 0:
        return 0.0
    if wall <= 0:
        raise MetricUndefinedError(f"{count} in {wall} s is no rate")
    return count / wall


def output_tokens(results: Iterable[RequestResult]) -> int:
    """Output tokens of the completed requests."""
    return sum(r.tokens or 0 for r in results if is_completed(r))


def _meets(r: RequestResult, ttft_slo_s: float, tpot_slo_s: float) -> bool:
    # A single token has no TPOT: unknown does not meet a limit.
    if not is_completed(r):
        return False
    tpot = defined(tpot_s, [r])
    return bool(tpot) and ttft_s(r, "scheduled") <= ttft_slo_s and tpot[0] <= tpot_slo_s


def defined(
    metric: Callable[[RequestResult], float], results: Iterable[RequestResult]
) -> list[float]:
    """Values of a metric where it is defined."""
    values = []
    for r in results:
        try:
            values.append(metric(r))
        except MetricUndefinedError:
            continue
    return values
