"""The load client that runs everywhere: httpx, stamps taken in user space."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeAlias

import httpx

from ibench.load.client import Enough, Exchange, Finished, LoadRun, PlannedRequest
from ibench.load.sse import Read
from ibench.records import ClientCost, FailureKind

__all__ = ["HttpxClient"]

_MAX_RESPONSE_BYTES = 64 * 2**20
_START_DELAY_NS = 50_000_000  # every task exists before the first request is due
_WARM_TIMEOUT_S = 5.0
_HEADERS = {
    "content-type": "application/json",
    "accept": "text/event-stream",
    # The raw bytes are kept, so they must not be compressed.
    "accept-encoding": "identity",
}


class HttpxClient:
    """Load client over httpx: TLS, any system, stamps taken in user space.

    Args:
        clock: monotonic nanoseconds.
        headers: sent with every request, for example an authorization.
    """

    def __init__(
        self,
        clock: Callable[[], int] = time.monotonic_ns,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the arguments."""
        self._clock = clock
        self._headers = {**_HEADERS, **(headers or {})}

    def run(
        self,
        base_url: str,
        planned: Sequence[PlannedRequest],
        concurrency: int,
        request_timeout_s: float,
        enough: Enough | None = None,
    ) -> LoadRun:
        """See ``LoadClient.run``; its event loop runs in a thread of its own.

        A notebook kernel already runs a loop in the calling thread.
        """
        todo = self._run(base_url, planned, concurrency, request_timeout_s, enough)
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, todo).result()

    async def _run(
        self,
        base_url: str,
        planned: Sequence[PlannedRequest],
        concurrency: int,
        request_timeout_s: float,
        enough: Enough | None,
    ) -> LoadRun:
        # A pool would look at every connection for every request: one client a slot.
        limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
        context = httpx.create_ssl_context()
        slots = [
            # The limit is on the whole request, below; httpx's are per read.
            httpx.AsyncClient(
                base_url=base_url,
                headers=self._headers,
                limits=limits,
                timeout=None,  # noqa: S113
                trust_env=False,
                verify=context,
            )
            for _ in range(min(concurrency, len(planned)))
        ]
        free: _Slots = asyncio.LifoQueue()
        try:
            await asyncio.gather(*map(_warm, slots))
            for client in slots:
                free.put_nowait((client, 0))
            cpu_ns = time.thread_time_ns()
            start_ns = self._clock() + _START_DELAY_NS
            gate = _Gate(enough, request_timeout_s)
            sending: dict[int, asyncio.Task[Exchange]] = {}
            for i in sorted(range(len(planned)), key=lambda i: planned[i].offset_ns):
                due_ns = start_ns + planned[i].offset_ns
                await asyncio.sleep(max(0, due_ns - self._clock()) / 1e9)
                slot = await free.get()
                if gate.shut:
                    break
                todo = self._send(free, slot, planned[i], due_ns, gate)
                sending[i] = asyncio.create_task(todo)
            exchanges = [await sending[i] for i in sorted(sending)]
            cpu_s = (time.thread_time_ns() - cpu_ns) / 1e9
        finally:
            await asyncio.gather(*(client.aclose() for client in slots))
        cost = ClientCost(
            timestamp_source="user",
            processes=1,
            cpu_s=cpu_s,
            clock_drift_s=None,
            resent=0,
        )
        return LoadRun(exchanges, cost)

    async def _send(
        self,
        free: _Slots,
        slot: tuple[httpx.AsyncClient, int],
        item: PlannedRequest,
        scheduled_ns: int,
        gate: _Gate,
    ) -> Exchange:
        client, freed_ns = slot
        got = _Answer(self._clock)
        try:
            failure, error = await got.receive(client, item.body, gate)
            exchange = Exchange(
                request_id=item.request_id,
                scheduled_ns=scheduled_ns,
                ready_ns=max(scheduled_ns, freed_ns),
                sent_ns=got.sent_ns,
                status=got.status,
                content_type=got.content_type,
                reads=tuple(got.reads),
                end_ns=self._clock(),
                failure=failure,
                error=error,
            )
            gate.ended(exchange)
            return exchange
        finally:
            free.put_nowait((client, self._clock()))


_Slots: TypeAlias = asyncio.LifoQueue[tuple[httpx.AsyncClient, int]]
"""Clients that are free, and since when."""


class _Gate:
    """Shut once a run has seen enough; each answer that ends gives others more time."""

    def __init__(self, enough: Enough | None, limit_s: float) -> None:
        self._enough, self.limit_s = enough, limit_s
        self._waiting: set[asyncio.Timeout] = set()
        self.shut = False

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        async with asyncio.timeout(self.limit_s) as timeout:
            self._waiting.add(timeout)
            try:
                yield
            finally:
                self._waiting.discard(timeout)

    def ended(self, e: Exchange) -> None:
        if e.failure is None:
            for timeout in self._waiting:
                timeout.reschedule(asyncio.get_running_loop().time() + self.limit_s)
        if self._enough is None or e.sent_ns is None or e.failure or not e.reads:
            return
        done = Finished(e.sent_ns, e.reads[0].t_ns, e.reads[-1].t_ns)
        self.shut = self.shut or self._enough(done)


class _Answer:
    """Collects one answer; what came before a failure is kept."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.sent_ns: int | None = None
        self.status: int | None = None
        self.content_type = ""
        self.reads: list[Read] = []

    async def receive(
        self, client: httpx.AsyncClient, body: bytes, gate: _Gate
    ) -> tuple[FailureKind | None, str | None]:
        try:
            async with gate.limit():
                return await self._exchange(client, body)
        except TimeoutError:
            return FailureKind.TIMEOUT, f"not finished after {gate.limit_s:g} s"
        except httpx.HTTPError as error:
            return self._kind(error), f"{type(error).__name__}: {error}"[:500]

    def _kind(self, error: httpx.HTTPError) -> FailureKind:
        if isinstance(error, httpx.RemoteProtocolError):
            cut = "without sending complete message body" in str(error)
            if not cut and "disconnected" not in str(error):
                return FailureKind.MALFORMED  # bytes came, and they were not HTTP
        began = self.status is not None
        return FailureKind.TRUNCATED if began else FailureKind.CONNECT

    async def _exchange(
        self, client: httpx.AsyncClient, body: bytes
    ) -> tuple[FailureKind | None, str | None]:
        request = client.build_request("POST", "/v1/chat/completions", content=body)
        self.sent_ns = self._clock()
        response = await client.send(request, stream=True)
        try:
            self.status = response.status_code
            kind = response.headers.get("content-type", "")
            self.content_type = kind.partition(";")[0].strip().lower()
            encoding = response.headers.get("content-encoding", "identity")
            if encoding.lower() != "identity":
                why = f"compressed with {encoding[:40]}, though identity was asked for"
                return FailureKind.MALFORMED, why
            size = 0
            async for data in response.aiter_raw():
                self.reads.append(Read(self._clock(), data))
                size += len(data)
                if size > _MAX_RESPONSE_BYTES:
                    return FailureKind.MALFORMED, f"more than {size - 1} bytes"
        finally:
            await response.aclose()
        return None, None


async def _warm(client: httpx.AsyncClient) -> None:
    """Open a connection; the measured requests find out about a server that is gone."""
    try:
        async with asyncio.timeout(_WARM_TIMEOUT_S):
            await client.get("/v1/models")
    except (TimeoutError, httpx.HTTPError):
        return
