"""What every rule looks at, and how it says what it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from ibench.gates.bench import Bench
from ibench.metrics.roofline import Roof
from ibench.params import Gates
from ibench.records import Evidence, Finding, PhaseSummary, RequestResult

__all__ = ["Results", "RunSeen", "answered", "base_of", "finding", "share"]

Results: TypeAlias = Sequence[RequestResult]


class RunSeen(NamedTuple):
    """What every rule looks at, and nothing else.

    Attributes:
        evidence: of the run.
        results: every measured speed request.
        gates: limits of the rules.
        model_id: hub id of the base model.
        model_dir_name: name of the folder its files were given in.
        forced_engine: the only engine that may serve, if the prompt named one.
        baseline: what the run is compared with; None for a baseline by itself.
        roof: card and shape of the model, where both are known.
    """

    evidence: Evidence
    results: Results
    gates: Gates
    model_id: str
    model_dir_name: str
    forced_engine: str | None = None
    baseline: Bench | None = None
    roof: Roof | None = None

    def of(self, phase: PhaseSummary) -> list[RequestResult]:
        """Requests of a phase."""
        return [r for r in self.results if r.phase == phase.name]

    def base(self, phase: PhaseSummary) -> tuple[PhaseSummary, Results] | None:
        """The baseline's phase of the same name with its requests."""
        if self.baseline is None:
            return None
        return base_of(self.evidence, self.baseline, phase)


def base_of(
    evidence: Evidence, baseline: Bench, phase: PhaseSummary
) -> tuple[PhaseSummary, Results] | None:
    """The baseline's numbers of a phase, and its requests of stage 1.

    The numbers are those of the baseline that was up beside the run, where one was.
    """
    beside = evidence.paired.baseline_phases if evidence.paired else ()
    for other in (*beside, *baseline.evidence.phases):
        if other.name == phase.name:
            own = [r for r in baseline.results if r.phase == phase.name]
            return other, own
    return None


def answered(results: Results) -> list[RequestResult]:
    """Requests with text; a short one belongs here, it is what a rule looks for."""
    return [r for r in results if r.text and r.first_token_ns is not None]


def finding(rule: str, passed: bool | None, evidence: str) -> Finding:
    """What a rule found; ``passed`` None: not applicable, for the reason given."""
    status: Literal["passed", "failed", "not_applicable"] = "not_applicable"
    if passed is not None:
        status = "passed" if passed else "failed"
    return Finding(rule=rule, status=status, evidence=evidence)


def share(rule: str, what: str, found: list[str], n: int, limit: float) -> Finding:
    """Fail a rule that more than a share of the requests broke."""
    example = f", such as {found[0]}" if found else ""
    text = f"{len(found)} of {n} requests {what} (limit {limit:.0%}){example}"
    return finding(rule, len(found) <= limit * n, text)
