"""When a phase has been measured well enough: sequential stopping by objective."""

from __future__ import annotations

from typing import Literal

from ibench.load.client import Enough, Finished
from ibench.metrics.intervals import SequentialStop
from ibench.metrics.objectives import OBJECTIVES
from ibench.params import Measure

__all__ = ["monitor"]

_NS = 1e-9


def monitor(objective: str, settings: Measure) -> Enough | None:
    """Watch the numbers that make an objective; none asked for, none watched.

    The times come from reads whose bytes nobody has parsed yet: TTFT from the first
    bytes of the body, decoding from there to the last. A server that sends a chunk
    without text before its first token makes the first of them too short; the summary
    is computed from the tokens, so only the stopping point moves.
    """
    if settings.stopping is None:
        return None
    spec = settings.stopping

    watched = OBJECTIVES[objective].watched

    def stop(name: str, target: Literal["rate", "p50"]) -> SequentialStop | None:
        if name not in watched:
            return None
        return SequentialStop(
            relative_half_width=spec.relative_half_width,
            minimum_n=spec.minimum_requests,
            confidence=settings.client.confidence,
            target=target,
        )

    return _Monitor(stop("ttft", "p50"), stop("decode", "p50"), stop("rate", "rate"))


class _Monitor:
    """Collects what ended and asks every stop that takes part."""

    def __init__(
        self,
        ttft: SequentialStop | None = None,
        decode: SequentialStop | None = None,
        rate: SequentialStop | None = None,
    ) -> None:
        self._stops = [(ttft, list[float]()), (decode, list[float]())]
        self._rate = rate, list[float]()

    def __call__(self, done: Finished) -> bool:
        times = (done.first_ns - done.sent_ns, done.end_ns - done.first_ns)
        for (_, values), time_ns in zip(self._stops, times, strict=True):
            values.append(time_ns * _NS)
        self._rate[1].append(done.end_ns * _NS)
        verdicts = [
            stop.enough(values) for stop, values in (*self._stops, self._rate) if stop
        ]
        return all(verdicts)
