"""What a load client says it saw, held against the truth server's log."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Protocol

from ibench.load.calibrate import Truth
from ibench.load.clock import ClockMap
from ibench.metrics.requests import percentile

__all__ = ["Client", "Errors", "Job", "Report", "Seen", "compare"]

_MS = 1e-6  # of a nanosecond


class Job(NamedTuple):
    """One run of a client: closed loop, every stream asks again when it was answered.

    Args:
        url: of the truth server.
        streams: requests in flight.
        requests: in all.
        tokens: that each request asks for.
        folder: for what the client reads and writes.
    """

    url: str
    streams: int
    requests: int
    tokens: int
    folder: Path


class Seen(NamedTuple):
    """One answered request as a client reports it.

    Args:
        name: that of the truth server's log.
        ttft_ns: from sending to the first chunk.
        chunks: that it counted.
        gaps_ns: between neighbouring chunks; ``None`` if it keeps none.
        start_ns: of the request, monotonic; ``None`` if it cannot be had.
        start_wall_ns: the same by the wall clock, for clients that keep only that.
    """

    name: str
    ttft_ns: float
    chunks: int
    gaps_ns: tuple[float, ...] | None
    start_ns: float | None = None
    start_wall_ns: int | None = None


class Report(NamedTuple):
    """All that a client reports of a run.

    Args:
        seen: its requests.
        cpu_s: processor time from its first connection to its last parsed row, where
            it tells.
        loop_cpu_s: of it, while requests flew.
    """

    seen: Sequence[Seen]
    cpu_s: float | None = None
    loop_cpu_s: float | None = None


class Client(Protocol):
    """A client that runs as a process of its own."""

    @property
    def name(self) -> str:
        """In the tables."""

    def command(self, job: Job) -> list[str]:
        """What starts it; input files are written here."""

    def report(self, job: Job) -> Report:
        """Read what it wrote."""


class Errors(NamedTuple):
    """Measured minus true, milliseconds; ``None``: the client keeps no such stamps.

    Args:
        bias_mean_ms: mean of the measured TTFT minus mean of the true one.
        bias_p99_ms: likewise of the two 99th percentiles.
        error_p99_ms: p99 of a request's absolute TTFT error.
        settled_mean_ms: ``bias_mean_ms`` without the first request of each stream.
        settled_p99_ms: ``bias_p99_ms`` without them.
        chunk_p99_ms: p99 of a chunk's absolute time error.
        lost: chunks that the server sent and the client did not count, or the reverse.
        chunks: that the server sent.
        in_flight: the most at one time, by the server's log.
    """

    bias_mean_ms: float
    bias_p99_ms: float
    error_p99_ms: float
    settled_mean_ms: float
    settled_p99_ms: float
    chunk_p99_ms: float | None
    lost: int
    chunks: int
    in_flight: int


def compare(
    report: Report, truth: Mapping[str, Truth], streams: int, clocks: ClockMap
) -> Errors:
    """Match requests by name and take the errors.

    The true TTFT runs from the kernel's stamp of the request's arrival to just before
    the first chunk was handed to the kernel.

    Args:
        report: what the client saw; a request that it does not name is lost.
        truth: the server's log.
        streams: so many requests are the first ones.
        clocks: around the run, for clients that start requests by the wall clock.
    """
    order = sorted(truth, key=lambda name: truth[name].arrived_ns)
    by_name = {s.name: s for s in report.seen if s.name in truth}
    matched = [name for name in order if name in by_name]
    later = set(order[streams:])
    ttft = [(_true_ttft(truth[n]) * _MS, by_name[n].ttft_ns * _MS) for n in matched]
    settled = [pair for pair, name in zip(ttft, matched, strict=True) if name in later]
    pairs = [(truth[n], by_name[n]) for n in matched]
    chunk = [e for t, s in pairs for e in _chunk_errors(t, s, clocks)]
    sent = sum(len(t.sent_ns) for t in truth.values())
    wrong = sum(abs(len(t.sent_ns) - s.chunks) for t, s in pairs)
    unseen = sum(len(t.sent_ns) for n, t in truth.items() if n not in by_name)
    return Errors(
        *_bias(ttft),
        percentile([abs(seen - true) for true, seen in ttft], 99),
        *_bias(settled),
        percentile(chunk, 99) if chunk else None,
        wrong + unseen,
        sent,
        _most_in_flight(truth),
    )


def _true_ttft(truth: Truth) -> int:
    return truth.sent_ns[0] - truth.arrived_ns


def _bias(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    true, seen = ([pair[side] for pair in pairs] for side in (0, 1))
    mean = statistics.fmean(seen) - statistics.fmean(true)
    return mean, percentile(seen, 99) - percentile(true, 99)


def _chunk_errors(truth: Truth, seen: Seen, clocks: ClockMap) -> list[float]:
    start_ns = seen.start_ns
    if seen.start_wall_ns is not None:
        start_ns = clocks.monotonic_ns(seen.start_wall_ns)
    if start_ns is None or seen.gaps_ns is None or seen.chunks != len(truth.sent_ns):
        return []
    # Differences are taken before anything is summed as a float.
    offset = seen.ttft_ns + (start_ns - truth.sent_ns[0])
    stamps = accumulate(seen.gaps_ns, initial=offset)
    true = (sent - truth.sent_ns[0] for sent in truth.sent_ns)
    return [abs(a - b) * _MS for a, b in zip(stamps, true, strict=True)]


def _most_in_flight(truth: Mapping[str, Truth]) -> int:
    edges = sorted(
        edge
        for t in truth.values()
        for edge in ((t.arrived_ns, 1), (t.sent_ns[-1], -1))
    )
    return max(accumulate(step for _, step in edges))
