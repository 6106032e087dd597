"""The objective as it counts: gains that whole answers do not show are taken off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from ibench.errors import MetricUndefinedError
from ibench.gates.bench import Bench
from ibench.gates.seen import base_of
from ibench.metrics.credit import Credit, credit_of
from ibench.metrics.objectives import objective
from ibench.records import PhaseSummary, RequestResult

__all__ = ["Scored", "counted"]


class Scored(NamedTuple):
    """How a scenario is scored.

    Attributes:
        objective: name of its objective (``metrics.objectives``).
        tpot: what TPOT counts.
    """

    objective: str
    tpot: Literal["tokens", "words"] = "tokens"


def counted(
    run: Bench, baseline: Bench, scored: Scored | None
) -> tuple[float, tuple[str, ...]]:
    """What share of the measured objective counts (``metrics.credit``).

    The objective of what counts of TTFT and TPOT, over that of the measured numbers;
    held against the baseline beside the run, where one was up, else that of stage 1.

    Args:
        run: what is judged.
        baseline: what it is compared with.
        scored: how; None: all of it counts.

    Returns:
        The share, 1 at most, and one line for each number that counts as another.
    """
    if scored is None or run.evidence.objective is None:
        return 1.0, ()
    pairs = list(_credits(run, baseline, scored))
    lines = tuple(text for phase, c in pairs if c for text in _lines(phase, c))
    if not lines:
        return 1.0, ()
    phases = [phase if c is None else c.applied(phase) for phase, c in pairs]
    try:
        counts = objective(scored.objective, phases)
        measured = objective(scored.objective, [phase for phase, _ in pairs])
    except MetricUndefinedError:
        return 1.0, ()
    # Some numbers take no part in some objectives.
    return (counts / measured, lines) if counts < measured else (1.0, ())


def _credits(
    run: Bench, baseline: Bench, scored: Scored
) -> Iterator[tuple[PhaseSummary, Credit | None]]:
    count = _words if scored.tpot == "words" else _tokens
    for phase in run.evidence.phases:
        base = base_of(run.evidence, baseline, phase)
        if base is None:
            yield phase, None
            continue
        ours = [r for r in run.results if r.phase == phase.name]
        yield phase, credit_of(phase, ours, *base, count)


def _lines(phase: PhaseSummary, c: Credit) -> Iterator[str]:
    for name, claimed, counts in (
        ("TTFT", c.ttft_claimed_s, c.ttft_s),
        ("TPOT", c.tpot_claimed_s, c.tpot_s),
    ):
        if claimed != counts:
            yield (
                f"{phase.name}: {name} p50 of {claimed:.3g} s counts as {counts:.3g} s"
            )


def _tokens(r: RequestResult) -> int | None:
    return r.tokens


def _words(r: RequestResult) -> int | None:
    return len(r.text.split())
