"""Requests and questions as they are asked, and what came back."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from pydantic import Field

from ibench.records.base import Closed, Sha256

__all__ = [
    "Chunk",
    "FailureKind",
    "Question",
    "RequestResult",
    "RequestSpec",
    "TokenSource",
    "chunk_rows",
    "request_rows",
]


class FailureKind(StrEnum):
    """Why a measured request does not count as completed (docs/metrics.md)."""

    CONNECT = "connect"
    HTTP_STATUS = "http_status"
    ERROR_EVENT = "error_event"
    TRUNCATED = "truncated"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"
    EMPTY = "empty"
    SHORT = "short"
    NOT_STREAMED = "not_streamed"
    WRONG_MODEL = "wrong_model"  # the response names another model than was asked


class RequestSpec(Closed):
    """One request of a set: what is sent and what is expected back."""

    request_id: str
    messages: tuple[dict[str, str], ...]
    max_tokens: int = Field(ge=1, description="output tokens requested")
    temperature: float = Field(ge=0)
    ignore_eos: bool
    document_id: str
    target_input_tokens: int
    input_tokens: int = Field(description="realised, by re-tokenization")
    source_tokens: int
    content_hash: Sha256


class Question(Closed):
    """One quality question with its gold answer letter."""

    question_id: str
    messages: tuple[dict[str, str], ...]
    options: int = Field(ge=2, le=10)
    gold: str = Field(pattern="^[A-J]$")
    max_tokens: int
    content_hash: Sha256


TokenSource: TypeAlias = Literal["continuous_usage", "retokenized", "usage", "unknown"]


class Chunk(Closed):
    """One server-sent event that carried text."""

    t_read_ns: int = Field(description="user space, when the bytes were read")
    t_recv_ns: int | None = Field(description="kernel receive stamp, if available")
    text: str
    n_tokens: int | None = Field(description="from continuous usage, else unknown")

    @property
    def best_ns(self) -> int:
        """The kernel's stamp where there is one."""
        return self.t_read_ns if self.t_recv_ns is None else self.t_recv_ns


class RequestResult(Closed):
    """Everything kept of one measured request."""

    request_id: str
    phase: str
    scheduled_ns: int
    ready_ns: int | None = Field(
        default=None, description="due, and a slot free to send it"
    )
    sent_ns: int | None
    first_byte_ns: int | None
    first_token_ns: int | None = Field(
        description="first chunk with content, reasoning or tool text"
    )
    first_visible_ns: int | None = Field(
        default=None, description="first chunk with content or tool text"
    )
    last_token_ns: int | None
    end_ns: int
    status: int | None
    failure: FailureKind | None
    error: str | None
    text: str
    finish_reason: str | None
    tokens: int | None = Field(description="output tokens, from tokens_from")
    tokens_from: TokenSource = "retokenized"
    usage_tokens: int | None = Field(description="as the server reports it")
    prompt_tokens: int | None = Field(description="as the server reports it")
    cached_tokens: int | None = Field(
        default=None, description="prompt tokens from a cache, as the server reports it"
    )
    requested_tokens: int
    model: str | None = Field(description="model id in the response")
    first_text: str = Field(description="text of the first non-empty chunk")
    opening_tokens: tuple[int, ...] = Field(
        default=(),
        description="tokens of the text so far, re-tokenized, after each of the first "
        "chunks; empty without a tokenizer",
    )
    chunks: tuple[Chunk, ...]


def request_rows(results: Iterable[RequestResult]) -> list[dict[str, Any]]:
    """Rows of ``requests.parquet``: all that is kept of a request but its chunks."""
    return [r.model_dump(mode="json", exclude={"chunks"}) for r in results]


def chunk_rows(results: Iterable[RequestResult]) -> list[dict[str, Any]]:
    """Rows of ``chunks.parquet``, one a chunk, in the order of the requests."""
    return [
        {
            "phase": r.phase,
            "request_id": r.request_id,
            "i": i,
            "t_recv_ns": chunk.t_recv_ns,
            "t_read_ns": chunk.t_read_ns,
            "n_tokens": chunk.n_tokens,
            "text": chunk.text,
        }
        for r in results
        for i, chunk in enumerate(r.chunks)
    ]
