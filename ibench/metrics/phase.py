"""Numbers of a traffic phase: one entry each, with formula, unit and refusal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Self, TypeAlias

from ibench.errors import MetricUndefinedError
from ibench.metrics import requests as metrics
from ibench.metrics.intervals import tail_is_shown
from ibench.records import RequestResult

__all__ = ["PHASE_METRICS", "PhaseMetric", "Plan", "Seen", "values_of"]

_NS = 1e-9
Number: TypeAlias = float | Literal["inf"] | None


class Plan(NamedTuple):
    """What a phase was meant to be.

    Args:
        name: of the phase.
        arrivals: kind of the arrival process.
        concurrency: requests in flight at most.
        arrivals_sha256: hash of the arrival vector.
        offered_rate_per_s: mean arrivals per second, if any was asked for.
        ttft_slo_s: limits of goodput.
        tpot_slo_s: likewise.
        requests: planned; fewer results are there when it was stopped early.
    """

    name: str
    arrivals: str
    concurrency: int
    arrivals_sha256: str
    offered_rate_per_s: float | None
    ttft_slo_s: float
    tpot_slo_s: float
    requests: int


class Seen(NamedTuple):
    """What the formulas of a phase look at.

    Attributes:
        plan: what was asked for.
        results: every request.
        done: those that completed.
        ttft: their TTFT where it is defined, seconds.
        tpot: their TPOT where it is defined, seconds.
    """

    plan: Plan
    results: Sequence[RequestResult]
    done: Sequence[RequestResult]
    ttft: Sequence[float]
    tpot: Sequence[float]

    @classmethod
    def of(
        cls,
        plan: Plan,
        results: Sequence[RequestResult],
        tpot: Callable[[RequestResult], float],
    ) -> Self:
        """Look at the results of a phase."""
        done = [r for r in results if metrics.is_completed(r)]
        ttfts = metrics.defined(metrics.ttft_s, done)
        return cls(plan, results, done, ttfts, metrics.defined(tpot, done))

    def each(self, metric: Callable[[RequestResult], float]) -> list[float]:
        """Values of a metric over the completed requests, where it is defined."""
        return metrics.defined(metric, self.done)

    @property
    def failed(self) -> int:
        """Requests that did not complete."""
        return len(self.results) - len(self.done)


class PhaseMetric(NamedTuple):
    """One number of a phase.

    Attributes:
        name: with its unit; a field of ``PhaseSummary``, else an entry of its ``more``.
        formula: of what was seen; raises ``MetricUndefinedError`` where its input does
            not define it, or gives None.
        title: for people, of a number that ``load`` shows below its own.
    """

    name: str
    formula: Callable[[Seen], Number]
    title: str = ""


def values_of(seen: Seen) -> dict[str, Number]:
    """Compute every number of a phase; one that is undefined is None, never zero.

    Raises:
        MetricUndefinedError: there are no requests, or some completed in no time.
    """
    values = {}
    for metric in PHASE_METRICS:
        try:
            values[metric.name] = metric.formula(seen)
        except MetricUndefinedError:
            if metric.name in REQUIRED:
                raise
            values[metric.name] = None
    return values


def _achieved_rate_per_s(results: Sequence[RequestResult]) -> float | None:
    sent = sorted(r.sent_ns for r in results if r.sent_ns is not None)
    if len(sent) < 2 or sent[0] == sent[-1]:
        return None
    return (len(sent) - 1) / ((sent[-1] - sent[0]) * _NS)


def _with_failures(values: Sequence[float], failed: int, q: float) -> Number:
    if q > 50 and not tail_is_shown(q, len(values) + failed):
        return None
    value = metrics.with_failures(values, failed, q)
    return "inf" if math.isinf(value) else value


def _p(values: Sequence[float], q: float) -> float | None:
    """Percentile; a tail of too few values is unknown (``intervals.minimum_n``)."""
    shown = values and (q <= 50 or tail_is_shown(q, len(values)))
    return metrics.percentile(values, q) if shown else None


def _queued(s: Seen) -> list[float]:
    return s.each(lambda r: metrics.ttft_s(r, "scheduled"))


def _itl(s: Seen) -> list[float]:
    return [gap for r in s.done for gap in metrics.itl_s(r)]


REQUIRED = frozenset(
    {"wall_s", "request_rate_per_s", "token_rate_per_s", "goodput_per_s"}
)
"""Without one of these a phase has no summary."""
PHASE_METRICS = (
    PhaseMetric("wall_s", lambda s: metrics.wall_s(s.results)),
    PhaseMetric("achieved_rate_per_s", lambda s: _achieved_rate_per_s(s.results)),
    PhaseMetric("ttfb_p50_s", lambda s: _p(s.each(metrics.ttfb_s), 50)),
    PhaseMetric("ttft_visible_p50_s", lambda s: _p(s.each(metrics.ttft_visible_s), 50)),
    PhaseMetric("ttft_scheduled_p50_s", lambda s: _p(_queued(s), 50)),
    PhaseMetric("ttft_scheduled_p99_s", lambda s: _p(_queued(s), 99)),
    PhaseMetric("ttft_p50_s", lambda s: _p(s.ttft, 50)),
    PhaseMetric("ttft_p90_s", lambda s: _p(s.ttft, 90)),
    PhaseMetric("ttft_p99_s", lambda s: _p(s.ttft, 99)),
    PhaseMetric(
        "ttft_mean_s", lambda s: math.fsum(s.ttft) / len(s.ttft) if s.ttft else None
    ),
    PhaseMetric("tpot_p50_s", lambda s: _p(s.tpot, 50)),
    PhaseMetric("tpot_p90_s", lambda s: _p(s.tpot, 90)),
    PhaseMetric("tpot_p99_s", lambda s: _p(s.tpot, 99)),
    PhaseMetric("itl_p50_s", lambda s: _p(_itl(s), 50)),
    PhaseMetric("itl_p99_s", lambda s: _p(_itl(s), 99)),
    PhaseMetric("latency_p50_s", lambda s: _p(s.each(metrics.latency_s), 50)),
    PhaseMetric("ttft_all_p50_s", lambda s: _with_failures(s.ttft, s.failed, 50)),
    PhaseMetric("ttft_all_p99_s", lambda s: _with_failures(s.ttft, s.failed, 99)),
    PhaseMetric("request_rate_per_s", lambda s: metrics.request_rate_per_s(s.results)),
    PhaseMetric("token_rate_per_s", lambda s: metrics.token_rate_per_s(s.results)),
    PhaseMetric(
        "goodput_per_s",
        lambda s: metrics.goodput_per_s(
            s.results, s.plan.ttft_slo_s, s.plan.tpot_slo_s
        ),
    ),
    PhaseMetric("output_tokens", lambda s: metrics.output_tokens(s.results)),
)
"""Every number of a phase; a new one is added here."""
