"""Rules about times: first tokens, answers held back, speeds that no roof reaches.

Each says the number it saw and its limit. What honest servers come to under each rule,
and how often one would be wronged, stands in docs/threat-model.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ibench.gates.seen import Results, RunSeen, answered, finding
from ibench.metrics.credit import credit_of, lower_median, unexplained_wait_s
from ibench.metrics.requests import (
    chunk_gaps_s,
    defined,
    percentile,
    tpot_s,
    ttft_s,
)
from ibench.metrics.roofline import Lengths, bounds, generous
from ibench.records import FailureKind, Finding, PhaseSummary, RequestResult

__all__ = ["first_chunk", "held_back", "physical_floor"]

# A wait this many times the usual gap, and longer than the TTFT itself, is a stall.
_STALL_RATIO = 20.0
# Reading a prompt takes at least a step of decoding; half of one leaves room for noise.
_LEAST_STEPS = 0.5
# A claimed gain in TPOT over what whole answers show that is no unevenness.
_HELD_RATIO = 1.5
# Zero-width characters and the byte-order mark count as white space here.
_BLANK = re.compile("[\\s\\u200b-\\u200f\\u2060\\ufeff]*")


def first_chunk(s: RunSeen) -> Finding:
    """First tokens that were not generated, sent to stop the TTFT clock.

    A request counts if its first text is visible and does not begin its whole text, or
    if that text is blank (white space, zero-width characters) and a stall follows;
    fails above ``first_chunk_share``. At one request in flight the opening tokens are
    judged together as well. Fails where the lower limit of the median unexplained wait
    (``metrics.credit``, by the run's own pace) exceeds the TTFT p50, so that at most
    half of the true TTFT was shown; or where the TTFT p50 is below half the TPOT p50,
    because reading a prompt takes at least one step of decoding. A smaller gain is not
    counted, and breaks no rule. Under load a wait behind a visible token is what a busy
    scheduler does. A request that failed for another reason than its length
    starts no clock and is left out.
    """
    counted = (None, FailureKind.SHORT)
    streams = [r for r in answered(s.results) if len(r.chunks) > 1]
    seen = [r for r in streams if r.failure in counted]
    if not seen:
        return finding("first_chunk", None, "no stream of two chunks or more")
    fakes = [r.request_id for r in seen if _is_fake(r)]
    limit = s.gates.first_chunk_share
    texts = [f"{len(fakes)} of {len(seen)} first chunks fake (limit {limit:.0%})"]
    passed = len(fakes) <= limit * len(seen)
    for phase in s.evidence.phases:
        own = [r for r in seen if r.phase == phase.name]
        if phase.concurrency == 1 and (found := _openings(s, phase, own)):
            passed &= found[0]
            texts.append(found[1])
    return finding("first_chunk", passed, "; ".join(texts))


def held_back(s: RunSeen) -> Finding:
    """Answers that were finished first and let go quickly afterwards.

    At one request in flight. Fails where TPOT p50 is claimed to be 1.5 times faster
    than both the baseline's and the whole answers' time a token, and the first token
    came later than the baseline's TTFT plus the prompt read token by token at the
    claimed pace: reading a prompt by single steps of decoding is the slowest prefill
    there is. A smaller gain that whole answers do not show is not counted either
    (``metrics.credit``), and breaks no rule.
    """
    alone = [p for p in s.evidence.phases if p.concurrency == 1]
    told = [found for p in alone if (found := _held(s, p))]
    if not told:
        why = "no baseline, or no phase of one request in flight with a TPOT"
        return finding("held_back", None, why)
    passed = all(ok for ok, _ in told)
    return finding("held_back", passed, "; ".join(text for _, text in told))


def physical_floor(s: RunSeen) -> Finding:
    """Speeds no roof reaches, in any phase.

    Where the host's card and the model's shape are known: TTFT p50 and TPOT p50 below,
    or requests per second above, the roofline of 4-bit weights, 8-bit arithmetic and
    eight tokens a reading (``metrics.roofline.generous``). Everywhere:
    ``min_ttft_s``, ``min_tpot_s``, and tokens per second of a stream, the larger of
    ``1 / TPOT p50`` and the phase's tokens over its streaming time, above
    ``max_stream_tokens_per_s``.
    """
    known = [p for p in s.evidence.phases if p.ttft_p50_s is not None]
    if not known:
        return finding("physical_floor", None, "no request completed")
    limits = [limit for p in known for limit in _limits(s, p)]
    broken = [text for text, ok in limits if not ok]
    told = broken or [text for text, _ in limits]
    return finding("physical_floor", not broken, "; ".join(told))


def _is_fake(r: RequestResult) -> bool:
    is_blank = _BLANK.fullmatch(r.first_text) is not None
    if not is_blank and not r.text.startswith(r.first_text):
        return True
    return is_blank and _stalls(r)


def _stalls(r: RequestResult) -> bool:
    gaps = chunk_gaps_s(r)
    if len(gaps) < 2 or r.sent_ns is None:
        return False
    usual = percentile(gaps[1:], 50)
    return gaps[0] > _STALL_RATIO * usual and gaps[0] > ttft_s(r)


def _openings(s: RunSeen, phase: PhaseSummary, own: Results) -> tuple[bool, str] | None:
    """Whether the opening tokens of a phase came as its own pace says, in numbers."""
    ttfts, waits = defined(ttft_s, own), defined(unexplained_wait_s, own)
    if not ttfts or not waits:
        return None
    base = s.base(phase)
    theirs = defined(unexplained_wait_s, base[1]) if base is not None else []
    usual_s = percentile(theirs, 50) if theirs else 0.0
    wait_s = max(0.0, lower_median(waits) - max(0.0, usual_s))
    limit_s = percentile(ttfts, 50)
    tpots = defined(tpot_s, own)
    step_s = _LEAST_STEPS * percentile(tpots, 50) if tpots else 0.0
    late = sum(map(_is_late, own))
    text = (
        f"{phase.name}: unexplained wait behind the first token {wait_s:.3g} s, longer "
        f"than the TTFT in {late} of {len(waits)} requests "
        f"(limit {limit_s:.3g} s, the TTFT p50, which is at least {step_s:.3g} s, "
        "half the TPOT p50)"
    )
    return wait_s <= limit_s and limit_s >= step_s, text


def _is_late(r: RequestResult) -> bool:
    """Whether the wait behind the first token is longer than the TTFT."""
    waits, ttfts = defined(unexplained_wait_s, [r]), defined(ttft_s, [r])
    return bool(waits and ttfts) and waits[0] > ttfts[0]


def _held(s: RunSeen, phase: PhaseSummary) -> tuple[bool, str] | None:
    base = s.base(phase)
    if base is None:
        return None
    base_phase, base_results = base
    credit = credit_of(phase, s.of(phase), base_phase, base_results)
    claimed, whole, ttft = credit.tpot_claimed_s, credit.whole_tpot_s, phase.ttft_p50_s
    base_tpot, base_ttft = base_phase.tpot_p50_s, base_phase.ttft_p50_s
    if claimed is None or whole is None or ttft is None:
        return None
    if base_tpot is None or base_ttft is None:
        return None
    prompts = [r.prompt_tokens for r in base_results if r.prompt_tokens]
    slowest_s = base_ttft + claimed * (percentile(prompts, 50) if prompts else 0)
    is_gain = _HELD_RATIO * claimed <= min(base_tpot, whole)
    late = defined(ttft_s, answered(s.of(phase)))
    text = (
        f"{phase.name}: TPOT p50 {claimed:.3g} s, {whole:.3g} s by whole answers, "
        f"baseline {base_tpot:.3g} s (limit a factor of {_HELD_RATIO:g}); "
        f"TTFT p50 {ttft:.3g} s (limit {slowest_s:.3g} s, "
        f"passed by {sum(t > slowest_s for t in late)} of {len(late)} requests)"
    )
    return not (is_gain and ttft > slowest_s), text


def _limits(s: RunSeen, phase: PhaseSummary) -> Iterator[tuple[str, bool]]:
    """Each number of a phase with its limit, and whether it keeps it."""
    gates, results = s.gates, s.of(phase)
    ttft_s_, tpot_s_, rate = gates.min_ttft_s or 0.0, gates.min_tpot_s, float("inf")
    lengths = _lengths(s, results)
    if s.roof is not None and lengths:
        card = generous(s.roof.card)
        best = bounds(s.roof.shape, card, lengths, phase.concurrency)
        # The file's floors are for hosts whose card is unknown, and may only add.
        ttft_s_ = max(ttft_s_, best.ttft_p50_s)
        tpot_s_ = max(tpot_s_, best.tpot_p50_s)
        rate = best.request_rate_per_s
    stream = _stream_rate(results, phase.tpot_p50_s)
    most = gates.max_stream_tokens_per_s
    for name, value, limit, is_least in (
        ("TTFT p50 s", phase.ttft_p50_s, ttft_s_, True),
        ("TPOT p50 s", phase.tpot_p50_s, tpot_s_, True),
        ("requests a second", phase.request_rate_per_s, rate, False),
        ("tokens a second of a stream", stream, most, False),
    ):
        if value is not None:
            word = "least" if is_least else "most"
            text = f"{phase.name}: {name} {value:.3g} (at {word} {limit:.3g})"
            yield text, value >= limit if is_least else value <= limit


def _lengths(s: RunSeen, results: Results) -> list[Lengths]:
    """Lengths of the answered requests, prompts as the baseline counted them."""
    base = s.baseline.results if s.baseline else ()
    prompts = {(r.phase, r.request_id): r.prompt_tokens for r in (*results, *base)}
    return [
        Lengths(prompt, r.tokens)
        for r in answered(results)
        if (prompt := prompts[r.phase, r.request_id]) and r.tokens
    ]


def _stream_rate(results: Results, tpot: float | None) -> float:
    """Tokens per second of a stream; infinite if tokens came in no time."""
    rates = [] if tpot is None else [1 / tpot if tpot > 0 else float("inf")]
    tokens = span_ns = 0
    for r in answered(results):
        if r.tokens and r.tokens > 1 and r.first_token_ns and r.last_token_ns:
            tokens += r.tokens - 1
            span_ns += r.last_token_ns - r.first_token_ns
    if tokens:
        rates.append(tokens / span_ns * 1e9 if span_ns > 0 else float("inf"))
    return max(rates, default=0.0)
