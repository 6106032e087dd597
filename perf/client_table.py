"""Tables of the side by side of load clients, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from perf.client_truth import Errors

__all__ = ["Point", "Sample", "tables"]

OURS = "ibench kernel"
_US = 1e6
# What the kernel client must show, in the columns below; at 256 streams within twice.
LIMITS = {
    "TTFT bias mean, ms": 0.1,
    "TTFT bias p99, ms": 0.3,
    "chunk time error p99, ms": 0.1,
    "CPU a chunk, us": 45.0,
    "lost chunks": 0.0,
}
SLACK = {8: 1.0, 64: 1.0, 256: 2.0}
TIMES_SMALLER = 20.0


class Point(NamedTuple):
    """One load.

    Args:
        streams: requests in flight.
        tokens_per_s: of each stream.
        tokens: of each request.
        requests: in all.
    """

    streams: int
    tokens_per_s: float
    tokens: int
    requests: int


class Sample(NamedTuple):
    """One run of a client.

    Args:
        client: its name.
        point: the load.
        trial: from 0.
        errors: against the truth.
        run_cpu_s: of its process tree, start and end included.
        cpu_s: of measuring: by the client's own clock, parsing included, or that of its
            process tree from the first request's arrival to the last chunk.
        loop_cpu_s: of it while requests flew, where the client tells.
        peak_mib: memory of its process tree.
        wall_s: from its start to its end.
        others_share: of one core, used by processes that are not of this benchmark.
    """

    client: str
    point: Point
    trial: int
    errors: Errors
    run_cpu_s: float
    cpu_s: float
    loop_cpu_s: float | None
    peak_mib: float
    wall_s: float
    others_share: float


_Values = Sequence[float | None]


def tables(samples: Sequence[Sample]) -> str:
    """One table a load, then what the peers' errors are as multiples, then limits."""
    found = {
        point: {name: _columns(samples, point, name) for name in _names(samples, point)}
        for point in dict.fromkeys(s.point for s in samples)
    }
    parts = [_results(point, rows) for point, rows in found.items()]
    parts += [_ratios(found), _limits(found)]
    return "\n\n".join(part for part in parts if part)


def _names(samples: Sequence[Sample], point: Point) -> list[str]:
    return list(dict.fromkeys(s.client for s in samples if s.point == point))


def _columns(
    samples: Sequence[Sample], point: Point, client: str
) -> dict[str, _Values]:
    runs = [s for s in samples if s.point == point and s.client == client]

    def of(value: Callable[[Errors], float | None]) -> _Values:
        return [value(s.errors) for s in runs]

    return {
        "TTFT bias mean, ms": of(lambda e: e.bias_mean_ms),
        "TTFT bias p99, ms": of(lambda e: e.bias_p99_ms),
        "TTFT error p99, ms": of(lambda e: e.error_p99_ms),
        "settled bias mean, ms": of(lambda e: e.settled_mean_ms),
        "settled bias p99, ms": of(lambda e: e.settled_p99_ms),
        "chunk time error p99, ms": of(lambda e: e.chunk_p99_ms),
        "CPU a chunk, us": [_each_us(s, s.cpu_s) for s in runs],
        "of it in the loop, us": [_each_us(s, s.loop_cpu_s) for s in runs],
        "CPU of the run, s": [s.run_cpu_s for s in runs],
        "memory, MiB": [s.peak_mib for s in runs],
        "lost chunks": of(lambda e: float(e.lost)),
    }


def _each_us(sample: Sample, cpu_s: float | None) -> float | None:
    return None if cpu_s is None else cpu_s / sample.errors.chunks * _US


def _results(point: Point, rows: Mapping[str, Mapping[str, _Values]]) -> str:
    plural = "s" if point.streams > 1 else ""
    title = (
        f"**{point.streams} stream{plural} at {point.tokens_per_s:g} tokens/s each** "
        f"({point.requests} requests of {point.tokens} tokens a run)"
    )
    head = ["client", *next(iter(rows.values()))]
    body = [[name, *map(_cell, columns.values())] for name, columns in rows.items()]
    return f"{title}\n\n{_markdown(head, body)}"


def _ratios(found: Mapping[Point, Mapping[str, Mapping[str, _Values]]]) -> str:
    names = ["TTFT bias mean, ms", "TTFT bias p99, ms", "TTFT error p99, ms"]
    names += ["settled bias mean, ms", "settled bias p99, ms", "CPU a chunk, us"]
    body = [
        [str(point.streams), name, *(_times(columns, rows[OURS], n) for n in names)]
        for point, rows in found.items()
        if OURS in rows
        for name, columns in rows.items()
        if name != OURS
    ]
    head = ["streams", "client", *(n.partition(",")[0] for n in names)]
    title = f"Multiples of {OURS}'s (medians, without sign)"
    return f"**{title}**\n\n{_markdown(head, body)}" if body else ""


def _limits(found: Mapping[Point, Mapping[str, Mapping[str, _Values]]]) -> str:
    body: list[list[str]] = []
    for point, rows in found.items():
        if OURS not in rows:
            continue
        streams = str(point.streams)
        if point.streams in SLACK:
            body += _within(streams, rows[OURS], SLACK[point.streams])
        for peer in [name for name in rows if not name.startswith("ibench")]:
            body += _against(streams, peer, rows[peer], rows[OURS])
    head = ["streams", "what", "limit", "measured (median)", "held"]
    return f"**Limits of {OURS}**\n\n{_markdown(head, body)}" if body else ""


def _within(
    streams: str, ours: Mapping[str, _Values], slack: float
) -> Iterable[list[str]]:
    for name, limit in LIMITS.items():
        value, most = _median(ours[name]), limit * slack
        held = "unknown" if value is None else _yes(abs(value) <= most)
        yield [streams, name, f"at most {most:g}", _number(value), held]


def _against(
    streams: str, peer: str, theirs: Mapping[str, _Values], ours: Mapping[str, _Values]
) -> Iterable[list[str]]:
    for name, least in (
        ("TTFT bias mean, ms", TIMES_SMALLER),
        ("TTFT bias p99, ms", TIMES_SMALLER),
        ("CPU a chunk, us", 1.0),
    ):
        times = _ratio(theirs, ours, name)
        what = f"{peer}'s {name.partition(',')[0]}, multiple of ours"
        held = "unknown" if times is None else _yes(times >= least)
        yield [streams, what, f"at least {least:g}", _number(times), held]


def _ratio(
    theirs: Mapping[str, _Values], ours: Mapping[str, _Values], name: str
) -> float | None:
    above, below = _median(theirs[name]), _median(ours[name])
    return None if above is None or not below else abs(above / below)


def _times(
    theirs: Mapping[str, _Values], ours: Mapping[str, _Values], name: str
) -> str:
    return _number(_ratio(theirs, ours, name))


def _yes(held: bool) -> str:
    return "yes" if held else "NO"


def _median(values: _Values) -> float | None:
    known = [v for v in values if v is not None]
    return statistics.median(known) if known else None


def _cell(values: _Values) -> str:
    known = [v for v in values if v is not None]
    if not known:
        return "-"
    middle = _number(statistics.median(known))
    low, high = _number(min(known)), _number(max(known))
    return middle if low == high else f"{middle} ({low} to {high})"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
