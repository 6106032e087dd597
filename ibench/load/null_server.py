"""A server whose own log is the truth: fixed pacing, no model, every instant written.

``python -m ibench.load.null_server --log FILE`` prints its port and serves chat
completions until its standard input closes. A request's first token leaves
``--ttft-s`` after the kernel stamped its arrival, the others ``1 / --tokens-per-s``
apart, one token a chunk. The log holds for each request the arrival by the kernel's
stamp and the instant each chunk was handed to the kernel: under bursts a server in
user space reads a request milliseconds late, so its own reading would be no truth.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import select
import socket
import struct
import sys
import time
from array import array
from pathlib import Path
from typing import Any

from ibench.load.clock import ClockMap, read_clocks
from ibench.load.connection import allow_files
from ibench.load.stamps import ask_for_stamps

__all__ = ["main"]

_STAMP = struct.Struct("qq")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_STAMP.size)
_READ_BYTES = 256 * 1024
_BACKLOG = 4096
_NS = 1_000_000_000
_DEFAULT_TOKENS = 16
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_MODELS = b'{"object":"list","data":[{"id":"null","object":"model"}]}'


class _Connection:
    """One client; bytes of a request that is not complete wait in ``buffer``."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        self.arrived_wall_ns = 0


class _PacedStream:
    """One stream being paced out."""

    __slots__ = (
        "arrived_wall_ns",
        "chunk",
        "connection",
        "count",
        "last",
        "name",
        "number",
        "sent_ns",
        "start_ns",
    )

    def __init__(
        self, connection: _Connection, body: dict[str, Any], number: int
    ) -> None:
        self.connection = connection
        self.number = number
        self.name = str(body.get("user") or number)
        self.arrived_wall_ns = connection.arrived_wall_ns
        self.start_ns = 0
        asked = body.get("max_tokens") or body.get("max_completion_tokens")
        self.count = int(asked or _DEFAULT_TOKENS)
        self.sent_ns = array("q")
        self.chunk = _framed(_event(number, "w ", None))
        usage = {
            "prompt_tokens": 1,
            "completion_tokens": self.count,
            "total_tokens": self.count + 1,
        }
        closing = _event(number, None, usage) + b"data: [DONE]\n\n"
        self.last = (
            _framed(_event(number, "w ", None, reason="length"))
            + _framed(closing)
            + b"0\r\n\r\n"
        )


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(
    number: int,
    text: str | None,
    usage: dict[str, int] | None,
    reason: str | None = None,
) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    event = {
        "id": f"null-{number}",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "null",
        "choices": [choice] if text is not None else [],
    }
    if usage is not None:
        event["usage"] = usage
    return b"data: %s\n\n" % json.dumps(event, separators=(",", ":")).encode()


class NullServer:
    """Accepts, reads and paces in one thread.

    Args:
        ttft_s: from a request's arrival to its first chunk.
        tokens_per_s: of each stream.
        port: 0 for any.
    """

    def __init__(self, ttft_s: float, tokens_per_s: float, port: int) -> None:
        """Listen on the loopback address."""
        self._ttft_ns = round(ttft_s * _NS)
        self._gap_ns = _NS / tokens_per_s
        self._answers: list[_PacedStream] = []
        self._due: list[tuple[int, int, int]] = []
        self._connections: dict[int, _Connection] = {}
        self._listener = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self.port = int(self._listener.getsockname()[1])
        self._clocks = read_clocks()

    def serve(self, stop_fd: int) -> None:
        """Serve until ``stop_fd`` has something to read, or is closed."""
        self._epoll.register(stop_fd, select.EPOLLIN | select.EPOLLHUP)
        while True:
            self._emit()
            wait_ns = self._due[0][0] - time.monotonic_ns() if self._due else _NS
            if wait_ns > 0:
                # Finer than epoll's whole milliseconds.
                select.select([self._epoll.fileno()], [], [], wait_ns / _NS)
            for fd, _ in self._epoll.poll(0):
                if fd == stop_fd:
                    return
                if fd == self._listener.fileno():
                    self._accept()
                else:
                    self._read(self._connections[fd])

    def log(self) -> list[dict[str, Any]]:
        """The truth: one entry per request, monotonic nanoseconds."""
        clocks = ClockMap(self._clocks, read_clocks())
        return [
            {
                "name": a.name,
                "number": a.number,
                "arrived_ns": clocks.monotonic_ns(a.arrived_wall_ns),
                "sent_ns": a.sent_ns.tolist(),
            }
            for a in self._answers
        ]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ask_for_stamps(sock)
            self._connections[sock.fileno()] = _Connection(sock)
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, connection: _Connection) -> None:
        try:
            data, ancillary, _, _ = connection.sock.recvmsg(
                _READ_BYTES, _ANCILLARY_BYTES
            )
        except OSError:
            data, ancillary = b"", []
        if not data:
            del self._connections[connection.sock.fileno()]
            connection.sock.close()
            return
        if not connection.buffer:
            seconds, nanoseconds = (
                _STAMP.unpack(ancillary[0][2])
                if ancillary
                else divmod(time.clock_gettime_ns(time.CLOCK_REALTIME), _NS)
            )
            connection.arrived_wall_ns = seconds * _NS + nanoseconds
        connection.buffer += data
        head, found, rest = connection.buffer.partition(b"\r\n\r\n")
        length = _content_length(head) if found else 0
        if found and len(rest) >= length:
            connection.buffer = b""
            self._request(connection, head, rest[:length])

    def _request(self, connection: _Connection, head: bytes, body: bytes) -> None:
        if not head.startswith(b"POST"):
            connection.sock.send(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(_MODELS), _MODELS)
            )
            return
        answer = _PacedStream(connection, json.loads(body), len(self._answers))
        self._answers.append(answer)
        now = read_clocks(tries=1)
        lag_ns = now.wall_ns - connection.arrived_wall_ns
        answer.start_ns = now.monotonic_ns - lag_ns + self._ttft_ns
        connection.sock.send(_HEAD)
        heapq.heappush(self._due, (answer.start_ns, answer.number, 0))

    def _emit(self) -> None:
        """Send every chunk that is due; its instant is taken just before."""
        due = self._due
        while due and due[0][0] <= time.monotonic_ns():
            _, number, done = due[0]
            answer = self._answers[number]
            done += 1
            is_last = done == answer.count
            if is_last:
                heapq.heappop(due)
            else:
                at_ns = answer.start_ns + round(done * self._gap_ns)
                heapq.heapreplace(due, (at_ns, number, done))
            try:
                answer.sent_ns.append(time.monotonic_ns())
                answer.connection.sock.send(answer.last if is_last else answer.chunk)
            except OSError:
                if not is_last:  # the client has gone; so has this stream
                    self._due = due = [d for d in due if d[1] != number]
                    heapq.heapify(due)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Serve; print the port as a JSON line first, write the log last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ttft-s", type=float, default=0.1)
    parser.add_argument("--tokens-per-s", type=float, default=100.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    args = parser.parse_args(argv)
    allow_files(_BACKLOG)
    server = NullServer(args.ttft_s, args.tokens_per_s, args.port)
    sys.stdout.write(json.dumps({"port": server.port}) + "\n")
    sys.stdout.flush()
    gc.freeze()
    gc.disable()
    server.serve(sys.stdin.fileno())
    if args.log is not None:
        args.log.write_text(json.dumps(server.log()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
