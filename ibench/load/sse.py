"""Server-sent events from timed reads, and what a chat stream said.

Pure functions over bytes that were kept during the run: parsing costs no time while
the clock runs, and the same bytes can be parsed again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from ibench.records import Chunk

__all__ = [
    "DONE",
    "Read",
    "SseEvent",
    "SseParser",
    "StreamOutcome",
    "interpret",
    "parse",
]

DONE = "[DONE]"


class Read(NamedTuple):
    """Bytes as they came, and when they were in user space."""

    t_ns: int
    data: bytes


class SseEvent(NamedTuple):
    """One event; its time is that of the read that completed it."""

    t_ns: int
    name: str
    data: str


class StreamOutcome(NamedTuple):
    """What a chat stream said.

    Args:
        chunks: events with text, in order.
        finish_reason: the last one given.
        usage_tokens: completion tokens, as the server last reported them.
        prompt_tokens: prompt tokens, likewise.
        model: model id, as first reported.
        error: text of the first error event.
        malformed: the first event that was not a chat chunk.
        done: ``[DONE]`` was seen.
    """

    chunks: tuple[Chunk, ...]
    finish_reason: str | None
    usage_tokens: int | None
    prompt_tokens: int | None
    model: str | None
    error: str | None
    malformed: str | None
    done: bool

    @property
    def text(self) -> str:
        """Everything the stream said."""
        return "".join(chunk.text for chunk in self.chunks)


class SseParser:
    """Incremental parser; an event that no blank line completed is dropped.

    Lines are cut in bytes, before decoding, so that a character split over reads
    stays whole. Line ends are LF, CRLF or CR.
    """

    def __init__(self) -> None:
        """Begin a stream."""
        self._buffer = bytearray()
        self._after_cr = False
        self._name = ""
        self._data: list[str] = []

    def feed(self, t_ns: int, data: bytes) -> list[SseEvent]:
        """Take one read and return the events it completed."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = self._after_cr or data.endswith(b"\r")
        if b"\n" not in data and b"\r" not in data:
            self._buffer += data  # a long line must not be copied once per read
            return []
        lines = (self._buffer + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *whole, self._buffer = lines.split(b"\n")
        events = []
        for line in whole:
            event = self._line(t_ns, line.decode(errors="replace"))
            if event is not None:
                events.append(event)
        return events

    def _line(self, t_ns: int, line: str) -> SseEvent | None:
        if not line:
            event = SseEvent(t_ns, self._name, "\n".join(self._data))
            known = bool(self._data)
            self._name, self._data = "", []
            return event if known else None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None


def parse(reads: Iterable[Read]) -> list[SseEvent]:
    """Parse a whole stream."""
    parser = SseParser()
    return [event for read in reads for event in parser.feed(read.t_ns, read.data)]


class _Malformed(Exception):
    """An event that is not what the protocol says."""


class _Reader:
    """Collects a ``StreamOutcome``."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.finish_reason: str | None = None
        self.usage: dict[str, int] = {}
        self.model: str | None = None
        self.error: str | None = None
        self._counted = 0
        self._continuous = True

    def take(self, event: SseEvent) -> None:
        try:
            body = json.loads(event.data)
        except ValueError as error:
            raise _Malformed("not JSON") from error
        if not isinstance(body, dict):
            raise _Malformed("not an object")
        if event.name == "error" or body.get("error") is not None:
            self.error = self.error or _error_text(body)
            return
        if self.model is None and isinstance(body.get("model"), str):
            self.model = body["model"]
        usage = body.get("usage")
        if usage is not None:
            self.usage = _usage(usage)
        self._choice(event.t_ns, body, counted=usage is not None)

    def _choice(self, t_ns: int, body: dict[str, Any], *, counted: bool) -> None:
        choices = body.get("choices")
        if not isinstance(choices, list):
            raise _Malformed("no choices")
        if not choices:
            return
        choice = choices[0]
        if not isinstance(choice, dict) or not isinstance(choice.get("delta"), dict):
            raise _Malformed("no delta")
        reason = choice.get("finish_reason")
        self.finish_reason = reason if isinstance(reason, str) else self.finish_reason
        text = _delta_text(choice["delta"])
        if not text:
            return
        # A count on every chunk is continuous usage; one on the last is a total.
        self._continuous = self._continuous and counted
        total = self.usage.get("completion_tokens")
        n_tokens = None
        if self._continuous and total is not None:
            n_tokens, self._counted = total - self._counted, total
        self.chunks.append(
            Chunk(t_read_ns=t_ns, t_recv_ns=None, text=text, n_tokens=n_tokens)
        )


def interpret(events: Iterable[SseEvent]) -> StreamOutcome:
    """Read the events of a chat stream; what cannot be read is told, not raised."""
    reader = _Reader()
    malformed, done = None, False
    for event in events:
        if event.data.strip() == DONE:
            done = True
            break
        try:
            reader.take(event)
        except _Malformed as error:
            malformed = malformed or f"{error}: {event.data[:200]}"
    return StreamOutcome(
        chunks=tuple(reader.chunks),
        finish_reason=reader.finish_reason,
        usage_tokens=reader.usage.get("completion_tokens"),
        prompt_tokens=reader.usage.get("prompt_tokens"),
        model=reader.model,
        error=reader.error,
        malformed=malformed,
        done=done,
    )


def _error_text(body: dict[str, Any]) -> str:
    error = body.get("error", body)
    message = error.get("message") if isinstance(error, dict) else error
    return str(message if message is not None else error)[:500]


def _usage(usage: object) -> dict[str, int]:
    if not isinstance(usage, dict):
        raise _Malformed("usage is no object")
    return {k: v for k, v in usage.items() if type(v) is int and v >= 0}


def _delta_text(delta: dict[str, Any]) -> str:
    """Text of either kind: reasoning is generated and paid for like any other."""
    found = ""
    for key in ("reasoning_content", "reasoning", "content"):
        part = delta.get(key)
        if part is not None and not isinstance(part, str):
            raise _Malformed(f"{key} is no text")
        # Servers that give the reasoning under both names say it once.
        if key == "reasoning" and "reasoning_content" in delta:
            continue
        found += part or ""
    return found
