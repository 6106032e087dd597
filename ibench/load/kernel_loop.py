"""The event loop of the kernel client: send what is due, keep what comes.

Nothing here looks at content. A read costs a system call, two stamps and the walk over
the response's framing; everything else waits until the run is over.
"""

from __future__ import annotations

import contextlib
import heapq
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence

from ibench.load.client import Enough, Finished, PlannedRequest
from ibench.load.connection import Link, Stream, Target, open_socket
from ibench.load.framing import FramingError
from ibench.records import FailureKind

__all__ = ["Loop"]

_STAMP = struct.Struct("qq")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_STAMP.size)
_READ_BYTES = 64 * 1024
_MAX_RESPONSE_BYTES = 64 * 2**20
_MAX_RUN_BYTES = 2**30  # of all answers together
_READ_OVERHEAD_BYTES = 64  # a read costs this beside its bytes: floods of tiny ones
_KEPT_OF_OVERLONG = 16  # reads that stay for the error message
_CONNECT_TIMEOUT_S = 5.0
_NS = 1_000_000_000


class Loop:
    """Sends what is due, keeps what comes, watches the deadlines."""

    def __init__(
        self,
        target: Target,
        planned: Sequence[PlannedRequest],
        concurrency: int,
        timeout_ns: int,
        clock: Callable[[], int],
        enough: Enough | None,
    ) -> None:
        """Plan the run; nothing is opened yet."""
        self._enough = enough
        self._target = target
        self._planned = planned
        self._slots = min(concurrency, len(planned))
        self._timeout_ns = timeout_ns
        self._clock = clock
        self._order = sorted(range(len(planned)), key=lambda i: planned[i].offset_ns)
        self._next = 0
        self._flying = 0
        self._begun: list[Stream | None] = [None] * len(planned)
        self._deadlines: list[tuple[int, int, Stream]] = []  # a heap
        self._progress_ns = 0  # the last whole answer, whichever request's
        self._freed_ns = deque([0] * self._slots)
        self._links: dict[int, Link] = {}
        self._idle: list[Link] = []
        self._start_ns = 0
        self._kept_bytes = 0
        self._epoll = select.epoll()

    @property
    def begun(self) -> list[tuple[PlannedRequest, Stream]]:
        """What was begun, in the order of the plan."""
        pairs = zip(self._planned, self._begun, strict=True)
        return [(item, stream) for item, stream in pairs if stream is not None]

    def warm(self) -> None:
        """Open a connection per slot; requests find out about a server that is gone."""
        for _ in range(self._slots):
            try:
                sock = open_socket(self._target)
                sock.settimeout(_CONNECT_TIMEOUT_S)
                sock.connect(self._target.address)
            except OSError:
                return
            sock.setblocking(False)
            self._idle.append(self._watch(Link(sock), select.EPOLLIN))

    def run(self, start_ns: int) -> None:
        """Send everything; return when the last request has ended."""
        self._start_ns = start_ns
        while self._next < len(self._order) or self._flying:
            self._start_due()
            self._expire()
            for fd, mask in self._wait():
                link = self._links.get(fd)
                if link is not None:
                    self._handle(link, mask)

    def close(self) -> None:
        """Close every connection."""
        for link in list(self._links.values()):
            self._drop(link)
        self._epoll.close()

    def _wait(self) -> list[tuple[int, int]]:
        """Wait for bytes, the next request or the next deadline."""
        until = self._deadlines[0][0] if self._deadlines else None
        if self._flying < self._slots and self._next < len(self._order):
            due = self._due_ns()
            if until is None or due < until:
                # epoll counts in whole milliseconds: too coarse to send in time.
                wait_ns = due - self._clock()
                if wait_ns > 0:
                    select.select([self._epoll.fileno()], [], [], wait_ns / _NS)
                return self._epoll.poll(0)
        if until is None:
            return self._epoll.poll(0)
        return self._epoll.poll(max(0, until - self._clock()) / _NS)

    def _due_ns(self) -> int:
        return self._start_ns + self._planned[self._order[self._next]].offset_ns

    def _start_due(self) -> None:
        count = len(self._order)
        while (
            self._next < count
            and self._flying < self._slots
            and (due_ns := self._due_ns()) <= self._clock()
        ):
            index = self._order[self._next]
            self._next += 1
            self._flying += 1
            ready_ns = max(due_ns, self._freed_ns.popleft())
            stream = Stream(index, self._message(index), ready_ns)
            self._begun[index] = stream
            self._watch_deadline(self._clock() + self._timeout_ns, stream)
            self._give(stream, fresh=False)

    def _message(self, index: int) -> bytes:
        body = self._planned[index].body
        return b"%s%d\r\n\r\n%s" % (self._target.head, len(body), body)

    def _give(self, stream: Stream, *, fresh: bool) -> None:
        """Put a request on a connection that stands, else on a new one."""
        if self._idle and not fresh:
            link = self._idle.pop()
            link.stream, link.stood = stream, True
            self._send(link, stream)
            return
        try:
            link = Link(open_socket(self._target))
            link.sock.setblocking(False)
            link.stream, link.connecting = stream, True
            with contextlib.suppress(BlockingIOError):
                link.sock.connect(self._target.address)
            self._watch(link, select.EPOLLIN | select.EPOLLOUT)
        except OSError as error:
            self._over(stream, FailureKind.CONNECT, str(error))

    def _handle(self, link: Link, mask: int) -> None:
        if mask & select.EPOLLOUT and link.stream is not None:
            self._writable(link, link.stream)
        if mask & ~select.EPOLLOUT and link.sock.fileno() >= 0:
            self._readable(link)

    def _writable(self, link: Link, stream: Stream) -> None:
        if link.connecting:
            code = link.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._drop(link)
                self._over(stream, FailureKind.CONNECT, OSError(code).strerror or "")
                return
            link.connecting = False
        self._send(link, stream)

    def _send(self, link: Link, stream: Stream) -> None:
        if stream.sent_ns is None:
            stream.sent_ns = self._clock()
        try:
            sent = link.sock.send(stream.unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lost(link, stream, str(error))
            return
        stream.unsent = stream.unsent[sent:]
        events = select.EPOLLIN | (select.EPOLLOUT if stream.unsent else 0)
        if events != link.events:
            self._epoll.modify(link.sock.fileno(), events)
            link.events = events

    def _readable(self, link: Link) -> None:
        try:
            data, ancillary, _, _ = link.sock.recvmsg(_READ_BYTES, _ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if link.stream is not None:
                self._lost(link, link.stream, str(error))
                return
            data, ancillary = b"", []
        now_ns = self._clock()
        stream = link.stream
        if stream is None:
            self._idle.remove(link)
            self._drop(link)  # closed, or speaks without being asked
        elif not data:
            stream.closed = True
            self._lost(link, stream, "the server closed the connection")
        else:
            wall_ns = 0
            if ancillary:
                seconds, nanoseconds = _STAMP.unpack(ancillary[0][2])
                wall_ns = seconds * _NS + nanoseconds
            self._keep(link, stream, data, now_ns, wall_ns)

    def _keep(
        self, link: Link, stream: Stream, data: bytes, now_ns: int, wall_ns: int
    ) -> None:
        stream.data.append(data)
        stream.read_ns.append(now_ns)
        stream.wall_ns.append(wall_ns)
        stream.size += len(data) + _READ_OVERHEAD_BYTES
        self._kept_bytes += len(data)
        try:
            over = stream.framing.feed(data)
        except FramingError as error:
            self._drop(link)
            self._over(stream, FailureKind.MALFORMED, str(error))
            return
        if stream.first_ns is None and stream.framing.begun:
            stream.first_ns = now_ns
        if over:
            link.stream = None
            if stream.framing.reusable and not stream.framing.extra:
                self._idle.append(link)
            else:
                self._drop(link)
            self._over(stream)
        elif stream.size > _MAX_RESPONSE_BYTES or self._kept_bytes > _MAX_RUN_BYTES:
            self._overlong(link, stream)

    def _overlong(self, link: Link, stream: Stream) -> None:
        self._kept_bytes -= sum(map(len, stream.data[_KEPT_OF_OVERLONG:]))
        del stream.data[_KEPT_OF_OVERLONG:]
        del stream.read_ns[_KEPT_OF_OVERLONG:]
        del stream.wall_ns[_KEPT_OF_OVERLONG:]
        self._drop(link)
        limit = f"an answer of over {_MAX_RESPONSE_BYTES >> 20} MiB, or a run of over"
        self._over(stream, FailureKind.MALFORMED, f"{limit} {_MAX_RUN_BYTES >> 20} MiB")

    def _lost(self, link: Link, stream: Stream, why: str) -> None:
        """A connection ended under a request."""
        stood = link.stood
        self._drop(link)
        if stream.data:
            # An answer may end so; whether this one does, h11 says after the run.
            reset = None if stream.closed else FailureKind.TRUNCATED
            self._over(stream, reset, why)
        elif stood and not stream.resent:
            # The server closed an idle connection just as the request left: no
            # answer was begun, so it is asked once more and the lag shows.
            stream.unsent = memoryview(self._message(stream.index))
            stream.resent, stream.sent_ns, stream.closed = True, None, False
            self._give(stream, fresh=True)
        else:
            self._over(stream, FailureKind.CONNECT, why)

    def _over(
        self, stream: Stream, failure: FailureKind | None = None, error: str = ""
    ) -> None:
        stream.end_ns = self._clock()
        self._freed_ns.append(stream.end_ns)
        self._flying -= 1
        if failure is not None:
            stream.failure, stream.error = failure, error[:500]
        else:
            self._progress_ns = stream.end_ns
        if (
            failure is None
            and self._enough
            and stream.sent_ns is not None
            and stream.first_ns
        ):
            times = Finished(stream.sent_ns, stream.first_ns, stream.read_ns[-1])
            if self._enough(times):
                self._next = len(self._order)
        while self._deadlines and self._deadlines[0][2].end_ns is not None:
            heapq.heappop(self._deadlines)

    def _ask_whether_enough(self, stream: Stream) -> None:
        if self._enough and stream.sent_ns is not None and stream.first_ns:
            times = Finished(stream.sent_ns, stream.first_ns, stream.read_ns[-1])
            if self._enough(times):
                self._next = len(self._order)

    def _watch_deadline(self, deadline_ns: int, stream: Stream) -> None:
        heapq.heappush(self._deadlines, (deadline_ns, stream.index, stream))

    def _expire(self) -> None:
        """End what took too long: since it was sent, or since another one ended.

        A server that answers one request at a time lets the others wait their turn;
        as long as answers end, nobody who waits is too late.
        """
        now_ns = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            deadline_ns, _, stream = heapq.heappop(self._deadlines)
            later_ns = self._progress_ns + self._timeout_ns
            if later_ns > max(deadline_ns, now_ns):
                self._watch_deadline(later_ns, stream)
                continue
            for link in self._links.values():
                if link.stream is stream:
                    self._drop(link)
                    break
            limit = f"not finished after {self._timeout_ns / _NS:g} s"
            self._over(stream, FailureKind.TIMEOUT, limit)

    def _watch(self, link: Link, events: int) -> Link:
        self._links[link.sock.fileno()] = link
        link.events = events
        self._epoll.register(link.sock.fileno(), events)
        return link

    def _drop(self, link: Link) -> None:
        if self._links.pop(link.sock.fileno(), None) is not None:
            link.sock.close()
