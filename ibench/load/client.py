"""What every load client takes and gives: plans, exchanges, one protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from ibench.load.sse import Read
from ibench.records import ClientCost, FailureKind

__all__ = [
    "Enough",
    "Exchange",
    "Finished",
    "LoadClient",
    "LoadRun",
    "PlannedRequest",
]


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
        ready_ns: when it was due and a slot was free; ``None`` if never.
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
    ready_ns: int | None
    sent_ns: int | None
    status: int | None
    content_type: str
    reads: tuple[Read, ...]
    end_ns: int
    failure: FailureKind | None
    error: str | None


class Finished(NamedTuple):
    """A request that ended, as far as its times tell without parsing it.

    Args:
        sent_ns: just before it was written.
        first_ns: first bytes of the answer's body.
        end_ns: last bytes.
    """

    sent_ns: int
    first_ns: int
    end_ns: int


Enough: TypeAlias = Callable[[Finished], bool]
"""Told of each request that ended without a fault; true sends no more."""


class LoadRun(NamedTuple):
    """The exchanges, in the order of the plan, and what they cost."""

    exchanges: list[Exchange]
    cost: ClientCost


class LoadClient(Protocol):
    """What the driver needs of a client."""

    def run(
        self,
        base_url: str,
        planned: Sequence[PlannedRequest],
        concurrency: int,
        request_timeout_s: float,
        enough: Enough | None = None,
    ) -> LoadRun:
        """Send the requests when they are due, at most so many at a time.

        Args:
            base_url: address of the server without a path.
            planned: what to send.
            concurrency: slots; a request that is due waits for one.
            request_timeout_s: limit of one request, from sending to its last byte, or
                from the last answer of another one that ended: who waits behind others
                on a server that answers one at a time is not late.
            enough: once it says so, nothing more is sent; what flies is awaited.

        Returns:
            One exchange per request that was begun, in the order of the plan: all of
            them without ``enough``. A fault of the server never raises.
        """
