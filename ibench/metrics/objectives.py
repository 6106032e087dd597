"""Scenario objectives: one entry each, larger is better (paper, section 4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from ibench.errors import MetricUndefinedError
from ibench.records import PhaseSummary

__all__ = ["OBJECTIVES", "Objective", "objective"]

Watched: TypeAlias = Literal["ttft", "decode", "rate"]
Phases: TypeAlias = Sequence[PhaseSummary]


class Objective(NamedTuple):
    """What a scenario is scored by.

    Attributes:
        formula: of the summaries of its phases, each of which completed something.
        watched: what sequential stopping follows while a phase runs.
        phases: how many the formula takes; None: any number.
    """

    formula: Callable[[Phases], float]
    watched: frozenset[Watched]
    phases: int | None = 1


def ttft(phases: Phases) -> float:
    """Prefill latency (A): ``1 / TTFT p50``, per second."""
    return 1 / _positive(phases[0], "ttft_p50_s")


def tpot(phases: Phases) -> float:
    """Decode latency (B): ``1 / TPOT p50``, tokens per second."""
    return 1 / _positive(phases[0], "tpot_p50_s")


def request_rate(phases: Phases) -> float:
    """Throughput (C): geometric mean over phases of requests per second."""
    rates = [_positive(phase, "request_rate_per_s") for phase in phases]
    return math.exp(math.fsum(map(math.log, rates)) / len(rates))


def balanced(phases: Phases) -> float:
    """Balance (D): cube root of ``(1 / TTFT p50) (1 / TPOT p50) (req/s)``."""
    return math.cbrt(ttft(phases) * tpot(phases) * request_rate(phases))


OBJECTIVES = {
    "ttft": Objective(ttft, frozenset({"ttft"})),
    "tpot": Objective(tpot, frozenset({"decode"})),
    "request_rate": Objective(request_rate, frozenset({"rate"}), phases=None),
    "balanced": Objective(balanced, frozenset({"ttft", "decode"})),
}
"""Every objective by the name that scenarios give it; a new one is added here."""


def objective(name: str, phases: Phases) -> float:
    """Compute a scenario's objective.

    Raises:
        MetricUndefinedError: no such objective, a phase completed nothing, a number is
            missing or not positive, or there are other than as many phases as needed.
    """
    kind = OBJECTIVES.get(name)
    if kind is None or not phases or kind.phases not in (None, len(phases)):
        raise MetricUndefinedError(f"objective {name} of {len(phases)} phases")
    for phase in phases:
        if phase.completed == 0:
            raise MetricUndefinedError(f"phase {phase.name}: no request completed")
    return kind.formula(phases)


def _positive(phase: PhaseSummary, name: str) -> float:
    value: float | None = getattr(phase, name)
    if value is None or value <= 0:
        raise MetricUndefinedError(f"phase {phase.name}: {name} is {value}")
    return value
