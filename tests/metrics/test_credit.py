"""What of a claimed latency counts, on made streams: cheats and honest ones."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from ibench.errors import MetricUndefinedError
from ibench.metrics.credit import credit_of, lower_median, unexplained_wait_s
from ibench.metrics.requests import percentile, tpot_s, ttft_s
from ibench.records import Chunk, PhaseSummary, RequestResult
from tests.factories import MS, phase, result

PREFILL_MS, PACE_MS, TOKENS = 60.0, 3.0, 48


def at(times_ms: Sequence[float], sizes: Sequence[int] | None = None) -> RequestResult:
    """A stream whose chunks of so many tokens come at these times."""
    sizes = sizes or [1] * len(times_ms)
    made = result(tokens=len(times_ms))
    chunks = tuple(
        Chunk(t_read_ns=round(t * MS), t_recv_ns=None, text=" w" * n, n_tokens=None)
        for t, n in zip(times_ms, sizes, strict=True)
    )
    counts = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return made.model_copy(
        update={
            "chunks": chunks,
            "tokens": sum(sizes),
            "text": " w" * sum(sizes),
            "opening_tokens": tuple(counts),
            "first_token_ns": chunks[0].t_read_ns,
            "last_token_ns": chunks[-1].t_read_ns,
        }
    )


def honest_ms(n: int = TOKENS) -> list[float]:
    return [PREFILL_MS + PACE_MS * i for i in range(n)]


def summed(results: Sequence[RequestResult], in_flight: int = 1) -> PhaseSummary:
    return phase(
        concurrency=in_flight,
        ttft_p50_s=percentile([ttft_s(r) for r in results], 50),
        tpot_p50_s=percentile([tpot_s(r) for r in results], 50),
    )


BASE = [at(honest_ms())] * 8


def test_an_even_stream_waits_for_nothing() -> None:
    assert unexplained_wait_s(at(honest_ms())) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("guesses", [1, 2, 5, 15])
@pytest.mark.parametrize("pace_ms", [0.1, 1.0])
def test_guesses_leave_the_wait_for_the_prompt(guesses: int, pace_ms: float) -> None:
    early = [1.0 + pace_ms * i for i in range(guesses)]
    found = unexplained_wait_s(at([*early, *honest_ms(TOKENS - guesses)]))
    # Each guess hides a step of decoding, those let go together one; and one is free.
    hidden = 1 + (1 if pace_ms < 0.25 * PACE_MS else guesses)
    least_ms = PREFILL_MS - early[0] - hidden * PACE_MS
    assert found * 1e3 == pytest.approx(max(0.0, least_ms), abs=1.0)


@pytest.mark.parametrize("slow_ms", [8.0, 20.0, 59.0, 200.0])
def test_a_pace_slowed_down_for_the_guess_hides_nothing(slow_ms: float) -> None:
    stream = at([1.0, *(PREFILL_MS + slow_ms * i for i in range(TOKENS - 1))])
    credit = credit_of(summed([stream] * 8), [stream] * 8, summed(BASE), BASE)
    assert credit.ttft_claimed_s == pytest.approx(0.001)
    assert credit.ttft_s == pytest.approx(PREFILL_MS / 1e3, rel=0.2)


@pytest.mark.parametrize("held", [1.0, 0.5, 0.25])
@pytest.mark.parametrize("bursts", [1, 4])
def test_held_tokens_shorten_no_tpot(held: float, bursts: int) -> None:
    """Let go late and evenly, or in bursts, so that all end when they were ready."""
    ready = honest_ms()
    begin = ready[int(held * (TOKENS - 1))]
    span = (ready[-1] + 1 - begin) / (TOKENS - 1)
    times = [begin + span * (i - i % bursts) for i in range(TOKENS)]
    stream = [at(times)] * 8
    credit = credit_of(summed(stream), stream, summed(BASE), BASE)
    assert credit.tpot_claimed_s is not None
    assert credit.tpot_claimed_s < 0.85 * PACE_MS / 1e3
    assert credit.tpot_s == pytest.approx(PACE_MS / 1e3, rel=0.1)


def test_some_held_requests_among_others_are_worth_nothing() -> None:
    fast = at([200 + 0.1 * i for i in range(TOKENS)])
    mixed = [fast] * 5 + BASE[:3]
    assert credit_of(summed(mixed), mixed, summed(BASE), BASE).tpot_s == pytest.approx(
        PACE_MS / 1e3, rel=0.03
    )


def test_a_first_chunk_of_several_tokens_is_counted_by_its_text() -> None:
    stream = at([PREFILL_MS + PACE_MS * 9, *honest_ms()[10:]], [10] + [1] * 38)
    assert tpot_s(stream) == pytest.approx(PACE_MS / 1e3)


HONEST = {
    "three tokens a chunk": at(honest_ms()[::3], [3] * 16),
    "a proxy that flushes": at(
        [PREFILL_MS + 40 * ((i + 9) // 13) for i in range(TOKENS)]
    ),
    # n-gram speculation: nothing to copy at first, five tokens a step later.
    "a draft that gets better": at(
        [PREFILL_MS + 4 * i for i in range(22)], [1] * 14 + [5] * 8
    ),
    "a late first token": at([t + 400 for t in honest_ms()]),
    "half the speed": at([2 * t for t in honest_ms()]),
    "twice the speed": at([t / 2 for t in honest_ms()]),
}  # fmt: skip


@pytest.mark.parametrize("what", HONEST)
def test_honest_servers_lose_nothing(what: str) -> None:
    stream = [HONEST[what]] * 8
    credit = credit_of(summed(stream), stream, summed(BASE), BASE)
    assert credit.ttft_s == credit.ttft_claimed_s
    assert credit.tpot_s == credit.tpot_claimed_s


def test_one_at_a_time_under_load_is_no_hold() -> None:
    """Four in flight, served in turn: each waits for three answers."""
    answer = PREFILL_MS + PACE_MS * TOKENS
    queued = [at(honest_ms())] + [at([3 * answer + t for t in honest_ms()])] * 9
    slow = [at([t + 3 * 2 * answer for t in honest_ms()])] * 10
    credit = credit_of(summed(queued, 4), queued, summed(slow, 4), slow)
    assert credit.tpot_s == credit.tpot_claimed_s


def test_noise_is_seldom_taken_for_a_wait() -> None:
    """300 runs of 20 answers with uneven steps: the figures of docs/threat-model.md."""
    draw = random.Random(5)

    def uneven() -> RequestResult:
        times, now = [], PREFILL_MS * draw.uniform(0.9, 1.1)
        for _ in range(TOKENS):
            times.append(now)
            now += PACE_MS * draw.gammavariate(4, 0.25)
        return at(times)

    wronged = 0
    for _ in range(300):
        ours, theirs = ([uneven() for _ in range(20)] for _ in range(2))
        credit = credit_of(summed(ours), ours, summed(theirs), theirs)
        wronged += (credit.ttft_s, credit.tpot_s) != (
            credit.ttft_claimed_s,
            credit.tpot_claimed_s,
        )
    assert wronged <= 3


def test_a_median_of_few_is_bounded_by_the_least() -> None:
    assert lower_median([3.0, 1.0, 2.0]) == 1.0
    assert lower_median([float(i) for i in range(20)]) == 5.0
    with pytest.raises(MetricUndefinedError):
        lower_median([])
