"""An HTTP server over raw sockets that misbehaves on request."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

TOKENS = [" one", " two", " drei", " vier", " fünf", " 六", " 🚀", " eight"]
TEXT = "".join(TOKENS)
DONE = b"data: [DONE]\n\n"


def _named(model: str) -> list[bytes]:
    choice = {"index": 0, "delta": {"content": TEXT}, "finish_reason": "length"}
    return [event({"model": model, "choices": [choice]})]


def event(value: Any) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def chunk(text: str | None, reason: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return event({"model": "faulty", "choices": [choice]})


USAGE = event(
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": len(TOKENS)}}
)
GOOD = [*map(chunk, TOKENS), chunk(None, "length"), USAGE, DONE]


class _Reply:
    """Writes to one client."""

    def __init__(self, connection: socket.socket, body: dict[str, Any]) -> None:
        self._connection = connection
        self.body = body

    def raw(self, data: bytes) -> None:
        self._connection.sendall(data)

    def head(self, status: int = 200, kind: str = "text/event-stream") -> None:
        line = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n"
        self.raw(f"{line}Connection: close\r\n\r\n".encode())

    def json(self, value: Any, status: int = 200) -> None:
        self.head(status, "application/json")
        self.raw(json.dumps(value).encode())

    def events(self, items: list[bytes]) -> None:
        self.head()
        for item in items:
            self.raw(item)


def _hang(reply: _Reply) -> None:
    reply.events(GOOD[:3])
    time.sleep(5)


def _trickle(reply: _Reply) -> None:
    reply.head()
    for _ in range(100):
        reply.raw(chunk("x"))
        time.sleep(0.05)


def _one_byte_at_a_time(reply: _Reply) -> None:
    reply.head()
    for byte in b"".join(GOOD):
        reply.raw(bytes([byte]))


def _breaks_chunked_encoding(reply: _Reply) -> None:
    head = b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n"
    reply.raw(head + b"Transfer-Encoding: chunked\r\n\r\n")
    reply.raw(b"%x\r\n" % len(GOOD[0]) + GOOD[0] + b"\r\n")


def _transformers(reply: _Reply) -> None:
    if "ignore_eos" in reply.body:
        reply.json({"detail": "Unexpected fields: {'ignore_eos'}"}, 422)
    else:
        reply.events(GOOD)


def _flood(reply: _Reply) -> None:
    reply.head()
    while True:
        reply.raw(b": " + b"x" * 2**20 + b"\n")


def _chunked(reply: _Reply, pieces: list[bytes], extra: bytes = b"") -> None:
    """Events over chunked encoding on a connection that stays open."""
    head = b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n"
    reply.raw(head + b"Transfer-Encoding: chunked\r\n\r\n")
    for piece in pieces:
        reply.raw(b"%x\r\n%s\r\n" % (len(piece), piece))
    reply.raw(b"0\r\n\r\n" + extra)


def _flood_after_the_end(reply: _Reply) -> None:
    _chunked(reply, GOOD, b"x" * 100)
    while True:
        reply.raw(b"x" * 2**20)


def _http_1_0(reply: _Reply) -> None:
    reply.raw(b"HTTP/1.0 200 X\r\nContent-Type: text/event-stream\r\n\r\n")
    for item in GOOD:
        reply.raw(item)


def _headers_without_end(reply: _Reply) -> None:
    reply.raw(b"HTTP/1.1 200 X\r\n")
    for i in range(600):
        reply.raw(b"X-%d: y\r\n" % i)
        time.sleep(0.1)


def _one_line(reply: _Reply) -> None:
    reply.head()
    reply.raw(b"data: ")
    for _ in range(100):
        reply.raw(b"x" * 2**20)


def _compressed(reply: _Reply) -> None:
    body = gzip.compress(b"".join(GOOD))
    head = "HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n"
    length = f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    reply.raw((head + length).encode() + body)


def _bytes_in_chunks(reply: _Reply) -> None:
    _chunked(reply, [bytes([byte]) for byte in b"".join(GOOD)])


def _no_continuous(reply: _Reply) -> None:
    if "continuous_usage_stats" in reply.body["stream_options"]:
        reply.json({"message": "unknown field continuous_usage_stats"}, 400)
    else:
        reply.events(GOOD)


def _refuses(reply: _Reply) -> None:
    for field in ("ignore_eos", "generation_config"):
        if field in reply.body:
            reply.json({"detail": f"no {field}"}, 422)
            return
    reply.events(GOOD)


def _ends_early(reply: _Reply) -> None:
    """Takes every field, heeds none that TGI does not know, and counts truly."""
    if "generation_config" in reply.body:
        reply.json({"detail": "no generation_config"}, 422)
        return
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    reply.events([*map(chunk, TOKENS[:2]), chunk(None, "stop"), event(usage), DONE])


def _counting(*totals: int) -> list[bytes]:
    """All tokens in as many chunks as totals, with the running count on each."""
    cut = len(TOKENS) // len(totals)
    edges = [cut * i for i in range(len(totals))] + [len(TOKENS)]
    events = []
    for i, total in enumerate(totals):
        text = "".join(TOKENS[edges[i] : edges[i + 1]])
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        usage = {"completion_tokens": total}
        events.append(event({"model": "faulty", "choices": [choice], "usage": usage}))
    return [*events, chunk(None, "length"), DONE]


def _reasoning(reply: _Reply) -> None:
    """Role, reasoning, a tool call and content, some time apart."""
    tool = {"function": {"name": " look", "arguments": " up it"}}
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"reasoning": " let me see"},
        {"tool_calls": [tool]},
        {"content": " there it"},
    ]
    reply.head()
    for delta in deltas:
        reply.raw(event({"choices": [{"index": 0, "delta": delta}]}))
        time.sleep(0.02)
    reply.raw(chunk(None, "stop") + USAGE + DONE)


WHOLE = {"choices": [{"message": {"content": TEXT}, "finish_reason": "stop"}]}
_TURN = threading.Lock()


def _in_turn(reply: _Reply) -> None:
    """One request at a time, a quarter of a second each."""
    with _TURN:
        time.sleep(0.25)
        reply.events(GOOD)


MODES: dict[str, Callable[[_Reply], None]] = {
    "good": lambda r: r.events(GOOD),
    "one_byte": _one_byte_at_a_time,
    "status_500": lambda r: r.json({"error": {"message": "boom"}}, 500),
    "broken_json": lambda r: r.events([GOOD[0], b"data: {oops\n\n", DONE]),
    "wrong_shape": lambda r: r.events([event({"choices": [{"delta": 1}]}), DONE]),
    "hang": _hang,
    "in_turn": _in_turn,
    "trickle": _trickle,
    "truncated": lambda r: r.events(GOOD[:4]),
    "broken_chunks": _breaks_chunked_encoding,
    "error_event": lambda r: r.events([GOOD[0], event({"error": "out of memory"})]),
    "json": lambda r: r.json(WHOLE),
    "json_as_events": lambda r: r.events([json.dumps(WHOLE).encode()]),
    "short": lambda r: r.events([chunk(" one"), chunk(None, "stop"), DONE]),
    "empty": lambda r: r.events([chunk(""), chunk(None, "stop"), DONE]),
    "nothing": lambda r: r.events([]),
    "closes": lambda _: None,
    "not_http": lambda r: r.raw(b"hello\r\n\r\n"),
    "flood": _flood,
    "chunked": lambda r: _chunked(r, GOOD),
    "bytes_in_chunks": _bytes_in_chunks,
    "flood_after": _flood_after_the_end,
    "http_1_0": _http_1_0,
    "headers": _headers_without_end,
    "one_line": _one_line,
    "compressed": _compressed,
    "other_model": lambda r: r.events([*_named("other"), DONE]),
    "transformers": _transformers,
    "no_continuous": _no_continuous,
    "refuses": _refuses,
    "continuous": lambda r: r.events(_counting(3, 8)),
    "ends_early": _ends_early,
    # One token, and a count of eight.
    "false_count": lambda r: r.events([GOOD[0], *GOOD[-3:]]),
    "falling_usage": lambda r: r.events(_counting(9, 7)),
    "no_usage": lambda r: r.events([i for i in GOOD if i != USAGE]),
    "reasoning": _reasoning,
}


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            head, _, rest = self._read()
            if head.startswith(b"GET"):
                _Reply(self.request, {}).json({"data": []})
                return
            body = json.loads(rest)
            self.server.bodies.append(body)
            lines = head.decode().split("\r\n")[1:]
            pairs = (line.partition(": ") for line in lines)
            self.server.heads.append({k.lower(): v for k, _, v in pairs})
            self.server.mode(_Reply(self.request, body))

    def _read(self) -> tuple[bytes, bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, separator, rest = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(rest) < length:
            rest += self._more()
        return head, separator, rest

    def _more(self) -> bytes:
        data: bytes = self.request.recv(65536)
        if not data:
            raise OSError("client left")
        return data


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, mode: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mode = MODES[mode]
        self.bodies: list[dict[str, Any]] = []
        self.heads: list[dict[str, str]] = []

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def faulty_server(mode: str) -> Iterator[_Server]:
    """Serve one mode; the server has ``base_url``, ``bodies`` and ``heads`` it got."""
    with _Server(mode) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
