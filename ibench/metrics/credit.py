"""How much of a claimed TTFT and TPOT the whole answer bears out.

Both are read from two instants that a server chooses: when it lets the first token go,
and how fast it lets the others follow. Holding finished tokens back shortens TPOT, and
a guessed first token shortens TTFT; neither makes an answer come earlier. What cannot
be had that way is the time of the whole answer and the tokens that had come by a given
instant, so a gain over the baseline counts as far as these show it (docs/metrics.md).

No honest server loses by it: a credited number is never worse than the baseline's, and
never better than what was claimed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from ibench.errors import MetricUndefinedError
from ibench.metrics.intervals import percentile_interval
from ibench.metrics.requests import defined, is_completed, latency_s, percentile, ttft_s
from ibench.records import PhaseSummary, RequestResult

__all__ = [
    "OPENING_TOKENS", "Credit", "credit_of", "lower_median", "unexplained_wait_s",
    "whole_tpot_s",
]  # fmt: skip

OPENING_TOKENS = 16
"""The tokens behind the first that are held against the later pace."""
BELIEVED_STEPS = 2.0
"""A step of decoding may take this many times the baseline's: a draft and its check."""
TOLERANCE = 1.1
"""A claim is taken as it is up to this factor: what honest unevenness comes to."""
_SAME_INSTANT = 0.25  # of the later pace: closer chunks were let go together
_NS = 1e-9


class Credit(NamedTuple):
    """What one phase claims and what of it counts; seconds, None where unknown.

    Attributes:
        ttft_claimed_s: TTFT p50 as measured.
        ttft_s: as it counts.
        wait_s: what the opening tokens came later than the pace explains, beyond the
            baseline's own: lower limit of the median over the requests.
        tpot_claimed_s: TPOT p50 as measured.
        tpot_s: as it counts.
        whole_tpot_s: median over the requests of the answer's time for each token.
    """

    ttft_claimed_s: float | None
    ttft_s: float | None
    wait_s: float | None
    tpot_claimed_s: float | None
    tpot_s: float | None
    whole_tpot_s: float | None

    def applied(self, phase: PhaseSummary) -> PhaseSummary:
        """The phase with the numbers that count."""
        counted = {"ttft_p50_s": self.ttft_s, "tpot_p50_s": self.tpot_s}
        return phase.model_copy(update=counted)


def whole_tpot_s(
    r: RequestResult, in_flight: int, prefill_s: float, tokens: int | None
) -> float:
    """Time a token by the whole answer: ``(latency / k - prefill) / (n - 1)``, s.

    With k requests in flight in a closed loop a server gives each at most the k-th
    part of its time, however it shares it out. At one in flight and with a prefill
    as long as TTFT this is TPOT.

    Args:
        r: the request.
        in_flight: k.
        prefill_s: time for the prompt that is taken off.
        tokens: n, in the unit of the TPOT that it stands beside.

    Raises:
        MetricUndefinedError: fewer than two tokens, or no last one.
    """
    if tokens is None or tokens < 2:
        raise MetricUndefinedError(f"{r.request_id}: time per token of {tokens}")
    return (latency_s(r) / in_flight - prefill_s) / (tokens - 1)


def unexplained_wait_s(r: RequestResult, believed_s: float | None = None) -> float:
    """How much later than the later pace explains the opening tokens came, seconds.

    ``max over j of min(w_j - n_j pace, w_j - j step) - step`` over the instants j at
    which tokens came within the opening: the first 16 tokens, or half of a shorter
    answer; 0 if none is positive. Within a step no instant says when it was ready.
    ``w_j`` and ``n_j`` are time and tokens since the first instant; ``pace`` is the
    time a token, ``step`` the median time between two instants, both behind the
    opening. Tokens that come in bursts (a proxy that flushes, several tokens a chunk,
    a draft model) keep one of the two. A guess that is let go before the prompt was
    read keeps neither: the wait for the prompt remains, whatever the number of
    guesses below 16, and however it is spread.

    Args:
        r: the request.
        believed_s: neither pace nor step counts as slower than this: who slows the
            whole answer down must not hide the wait in it.

    Raises:
        MetricUndefinedError: too few tokens, or none behind the opening.
    """
    tokens = r.tokens or 0
    opening = min(OPENING_TOKENS, tokens // 2)
    stamps = [chunk.best_ns * _NS for chunk in r.chunks]
    counts = _counts(r)
    ends = [i for i, n in enumerate(counts) if n >= counts[0] + opening]
    if opening < 2 or not ends or stamps[-1] <= stamps[ends[0]]:
        raise MetricUndefinedError(f"{r.request_id}: no pace behind the first tokens")
    end, most = ends[0], believed_s or math.inf
    pace = min(most, (stamps[-1] - stamps[end]) / max(tokens - counts[end], 1))
    near = _SAME_INSTANT * pace
    gaps = [gap for a, b in pairwise(stamps[end:]) if (gap := b - a) > near]
    step = min(most, percentile(gaps, 50)) if gaps else pace
    instants = _instants(stamps, counts, near)
    begin, first = instants[0]
    waits = [
        min(t - begin - (n - first) * pace, t - begin - j * step) - step
        for j, (t, n) in enumerate(instants)
        if t <= stamps[end]
    ]
    return max(0.0, *waits)


def credit_of(
    phase: PhaseSummary,
    results: Sequence[RequestResult],
    base: PhaseSummary,
    base_results: Sequence[RequestResult],
    tokens_of: Callable[[RequestResult], int | None] = lambda r: r.tokens,
) -> Credit:
    """Hold a phase against the same phase of the baseline.

    ``TTFT counted = max(TTFT, min(TTFT of the baseline, TTFT + wait))`` and
    ``TPOT counted = max(TPOT, min(TPOT of the baseline, whole))``, of medians, each
    only where it is more than ``TOLERANCE`` times what is claimed.

    Args:
        phase: of the run.
        results: its requests.
        base: the baseline's phase of this name.
        base_results: its requests.
        tokens_of: counts an answer, in the unit of the TPOT.
    """
    wait_s = _wait_s(results, base, base_results)
    whole_s = _whole_s(phase, results, base, base_results, tokens_of)
    ttft_s_, tpot_s_ = phase.ttft_p50_s, phase.tpot_p50_s
    late = None if ttft_s_ is None or wait_s is None else ttft_s_ + wait_s
    return Credit(
        ttft_claimed_s=ttft_s_,
        ttft_s=_counted(ttft_s_, late, base.ttft_p50_s),
        wait_s=wait_s,
        tpot_claimed_s=tpot_s_,
        tpot_s=_counted(tpot_s_, whole_s, base.tpot_p50_s),
        whole_tpot_s=whole_s,
    )


def lower_median(values: Sequence[float]) -> float:
    """Lower limit of the median's 95 % interval; the least of fewer than six values.

    Raises:
        MetricUndefinedError: there are no values.
    """
    if not values:
        raise MetricUndefinedError("median of no values")
    try:
        return percentile_interval(values, 50).low
    except MetricUndefinedError:
        return min(values)


def _counted(
    claimed: float | None, shown: float | None, base: float | None
) -> float | None:
    if claimed is None or shown is None or base is None:
        return claimed
    counted = min(base, shown)
    return counted if counted > TOLERANCE * claimed else claimed


def _wait_s(
    results: Sequence[RequestResult],
    base: PhaseSummary,
    base_results: Sequence[RequestResult],
) -> float | None:
    """Beyond what the baseline shows too, and never below zero."""
    believed = None if base.tpot_p50_s is None else BELIEVED_STEPS * base.tpot_p50_s
    ours = _waits(results, believed)
    theirs = _waits(base_results, believed)
    if not ours:
        return None
    usual = percentile(theirs, 50) if theirs else 0.0
    return max(0.0, lower_median(ours) - max(0.0, usual))


def _waits(results: Sequence[RequestResult], believed_s: float | None) -> list[float]:
    done = [r for r in results if is_completed(r)]
    return defined(lambda r: unexplained_wait_s(r, believed_s), done)


def _whole_s(
    phase: PhaseSummary,
    results: Sequence[RequestResult],
    base: PhaseSummary,
    base_results: Sequence[RequestResult],
    tokens_of: Callable[[RequestResult], int | None],
) -> float | None:
    """The prompt's time is the baseline's; under load the least, which did not wait."""
    ttfts = defined(ttft_s, [r for r in base_results if is_completed(r)])
    done = [r for r in results if is_completed(r)]
    prefill_s = base.ttft_p50_s if phase.concurrency == 1 else min(ttfts, default=None)
    if prefill_s is None or not done:
        return None
    in_flight = min(phase.concurrency, len(results))
    values = defined(
        lambda r: whole_tpot_s(r, in_flight, prefill_s, tokens_of(r)), done
    )
    return percentile(values, 50) if values else None


def _counts(r: RequestResult) -> list[float]:
    """Tokens that had come with each chunk: recounted first, then evenly."""
    chunks, tokens = len(r.chunks), float(r.tokens or 0)
    known = [float(n) for n in r.opening_tokens[:chunks]]
    last = known[-1] if known else 0.0
    left = chunks - len(known)
    return known + [last + (tokens - last) * (i + 1) / left for i in range(left)]


def _instants(
    stamps: Sequence[float], counts: Sequence[float], near: float
) -> list[tuple[float, float]]:
    """When tokens came, and how many had come then; chunks let go together are one."""
    found: list[tuple[float, float]] = []
    before = None
    for stamp, count in zip(stamps, counts, strict=True):
        if before is not None and stamp - before <= near:
            found[-1] = (found[-1][0], count)
        else:
            found.append((stamp, count))
        before = stamp
    return found
