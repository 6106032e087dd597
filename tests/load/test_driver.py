"""From planned requests to judged results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ibench.load.dialect import (
    Dialect,
    build_body,
    negotiate_dialect,
    served_model_name,
)
from ibench.load.driver import PhaseRun, ask_questions, run_phase
from ibench.load.kernel_client import KernelClient
from ibench.load.nonce import nonce_of
from ibench.metrics.requests import tpot_s
from ibench.records import (
    FailureKind,
    Question,
    RequestResult,
    RequestSpec,
)
from tests.faulty_server import TEXT, TOKENS, faulty_server

EXACT = Dialect("ignore_eos", continuous_usage=False)
MESSAGES = ({"role": "user", "content": "hi"},)


def _spec(number: int = 0, *, ignore_eos: bool = True) -> RequestSpec:
    return RequestSpec(
        request_id=f"r{number}",
        messages=MESSAGES,
        max_tokens=len(TOKENS),
        temperature=0.7,
        ignore_eos=ignore_eos,
        document_id="d",
        target_input_tokens=1,
        input_tokens=1,
        source_tokens=1,
        content_hash=f"{number:064x}",
    )


def _words(text: str) -> int:
    return len(text.split())


def _phase(mode: str, *, ignore_eos: bool = True) -> RequestResult:
    with faulty_server(mode) as server:
        ((result,), _) = run_phase(
            KernelClient(),
            server.base_url,
            [_spec(ignore_eos=ignore_eos)],
            model_id="faulty",
            dialect=EXACT,
            phase_name="burst",
            offsets_ns=[0],
            concurrency=1,
            request_timeout_s=0.8,
            count_tokens=_words,
            min_length_ratio=0.9,
        )
    return result


@pytest.mark.parametrize("mode", ["good", "one_byte"])
def test_good_answers(mode: str) -> None:
    result = _phase(mode)
    assert (result.failure, result.error) == (None, None)
    assert (result.text, result.first_text) == (TEXT, TOKENS[0])
    assert result.tokens == result.usage_tokens == len(TOKENS)
    assert (result.prompt_tokens, result.model) == (3, "faulty")
    assert result.finish_reason == "length"
    assert [c.text for c in result.chunks] == TOKENS
    assert result.first_token_ns is not None
    assert result.first_token_ns == result.chunks[0].t_recv_ns
    assert result.last_token_ns == result.chunks[-1].t_recv_ns
    assert result.tokens_from == "retokenized"
    assert result.sent_ns is not None
    assert result.first_byte_ns is not None
    assert result.scheduled_ns <= result.sent_ns <= result.first_byte_ns
    assert result.first_byte_ns <= result.first_token_ns <= result.end_ns


@pytest.mark.parametrize(
    ("mode", "failure"),
    [
        ("status_500", FailureKind.HTTP_STATUS),
        ("broken_json", FailureKind.MALFORMED),
        ("wrong_shape", FailureKind.MALFORMED),
        ("hang", FailureKind.TIMEOUT),
        ("truncated", FailureKind.TRUNCATED),
        ("broken_chunks", FailureKind.TRUNCATED),
        ("nothing", FailureKind.TRUNCATED),
        ("error_event", FailureKind.ERROR_EVENT),
        ("json", FailureKind.NOT_STREAMED),
        ("json_as_events", FailureKind.NOT_STREAMED),
        ("short", FailureKind.SHORT),
        ("ends_early", FailureKind.SHORT),
        ("empty", FailureKind.EMPTY),
        ("other_model", FailureKind.WRONG_MODEL),
        ("closes", FailureKind.CONNECT),
    ],
)
def test_failures_have_their_names(mode: str, failure: FailureKind) -> None:
    result = _phase(mode)
    assert result.failure == failure
    assert result.error
    if result.status != 200:
        assert result.tokens is None


def test_without_ignore_eos_an_answer_may_be_short() -> None:
    result = _phase("short", ignore_eos=False)
    assert result.failure is None
    assert result.tokens == 1


def test_the_opening_is_recounted_whoever_counted_it_on_the_wire() -> None:
    result = _counted("continuous", _words)
    assert [c.n_tokens for c in result.chunks] == [3, 5]
    assert result.opening_tokens == (4, 8)
    assert _counted("continuous").opening_tokens == ()
    # TPOT divides by what came behind the first chunk, by the recount.
    assert result.first_token_ns is not None
    assert result.last_token_ns is not None
    if result.last_token_ns > result.first_token_ns:
        span_s = (result.last_token_ns - result.first_token_ns) * 1e-9
        assert tpot_s(result) == pytest.approx(span_s / 4)


def test_one_offset_per_request() -> None:
    with faulty_server("good") as server, pytest.raises(ValueError, match="zip"):
        run_phase(
            KernelClient(),
            server.base_url,
            [_spec()],
            model_id="m",
            dialect=EXACT,
            phase_name="p",
            offsets_ns=[0, 0],
            concurrency=1,
            request_timeout_s=1,
            count_tokens=_words,
            min_length_ratio=0.9,
        )


@pytest.mark.parametrize(
    ("mode", "dialect", "probes"),
    [
        ("good", "ignore_eos+continuous_usage", 1),
        ("transformers", "generation_config+continuous_usage", 2),
        ("no_continuous", "ignore_eos", 2),
        ("refuses", "plain+continuous_usage", 3),
        # Nothing is heeded: the first form that was taken stands.
        ("ends_early", "ignore_eos+continuous_usage", 3),
        ("status_500", "ignore_eos+continuous_usage", 1),
    ],
)
def test_negotiation(mode: str, dialect: str, probes: int) -> None:
    with faulty_server(mode) as server:
        found = negotiate_dialect(
            KernelClient(),
            server.base_url,
            "m",
            temperature=0.7,
            request_timeout_s=5,
        )
        assert found.label == dialect
        assert len(server.bodies) == probes
        assert all(body["temperature"] == 0.7 for body in server.bodies)


def test_bodies_of_the_dialects() -> None:
    one = json.loads(build_body(_spec(), "m", EXACT))
    assert one == {
        "model": "m",
        "messages": list(MESSAGES),
        "max_tokens": len(TOKENS),
        "temperature": 0.7,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }
    by_config = Dialect("generation_config", continuous_usage=True)
    other = json.loads(build_body(_spec(), "m", by_config))
    config = json.loads(other.pop("generation_config"))
    assert config == {"eos_token_id": -1, "do_sample": True, "top_k": 0}
    assert other.pop("stream_options")["continuous_usage_stats"] is True
    rest = {"ignore_eos", "stream_options"}
    assert other == {k: v for k, v in one.items() if k not in rest}
    free = json.loads(build_body(_spec(ignore_eos=False), "m", EXACT))
    assert free == {k: v for k, v in one.items() if k != "ignore_eos"}


def test_a_nonce_is_in_the_body_and_without_one_the_text_is_as_it_was() -> None:
    first, second = nonce_of("run 1", "r0"), nonce_of("run 2", "r0")
    bodies = [
        json.loads(build_body(_spec(), "m", EXACT, nonce))["messages"]
        for nonce in (first, second, None)
    ]
    assert bodies[2] == list(MESSAGES)
    assert bodies[0] != bodies[1]
    assert all(body[0]["content"].endswith("hi") for body in bodies)


def _counted(mode: str, count: Callable[[str], int] | None = None) -> RequestResult:
    with faulty_server(mode) as server:
        run = run_phase(
            KernelClient(),
            server.base_url,
            [_spec()],
            model_id="faulty",
            dialect=EXACT,
            phase_name="p",
            offsets_ns=[0],
            concurrency=1,
            request_timeout_s=5,
            count_tokens=count,
            min_length_ratio=0.9,
        )
    assert isinstance(run, PhaseRun)
    return run.results[0]


@pytest.mark.parametrize(
    ("mode", "tokens", "source", "per_chunk"),
    [
        ("continuous", 8, "continuous_usage", [3, 5]),
        ("good", 8, "usage", [None] * 8),
        ("no_usage", None, "unknown", [None] * 8),
        ("falling_usage", 7, "usage", [None, None]),
        ("reasoning", 8, "usage", [None, None, None]),
    ],
)
def test_who_counts_without_a_tokenizer(
    mode: str, tokens: int | None, source: str, per_chunk: list[int | None]
) -> None:
    got = _counted(mode)
    assert (got.failure, got.tokens, got.tokens_from) == (
        None if tokens != 7 else FailureKind.SHORT,
        tokens,
        source,
    )
    assert [c.n_tokens for c in got.chunks] == per_chunk


def test_the_text_is_counted_where_there_is_a_tokenizer() -> None:
    for mode in ("continuous", "no_usage", "falling_usage"):
        got = _counted(mode, _words)
        assert (got.tokens, got.tokens_from, got.failure) == (8, "retokenized", None)


def test_first_byte_first_token_and_first_visible_token_are_three_times() -> None:
    got = _counted("reasoning")
    assert got.first_byte_ns is not None
    assert got.first_token_ns is not None
    assert got.first_visible_ns is not None
    # A role-only chunk, reasoning and a tool call, 20 ms apart each.
    assert got.first_token_ns - got.first_byte_ns > 10_000_000
    assert got.first_visible_ns - got.first_token_ns > 10_000_000
    assert got.last_token_ns is not None
    assert got.last_token_ns - got.first_visible_ns > 10_000_000


def test_questions_are_greedy_and_of_any_length() -> None:
    questions = [
        Question(
            question_id=f"q{i}",
            messages=MESSAGES,
            options=4,
            gold="A",
            max_tokens=99,
            content_hash="0" * 64,
        )
        for i in range(3)
    ]
    with faulty_server("good") as server:
        results = ask_questions(
            KernelClient(),
            server.base_url,
            questions,
            "faulty",
            concurrency=2,
            request_timeout_s=5,
            count_tokens=_words,
        )
        assert {body["temperature"] for body in server.bodies} == {0}
        assert all("ignore_eos" not in body for body in server.bodies)
    assert [r.request_id for r in results] == ["q0", "q1", "q2"]
    assert {(r.phase, r.failure, r.requested_tokens) for r in results} == {
        ("quality", None, 99)
    }


def test_served_model_name() -> None:
    assert served_model_name(("a", "b"), Path("/m")) == "a"
    assert served_model_name((), Path("/m")) == "/m"
