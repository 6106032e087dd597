"""Measure one traffic phase: send, read, re-tokenize, classify.

Times come from the bytes as they arrived; tokens from the text, counted after the
phase with the base tokenizer (reference, section 18, defects 2 and 4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from ibench.load.client import Exchange, LoadClient, PlannedRequest
from ibench.load.sse import StreamOutcome, interpret, parse
from ibench.records import (
    FailureKind,
    Question,
    RequestResult,
    RequestSpec,
    canonical_json,
)

__all__ = [
    "Dialect",
    "ask_questions",
    "build_body",
    "negotiate_dialect",
    "run_phase",
    "served_model_name",
]

Dialect: TypeAlias = Literal["ignore_eos", "generation_config"]
"""How a server is told to produce exactly ``max_tokens`` tokens.

``ignore_eos`` is the field of vLLM, SGLang and the reference server.
``generation_config`` is that of ``transformers serve``, which refuses unknown fields.
"""

_QUALITY_PHASE = "quality"
_PROBE = ({"role": "user", "content": "Say something."},)
_PROBE_TOKENS = 4


class _Asked(NamedTuple):
    """What a result is held against."""

    id: str
    max_tokens: int
    min_tokens: float


def served_model_name(models: Sequence[str], model_dir: Path) -> str:
    """Name to put into requests: the first one the server lists, else its folder.

    ``transformers serve`` lists no local model and accepts only the path it was given.
    """
    return models[0] if models else str(model_dir)


def build_body(
    request: RequestSpec, model_id: str, dialect: Dialect, seed: int | None
) -> bytes:
    """Write the JSON of one measured request.

    Args:
        request: what to ask for.
        model_id: see ``served_model_name``.
        dialect: how the output length is enforced, where the request asks for it.
        seed: of the sampling; left out when ``None``.
    """
    return _body(
        request.messages,
        model_id,
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        dialect=dialect if request.ignore_eos else None,
        seed=seed,
    )


def _body(
    messages: Sequence[dict[str, str]],
    model_id: str,
    *,
    max_tokens: int,
    temperature: float,
    dialect: Dialect | None,
    seed: int | None,
) -> bytes:
    body: dict[str, Any] = {
        "model": model_id,
        "messages": list(messages),
        "max_tokens": max_tokens,
        "temperature": temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if seed is not None:
        body["seed"] = seed
    if dialect == "ignore_eos":
        body["ignore_eos"] = True
    if dialect == "generation_config":
        # An end token that does not exist holds with and without continuous batching;
        # min_new_tokens is dropped by the former once another request came first. The
        # given configuration replaces the model's, hence greedy without do_sample.
        config = {"eos_token_id": -1, "do_sample": temperature > 0, "top_k": 0}
        body["generation_config"] = canonical_json(config)
    return canonical_json(body).encode()


def negotiate_dialect(
    client: LoadClient,
    base_url: str,
    model_id: str,
    *,
    temperature: float,
    request_timeout_s: float,
) -> Dialect:
    """Find out how this server is told an output length, with one or two requests.

    The second form is tried only if the first is refused by name. A server that
    refuses both gets the first: its requests will fail and say so.

    Args:
        client: sends the probes.
        base_url: address of the server.
        model_id: see ``served_model_name``.
        temperature: that of the phases to come; ``transformers serve`` with continuous
            batching keeps the sampling of its first request for ever.
        request_timeout_s: limit of one probe.
    """

    def ask(dialect: Dialect) -> Exchange:
        body = _body(
            _PROBE,
            model_id,
            max_tokens=_PROBE_TOKENS,
            temperature=temperature,
            dialect=dialect,
            seed=None,
        )
        planned = [PlannedRequest("probe", body, 0)]
        return client.run(base_url, planned, 1, request_timeout_s)[0]

    first = ask("ignore_eos")
    refused = first.status in {400, 422} and "ignore_eos" in _raw(first)
    if refused and ask("generation_config").status == 200:
        return "generation_config"
    return "ignore_eos"


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
    count_tokens: Callable[[str], int],
    min_length_ratio: float,
) -> tuple[RequestResult, ...]:
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
        count_tokens: re-tokenizes an answer, after the phase.
        min_length_ratio: an answer with ``ignore_eos`` and fewer tokens than this
            share of ``max_tokens`` is too short.

    Raises:
        ValueError: not one offset per request.
    """
    planned = [
        PlannedRequest(
            r.request_id, build_body(r, model_id, dialect, _seed(r)), offset_ns
        )
        for r, offset_ns in zip(requests, offsets_ns, strict=True)
    ]
    exchanges = client.run(base_url, planned, concurrency, request_timeout_s)
    asked = [
        _Asked(r.request_id, r.max_tokens, min_length_ratio * r.max_tokens)
        if r.ignore_eos
        else _Asked(r.request_id, r.max_tokens, 0)
        for r in requests
    ]
    return _results(phase_name, asked, exchanges, count_tokens)


def ask_questions(
    client: LoadClient,
    base_url: str,
    questions: Sequence[Question],
    model_id: str,
    *,
    concurrency: int,
    request_timeout_s: float,
    count_tokens: Callable[[str], int],
) -> tuple[RequestResult, ...]:
    """Ask the quality questions at temperature 0; an answer may be of any length.

    Results carry the question ids and the phase ``quality``. Arguments as for
    ``run_phase``.
    """
    planned = []
    for question in questions:
        body = _body(
            question.messages,
            model_id,
            max_tokens=question.max_tokens,
            temperature=0,
            dialect=None,
            seed=None,
        )
        planned.append(PlannedRequest(question.question_id, body, 0))
    exchanges = client.run(base_url, planned, concurrency, request_timeout_s)
    asked = [_Asked(q.question_id, q.max_tokens, 0) for q in questions]
    return _results(_QUALITY_PHASE, asked, exchanges, count_tokens)


def _seed(request: RequestSpec) -> int:
    """Sampling seed of a request: a function of what is asked, 31 bits."""
    return int(request.content_hash[:8], 16) & 0x7FFFFFFF


def _results(
    phase: str,
    asked: Sequence[_Asked],
    exchanges: Sequence[Exchange],
    count_tokens: Callable[[str], int],
) -> tuple[RequestResult, ...]:
    pairs = zip(asked, exchanges, strict=True)
    return tuple(_result(phase, a, e, count_tokens) for a, e in pairs)


def _result(
    phase: str, asked: _Asked, exchange: Exchange, count_tokens: Callable[[str], int]
) -> RequestResult:
    events = parse(exchange.reads)
    outcome = interpret(events)
    chunks, text = outcome.chunks, outcome.text
    tokens = count_tokens(text) if exchange.status == 200 else None
    is_stream = bool(events) or not exchange.reads
    failure, error = _classify(asked, exchange, outcome, tokens, is_stream=is_stream)
    return RequestResult(
        request_id=asked.id,
        phase=phase,
        scheduled_ns=exchange.scheduled_ns,
        sent_ns=exchange.sent_ns,
        first_byte_ns=exchange.reads[0].t_ns if exchange.reads else None,
        first_token_ns=chunks[0].t_read_ns if chunks else None,
        last_token_ns=chunks[-1].t_read_ns if chunks else None,
        end_ns=exchange.end_ns,
        status=exchange.status,
        failure=failure,
        error=error,
        text=text,
        finish_reason=outcome.finish_reason,
        tokens=tokens,
        usage_tokens=outcome.usage_tokens,
        prompt_tokens=outcome.prompt_tokens,
        requested_tokens=asked.max_tokens,
        model=outcome.model,
        first_text=chunks[0].text if chunks else "",
        chunks=chunks,
    )


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
    status = f"status {exchange.status}: {_raw(exchange)[:300]}"
    short = f"{tokens} tokens of {asked.max_tokens}"
    checks = (
        (exchange.failure is not None, exchange.failure, exchange.error),
        (exchange.status != 200, FailureKind.HTTP_STATUS, status),
        (not_events, FailureKind.NOT_STREAMED, _raw(exchange)[:300]),
        (outcome.error is not None, FailureKind.ERROR_EVENT, outcome.error),
        (outcome.malformed is not None, FailureKind.MALFORMED, outcome.malformed),
        (not ended, FailureKind.TRUNCATED, "no finish reason and no [DONE]"),
        (not outcome.text, FailureKind.EMPTY, "no text"),
        ((tokens or 0) < asked.min_tokens, FailureKind.SHORT, short),
    )
    return next(((kind, text) for wrong, kind, text in checks if wrong), (None, None))


def _raw(exchange: Exchange) -> str:
    data = b"".join(read.data for read in exchange.reads[:64])
    return data[:2000].decode(errors="replace")
