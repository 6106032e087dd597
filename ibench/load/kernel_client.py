"""The load client that lets the kernel take the time.

Plain sockets with ``SO_TIMESTAMPNS``: the kernel stamps each segment as it arrives, so
a late read costs nothing but the bytes' wait in a buffer. While the clock runs, only
(kernel stamp, read stamp, bytes) is kept; HTTP and events are parsed after the run.

Two segments that wait in the buffer together come out of one read with the later
one's stamp. ``PhaseSummary.client`` counts such coalesced chunks.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from ibench.load.client import Enough, Exchange, LoadRun, PlannedRequest
from ibench.load.clock import ClockMap, read_clocks
from ibench.load.connection import Stream, allow_files, target_of
from ibench.load.kernel_loop import Loop
from ibench.load.sse import Read
from ibench.load.stamps import stamps_kept_on
from ibench.load.wire import exchange_of
from ibench.records import ClientCost

__all__ = ["KernelClient", "kernel_stamps_available"]

_START_DELAY_NS = 5_000_000
_NS = 1_000_000_000
_MAX_DRIFT_NS = 1_000_000  # a wall clock that was set during the run stamps nothing


def kernel_stamps_available(base_url: str) -> bool:
    """Whether the kernel can stamp what comes from this address."""
    return sys.platform == "linux" and urlsplit(base_url).scheme == "http"


class KernelClient:
    """Load client over sockets with kernel receive stamps; Linux, plain HTTP.

    Args:
        clock: monotonic nanoseconds.
        begin: called when all connections stand; gives the instant of offset zero.
        headers: sent with every request, for example an authorization.
    """

    def __init__(
        self,
        clock: Callable[[], int] = time.monotonic_ns,
        begin: Callable[[], int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the arguments."""
        self._clock = clock
        self._begin = begin or (lambda: clock() + _START_DELAY_NS)
        self._headers = dict(headers or {})

    def run(
        self,
        base_url: str,
        planned: Sequence[PlannedRequest],
        concurrency: int,
        request_timeout_s: float,
        enough: Enough | None = None,
    ) -> LoadRun:
        """See ``LoadClient.run``."""
        loop = Loop(
            target_of(base_url, self._headers),
            planned,
            concurrency,
            round(request_timeout_s * _NS),
            self._clock,
            enough,
        )
        allow_files(min(concurrency, len(planned)))
        collecting = gc.isenabled()
        gc.collect()
        gc.disable()  # a collection would stop reading for milliseconds
        try:
            with stamps_kept_on():
                loop.warm()
                before = read_clocks(self._clock)
                start_ns = self._begin()
                cpu_ns = time.thread_time_ns()
                loop.run(start_ns)
                cpu_ns = time.thread_time_ns() - cpu_ns
                clocks = ClockMap(before, read_clocks(self._clock))
        finally:
            loop.close()
            if collecting:
                gc.enable()
        trusted = abs(clocks.drift_ns) <= _MAX_DRIFT_NS
        exchanges = [
            _exchange(item, stream, start_ns, clocks if trusted else None)
            for item, stream in loop.begun
        ]
        stamped = all(r.recv_ns is not None for e in exchanges for r in e.reads)
        return LoadRun(
            exchanges,
            ClientCost(
                timestamp_source="kernel" if stamped else "user",
                processes=1,
                cpu_s=cpu_ns / _NS,
                clock_drift_s=clocks.drift_ns / _NS,
                resent=sum(stream.resent for _, stream in loop.begun),
            ),
        )


def _exchange(
    item: PlannedRequest, stream: Stream, start_ns: int, clocks: ClockMap | None
) -> Exchange:
    """Parse one answer, now that no clock runs."""
    reads = [
        Read(t_ns, data, clocks.monotonic_ns(wall) if clocks and wall else None)
        for t_ns, data, wall in zip(
            stream.read_ns, stream.data, stream.wall_ns, strict=True
        )
    ]
    return exchange_of(
        item.request_id,
        start_ns + item.offset_ns,
        stream.ready_ns,
        stream.sent_ns,
        stream.end_ns,
        reads,
        stream.failure,
        stream.error,
        closed=stream.closed,
    )
