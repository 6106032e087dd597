"""The load client: sends planned requests and keeps the bytes that come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import httpx

from ibench.load.sse import Read
from ibench.records import FailureKind

__all__ = ["Exchange", "HttpxClient", "LoadClient", "PlannedRequest"]

_MAX_RESPONSE_BYTES = 64 * 2**20
_START_DELAY_NS = 50_000_000  # every task exists before the first request is due
_WARM_TIMEOUT_S = 5.0
_HEADERS = {
    "content-type": "application/json",
    "accept": "text/event-stream",
    # The raw bytes are kept, so they must not be compressed.
    "accept-encoding": "identity",
}


class PlannedRequest(NamedTuple):
    """One request to be sent.

    Args:
        request_id: comes back in the exchange.
        body: JSON of the chat completion request.
        offset_ns: when it is due, after the start of the run.
    """

    request_id: str
    body: bytes
    offset_ns: int


class Exchange(NamedTuple):
    """One request as it went over the wire; times are monotonic nanoseconds.

    Args:
        request_id: that of the plan.
        scheduled_ns: when it was due.
        sent_ns: just before it was written, with a free slot; ``None`` if it never was.
        status: HTTP status, if an answer began.
        content_type: of the answer, lower case, without parameters.
        reads: body bytes as they came.
        end_ns: end of the answer or of the attempt.
        failure: transport failure, if any; the content is not judged here.
        error: one line about it.
    """

    request_id: str
    scheduled_ns: int
    sent_ns: int | None
    status: int | None
    content_type: str
    reads: tuple[Read, ...]
    end_ns: int
    failure: FailureKind | None
    error: str | None


class LoadClient(Protocol):
    """What the driver needs of a client."""

    def run(
        self,
        base_url: str,
        planned: Sequence[PlannedRequest],
        concurrency: int,
        request_timeout_s: float,
    ) -> list[Exchange]:
        """Send the requests when they are due, at most so many at a time.

        Args:
            base_url: address of the server without a path.
            planned: what to send.
            concurrency: slots; a request that is due waits for one.
            request_timeout_s: limit of one request, from sending to its last byte.

        Returns:
            One exchange per planned request, in the order of the plan. A fault of
            the server never raises.
        """


class HttpxClient:
    """Load client over httpx; time stamps are taken in user space.

    Args:
        clock: monotonic nanoseconds.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Keep the clock."""
        self._clock = clock

    def run(
        self,
        base_url: str,
        planned: Sequence[PlannedRequest],
        concurrency: int,
        request_timeout_s: float,
    ) -> list[Exchange]:
        """See ``LoadClient.run``; its event loop runs in a thread of its own.

        A notebook kernel already runs a loop in the calling thread.
        """
        todo = self._run(base_url, planned, concurrency, request_timeout_s)
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, todo).result()

    async def _run(
        self,
        base_url: str,
        planned: Sequence[PlannedRequest],
        concurrency: int,
        request_timeout_s: float,
    ) -> list[Exchange]:
        limits = httpx.Limits(
            max_connections=concurrency,
            max_keepalive_connections=concurrency,
            keepalive_expiry=None,
        )
        # The limit is on the whole request, below; httpx's are per read.
        client = httpx.AsyncClient(
            base_url=base_url,
            headers=_HEADERS,
            limits=limits,
            timeout=None,  # noqa: S113
            trust_env=False,
        )
        async with client:
            slots = min(concurrency, len(planned))
            await asyncio.gather(*(_warm(client) for _ in range(slots)))
            free = asyncio.Semaphore(concurrency)
            start_ns = self._clock() + _START_DELAY_NS
            sending = (
                self._send(client, free, item, start_ns, request_timeout_s)
                for item in planned
            )
            return await asyncio.gather(*sending)

    async def _send(
        self,
        client: httpx.AsyncClient,
        free: asyncio.Semaphore,
        item: PlannedRequest,
        start_ns: int,
        request_timeout_s: float,
    ) -> Exchange:
        scheduled_ns = start_ns + item.offset_ns
        await asyncio.sleep(max(0, scheduled_ns - self._clock()) / 1e9)
        async with free:
            got = _Answer(self._clock)
            failure, error = await got.receive(client, item.body, request_timeout_s)
            return Exchange(
                request_id=item.request_id,
                scheduled_ns=scheduled_ns,
                sent_ns=got.sent_ns,
                status=got.status,
                content_type=got.content_type,
                reads=tuple(got.reads),
                end_ns=self._clock(),
                failure=failure,
                error=error,
            )


class _Answer:
    """Collects one answer; what came before a failure is kept."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.sent_ns: int | None = None
        self.status: int | None = None
        self.content_type = ""
        self.reads: list[Read] = []

    async def receive(
        self, client: httpx.AsyncClient, body: bytes, limit_s: float
    ) -> tuple[FailureKind | None, str | None]:
        try:
            async with asyncio.timeout(limit_s):
                return await self._exchange(client, body)
        except TimeoutError:
            return FailureKind.TIMEOUT, f"not finished after {limit_s:g} s"
        except httpx.HTTPError as error:
            began = self.status is not None
            kind = FailureKind.TRUNCATED if began else FailureKind.CONNECT
            return kind, f"{type(error).__name__}: {error}"[:500]

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
