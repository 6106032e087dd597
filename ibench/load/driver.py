"""Measure one traffic phase: send, read, count, classify.

Times come from the bytes as they arrived. Tokens come from the text, counted after the
phase with the base tokenizer (reference, section 18, defects 2 and 4): a server that
competes must not count for itself. Without a tokenizer its own count is taken, and
``tokens_from`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ibench.load.client import (
    Enough,
    Exchange,
    LoadClient,
    LoadRun,
    PlannedRequest,
)
from ibench.load.dialect import Dialect, body_of, build_body, raw_text
from ibench.load.nonce import nonce_of
from ibench.load.sse import StreamOutcome, interpret, parse
from ibench.metrics.credit import OPENING_TOKENS
from ibench.records import (
    Chunk,
    ClientCost,
    FailureKind,
    Question,
    RequestResult,
    RequestSpec,
    TokenSource,
    model_base_name,
)

__all__ = ["PhaseRun", "ask_questions", "run_phase"]

_QUALITY_PHASE = "quality"
_OPENING_CHUNKS = 256  # a server that sends single letters is not recounted for ever


class _Asked(NamedTuple):
    """What a result is held against."""

    id: str
    max_tokens: int
    min_tokens: float
    models: tuple[str, ...]


class PhaseRun(NamedTuple):
    """The results of one phase, in the order of the plan, and what they cost."""

    results: tuple[RequestResult, ...]
    cost: ClientCost


def run_phase(
    client: LoadClient,
    base_url: str,
    requests: Sequence[RequestSpec],
    *,
    model_id: str,
    dialect: Dialect,
    phase_name: str,
    offsets_ns: Sequence[int],
    concurrency: int,
    request_timeout_s: float,
    count_tokens: Callable[[str], int] | None,
    min_length_ratio: float,
    nonce_seed: str | None = None,
    also_named: Sequence[str] = (),
    enough: Enough | None = None,
) -> PhaseRun:
    """Send one phase and judge every answer.

    Args:
        client: sends the requests.
        base_url: address of the server.
        requests: what to send, in order.
        model_id: see ``served_model_name``.
        dialect: how the output length is enforced.
        phase_name: stands in every result.
        offsets_ns: when each request is due, after the first.
        concurrency: most requests in flight.
        request_timeout_s: limit of one request.
        count_tokens: re-tokenizes an answer, after the phase; without it the server's
            own count is taken.
        min_length_ratio: an answer with ``ignore_eos`` and fewer tokens than this
            share of ``max_tokens`` is too short, however the server was told; see
            ``_is_short`` for who counts.
        nonce_seed: names this run; each request gets a nonce of its own from it.
        also_named: further names under which answers may name the model.
        enough: told of each request that ended; true sends no more.

    Raises:
        ValueError: not one offset per request.
    """
    planned = [
        PlannedRequest(
            r.request_id,
            build_body(
                r,
                model_id,
                dialect,
                None if nonce_seed is None else nonce_of(nonce_seed, r.request_id),
            ),
            offset_ns,
        )
        for r, offset_ns in zip(requests, offsets_ns, strict=True)
    ]
    run = client.run(base_url, planned, concurrency, request_timeout_s, enough)
    asked = [
        _Asked(
            r.request_id,
            r.max_tokens,
            min_length_ratio * r.max_tokens if r.ignore_eos else 0,
            (model_id, *also_named),
        )
        for r in requests
    ]
    return PhaseRun(_results(phase_name, asked, run, count_tokens), run.cost)


def ask_questions(
    client: LoadClient,
    base_url: str,
    questions: Sequence[Question],
    model_id: str,
    *,
    concurrency: int,
    request_timeout_s: float,
    count_tokens: Callable[[str], int],
    also_named: Sequence[str] = (),
) -> tuple[RequestResult, ...]:
    """Ask the quality questions at temperature 0; an answer may be of any length.

    Results carry the question ids and the phase ``quality``. Arguments as for
    ``run_phase``.
    """
    planned = []
    for question in questions:
        body = body_of(
            question.messages,
            model_id,
            max_tokens=question.max_tokens,
            temperature=0,
            dialect=Dialect("plain", continuous_usage=False),
            exact_length=False,
        )
        planned.append(PlannedRequest(question.question_id, body, 0))
    run = client.run(base_url, planned, concurrency, request_timeout_s)
    names = (model_id, *also_named)
    asked = [_Asked(q.question_id, q.max_tokens, 0, names) for q in questions]
    return _results(_QUALITY_PHASE, asked, run, count_tokens)


def _results(
    phase: str,
    asked: Sequence[_Asked],
    run: LoadRun,
    count_tokens: Callable[[str], int] | None,
) -> tuple[RequestResult, ...]:
    """Judge what was begun; a run that had seen enough began fewer than asked."""
    by_id = {a.id: a for a in asked}
    if len(by_id) < len(asked):
        raise ValueError(f"phase {phase}: request ids are not unique")
    return tuple(
        _result(phase, by_id[e.request_id], e, count_tokens) for e in run.exchanges
    )


def _result(
    phase: str,
    asked: _Asked,
    exchange: Exchange,
    count_tokens: Callable[[str], int] | None,
) -> RequestResult:
    events = parse(exchange.reads)
    outcome = interpret(events)
    chunks, text = outcome.chunks, outcome.text
    visible = outcome.first_visible
    tokens, source = _count(exchange, outcome, count_tokens)
    is_stream = bool(events) or not exchange.reads
    failure, error = _classify(asked, exchange, outcome, tokens, is_stream=is_stream)
    return RequestResult(
        request_id=asked.id,
        phase=phase,
        scheduled_ns=exchange.scheduled_ns,
        ready_ns=exchange.ready_ns,
        sent_ns=exchange.sent_ns,
        first_byte_ns=exchange.reads[0].best_ns if exchange.reads else None,
        first_token_ns=chunks[0].best_ns if chunks else None,
        first_visible_ns=None if visible is None else chunks[visible].best_ns,
        last_token_ns=chunks[-1].best_ns if chunks else None,
        end_ns=exchange.end_ns,
        status=exchange.status,
        failure=failure,
        error=error,
        text=text,
        finish_reason=outcome.finish_reason,
        tokens=tokens,
        tokens_from=source,
        usage_tokens=outcome.usage_tokens,
        prompt_tokens=outcome.prompt_tokens,
        cached_tokens=outcome.cached_tokens,
        requested_tokens=asked.max_tokens,
        model=outcome.model,
        first_text=chunks[0].text if chunks else "",
        opening_tokens=_opening(chunks, count_tokens),
        chunks=chunks,
    )


def _opening(
    chunks: Sequence[Chunk], count_tokens: Callable[[str], int] | None
) -> tuple[int, ...]:
    """Recount the text after each chunk until the opening is past."""
    counts: list[int] = []
    if count_tokens is None:
        return ()
    text = ""
    for chunk in chunks[:_OPENING_CHUNKS]:
        text += chunk.text
        counts.append(count_tokens(text))
        if counts[-1] > counts[0] + OPENING_TOKENS:
            break
    return tuple(counts)


def _count(
    exchange: Exchange,
    outcome: StreamOutcome,
    count_tokens: Callable[[str], int] | None,
) -> tuple[int | None, TokenSource]:
    """Count the tokens of an answer, and say who counted."""
    if exchange.status != 200:
        return None, "unknown"
    if count_tokens is not None:
        return count_tokens(outcome.text), "retokenized"
    counts = [c.n_tokens for c in outcome.chunks if c.n_tokens is not None]
    if outcome.chunks and len(counts) == len(outcome.chunks):
        return sum(counts), "continuous_usage"
    if outcome.usage_tokens is not None:
        return outcome.usage_tokens, "usage"
    return None, "unknown"


def _classify(
    asked: _Asked,
    exchange: Exchange,
    outcome: StreamOutcome,
    tokens: int | None,
    *,
    is_stream: bool,
) -> tuple[FailureKind | None, str | None]:
    """Name the first thing that went wrong, from the wire up to the length."""
    ended = outcome.done or outcome.finish_reason is not None
    not_events = exchange.content_type == "application/json" or not is_stream
    status = f"status {exchange.status}: {raw_text(exchange)[:300]}"
    other = f"the answer names model {outcome.model}, {asked.models[0]} was asked"
    is_short = _is_short(asked, outcome, tokens)
    short = f"{tokens} tokens of {asked.max_tokens}, {outcome.finish_reason}"
    checks = (
        (exchange.failure is not None, exchange.failure, exchange.error),
        (exchange.status != 200, FailureKind.HTTP_STATUS, status),
        (not_events, FailureKind.NOT_STREAMED, raw_text(exchange)[:300]),
        (outcome.error is not None, FailureKind.ERROR_EVENT, outcome.error),
        (outcome.malformed is not None, FailureKind.MALFORMED, outcome.malformed),
        (not ended, FailureKind.TRUNCATED, "no finish reason and no [DONE]"),
        (not outcome.text, FailureKind.EMPTY, "no text"),
        (_is_other(outcome.model, asked.models), FailureKind.WRONG_MODEL, other),
        (is_short, FailureKind.SHORT, short),
    )
    return next(((kind, text) for wrong, kind, text in checks if wrong), (None, None))


def _is_short(asked: _Asked, outcome: StreamOutcome, tokens: int | None) -> bool:
    """Whether an answer ended early, by its recount and by its server's own count.

    Text may re-tokenize to fewer tokens than were generated. Where the server says
    that it sent all of them, only half of them is plainly short here; what the
    others came to is held against the baseline's answers to the same requests
    (``gates.integrity.output_length``), where a false count is a violation.
    """
    if tokens is None or tokens >= asked.min_tokens:
        return False
    said = outcome.usage_tokens
    return said is None or said < asked.min_tokens or tokens < asked.min_tokens / 2


def _is_other(named: str | None, asked: Sequence[str]) -> bool:
    """Compare last path parts without a revision: engines answer with either."""
    known = {model_base_name(name) for name in asked}
    return named is not None and model_base_name(named) not in known
