"""How a request is written for this server, found out by asking it.

OpenAI's fields do not say "exactly so many tokens" and not "count as you go"; engines
have fields of their own for both, and some refuse those that they do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from ibench.load.client import Exchange, LoadClient, PlannedRequest
from ibench.load.nonce import marked
from ibench.load.sse import interpret, parse
from ibench.records import RequestSpec, canonical_json

__all__ = [
    "Dialect",
    "body_of",
    "build_body",
    "negotiate_dialect",
    "raw_text",
    "served_model_name",
]

Length: TypeAlias = Literal["ignore_eos", "generation_config", "plain"]
# A model that may end does so long before the probe's tokens are spent.
_PROBE = ({"role": "user", "content": "Answer with one word: yes or no?"},)
_PROBE_TOKENS = 32
_REFUSED = {400, 422}
_LENGTHS: tuple[Length, ...] = ("ignore_eos", "generation_config", "plain")


class Dialect(NamedTuple):
    """What of the request a server takes and heeds.

    Args:
        length: how it is told to produce exactly ``max_tokens`` tokens. ``ignore_eos``
            is the field of vLLM, SGLang and the reference server;
            ``generation_config`` is that of ``transformers serve``, which refuses
            unknown fields; ``plain``: neither is heeded, and answers may end early,
            which is a failure of theirs.
        continuous_usage: it takes ``continuous_usage_stats``, the running token count
            on every chunk. Whether it sends one, the chunks show.
    """

    length: Length
    continuous_usage: bool

    @property
    def label(self) -> str:
        """As it stands in records."""
        return self.length + ("+continuous_usage" if self.continuous_usage else "")


def served_model_name(models: Sequence[str], model_dir: Path) -> str:
    """Name to put into requests: the first one the server lists, else its folder.

    ``transformers serve`` lists no local model and accepts only the path it was given.
    """
    return models[0] if models else str(model_dir)


def build_body(
    request: RequestSpec,
    model_id: str,
    dialect: Dialect,
    nonce: str | None = None,
) -> bytes:
    """Write the JSON of one measured request.

    No sampling seed, as in the original: engines leave their fast sampler for seeded
    requests, and vLLM 0.32 on CPUs dies of one whose prompt it reads in chunks.

    Args:
        request: what to ask for.
        model_id: see ``served_model_name``.
        dialect: what the server takes.
        nonce: names marks in the first message, so that no prefix cache of an
            earlier run can know the prompt.
    """
    return body_of(
        request.messages if nonce is None else marked(request.messages, nonce),
        model_id,
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        dialect=dialect,
        exact_length=request.ignore_eos,
    )


def body_of(
    messages: Sequence[dict[str, str]],
    model_id: str,
    *,
    max_tokens: int,
    temperature: float,
    dialect: Dialect,
    exact_length: bool,
) -> bytes:
    """Write the JSON of any request; arguments as for ``build_body``."""
    usage = {"include_usage": True}
    if dialect.continuous_usage:
        usage["continuous_usage_stats"] = True
    body: dict[str, Any] = {
        "model": model_id,
        "messages": list(messages),
        "max_tokens": max_tokens,
        "temperature": temperature,
        "stream": True,
        "stream_options": usage,
    }
    if exact_length and dialect.length == "ignore_eos":
        body["ignore_eos"] = True
    if exact_length and dialect.length == "generation_config":
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
    """Find out what this server takes, with one request or a few.

    A form is given up when the server refuses it by the name of a field, or takes it
    and ends the answer before its last token all the same. Where none is heeded, the
    first that was taken stands. A server that fails otherwise gets the first: its
    requests will fail and say so.

    Args:
        client: sends the probes.
        base_url: address of the server.
        model_id: see ``served_model_name``.
        temperature: that of the phases to come; ``transformers serve`` with continuous
            batching keeps the sampling of its first request for ever.
        request_timeout_s: limit of one probe.
    """

    def ask(dialect: Dialect) -> Exchange:
        body = body_of(
            _PROBE,
            model_id,
            max_tokens=_PROBE_TOKENS,
            temperature=temperature,
            dialect=dialect,
            exact_length=True,
        )
        planned = [PlannedRequest("probe", body, 0)]
        return client.run(base_url, planned, 1, request_timeout_s).exchanges[0]

    first = dialect = Dialect("ignore_eos", continuous_usage=True)
    taken: list[Dialect] = []
    while True:
        answer = ask(dialect)
        text = raw_text(answer)
        if answer.status not in _REFUSED:
            if _is_heeded(answer):
                return dialect
            taken.append(dialect)
        elif dialect.continuous_usage and "continuous_usage" in text:
            dialect = dialect._replace(continuous_usage=False)
            continue
        elif not _is_refusal_of(dialect, text):
            break
        if dialect.length == _LENGTHS[-1]:
            break
        following = _LENGTHS[_LENGTHS.index(dialect.length) + 1]
        dialect = dialect._replace(length=following)
    return taken[0] if taken else first


def _is_refusal_of(dialect: Dialect, text: str) -> bool:
    return dialect.length != "plain" and dialect.length in text


def _is_heeded(answer: Exchange) -> bool:
    """Whether the probe got all its tokens; an answer that failed proves nothing."""
    if answer.status != 200:
        return True
    outcome = interpret(parse(answer.reads))
    said = outcome.usage_tokens
    came = len(outcome.chunks) if said is None else said
    return outcome.finish_reason == "length" or came >= _PROBE_TOKENS


def raw_text(exchange: Exchange) -> str:
    """The first bytes of an answer as text, for messages."""
    data = b"".join(read.data for read in exchange.reads[:64])
    return data[:2000].decode(errors="replace")
