"""One request under way, the connection that carries it, and where it leads."""

from __future__ import annotations

import resource
import socket
from array import array
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from ibench.load.framing import Framing
from ibench.load.stamps import ask_for_stamps
from ibench.records import FailureKind

__all__ = ["Link", "Stream", "Target", "allow_files", "open_socket", "target_of"]

_OTHER_FILES = 128


class Stream:
    """One request under way, and what came back."""

    __slots__ = (
        "closed",
        "data",
        "end_ns",
        "error",
        "failure",
        "first_ns",
        "framing",
        "index",
        "read_ns",
        "ready_ns",
        "resent",
        "sent_ns",
        "size",
        "unsent",
        "wall_ns",
    )

    def __init__(self, index: int, message: bytes, ready_ns: int) -> None:
        """Nothing sent, nothing came."""
        self.index = index
        self.ready_ns = ready_ns
        self.unsent = memoryview(message)
        self.sent_ns: int | None = None
        self.first_ns: int | None = None  # first bytes of the body
        self.end_ns: int | None = None
        self.data: list[bytes] = []
        self.read_ns = array("q")
        self.wall_ns = array("q")  # 0: the kernel gave no stamp
        self.size = 0
        self.framing = Framing()
        self.failure: FailureKind | None = None
        self.error: str | None = None
        self.resent = False
        self.closed = False  # the server ended the connection


class Link:
    """One connection; ``stream`` is the request it carries, if any."""

    __slots__ = ("connecting", "events", "sock", "stood", "stream")

    def __init__(self, sock: socket.socket) -> None:
        """Carry nothing yet."""
        self.sock = sock
        self.stream: Stream | None = None
        self.connecting = False
        self.stood = False  # it was open before this request was due
        self.events = 0


class Target(NamedTuple):
    """Where to connect and the request head up to the length."""

    family: int
    address: tuple[str | int, ...] | tuple[int, bytes]
    head: bytes


def target_of(base_url: str, headers: Mapping[str, str]) -> Target:
    """Resolve an address once and write the head that all its requests share."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or 80
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )[0]
    lines = [
        f"POST {parts.path.rstrip('/')}/v1/chat/completions HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        "Content-Type: application/json",
        "Accept: text/event-stream",
        "Accept-Encoding: identity",
        *(f"{name}: {value}" for name, value in headers.items()),
        "Content-Length: ",
    ]
    return Target(family, address, "\r\n".join(lines).encode())


def allow_files(count: int) -> None:
    """Raise this process's soft limit of open files, as far as the hard one allows.

    A thousand streams need more than the usual 1,024; where the hard limit is too
    low as well, connections fail one by one and say so.
    """
    wanted = count + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def open_socket(target: Target) -> socket.socket:
    """Make a socket whose reads come with the kernel's receive stamp."""
    sock = socket.socket(target.family, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ask_for_stamps(sock)
    return sock
