"""One verdict out of the evidence: checks in the order of their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ibench.gates.bench import Bench
from ibench.gates.compare import host_faults, scaled, speedup_of
from ibench.gates.counted import Scored, counted
from ibench.gates.integrity import RunSeen, judge_rules
from ibench.gates.quality import quality_verdict
from ibench.metrics.roofline import Roof
from ibench.params import Gates
from ibench.records import (
    Evidence,
    Finding,
    LaunchOutcome,
    LifeSpread,
    Outcome,
    QualityVerdict,
    Question,
    RequestResult,
    Speedup,
    Verdict,
)

__all__ = ["judge_run"]

CHECKS = ("quality", "rules", "judge")


def judge_run(
    run: Bench,
    baseline: Bench,
    questions: Sequence[Question],
    gates: Gates,
    *,
    model_id: str,
    model_dir_name: str,
    forced_engine: str | None = None,
    baseline_lives: Sequence[float] = (),
    host: LifeSpread | None = None,
    scored: Scored | None = None,
    roof: Roof | None = None,
    judge: Literal["not_run", "clean", "violation"] = "not_run",
    judge_detail: str = "",
) -> Verdict:
    """Judge a run; pure, so that a new threshold needs no server.

    A run is ``unreachable`` if its server was not reached or failed too many requests,
    ``integrity`` if a rule or the judge found a violation, ``quality`` if it lost the
    baseline's accuracy, else ``ok``. Instead of ``ok`` or ``quality`` it is
    ``incomplete`` if a required check was not run, the timing of a run that needs it
    is invalid, or the baseline itself breaks a rule or fails requests.
    """
    findings = judge_rules(
        RunSeen(
            run.evidence,
            run.results,
            gates,
            model_id,
            model_dir_name,
            forced_engine,
            baseline,
            roof,
        )
    )
    quality = _quality(run, baseline, questions, gates)
    not_run = _not_run(quality, findings, judge)
    outcome, reason = _label(run, findings, quality, judge, gates)
    invalid = _invalid(run, baseline, gates)
    speedup = speedup_of(run.evidence, baseline_lives, host)
    if outcome in (Outcome.OK, Outcome.QUALITY):
        fault = _baseline_fault(run, baseline, gates, model_id, roof)
        if fault is not None:
            outcome, reason = Outcome.INCOMPLETE, f"the baseline {fault}"
    if outcome is Outcome.OK:
        why = _without_score(run.evidence, speedup, not_run, invalid, gates)
        if why is not None:
            outcome, reason = Outcome.INCOMPLETE, why
    share, credited = counted(run, baseline, scored)
    if outcome is Outcome.OK and credited:
        reason = f"{reason}; {'; '.join(credited)}"
    measured = run.evidence.objective
    return Verdict(
        outcome=outcome,
        reason=reason,
        quality=quality,
        findings=findings,
        judge=judge,
        judge_detail=judge_detail,
        required_checks=gates.required_checks,
        not_run=not_run,
        invalid=invalid,
        credited=credited,
        objective=None if measured is None else share * measured,
        baseline_objective=baseline.evidence.objective,
        speedup=None if speedup is None else scaled(speedup, share),
    )


def _without_score(
    evidence: Evidence,
    speedup: Speedup | None,
    not_run: Sequence[str],
    invalid: Sequence[str],
    gates: Gates,
) -> str | None:
    """Why a run that did nothing wrong has no score, if it has none."""
    if evidence.paired and speedup is None:
        details = "; ".join(x.detail for x in evidence.paired.lives if x.detail)
        why = details or "a life gave no number"
        return f"not compared with the baseline: {why}"
    missing = [c for c in gates.required_checks if c in not_run]
    if missing:
        return f"required and not run: {', '.join(missing)}"
    if invalid and "timing" in gates.required_checks:
        return f"timing is invalid: {invalid[0]}"
    return None


def _baseline_fault(
    run: Bench, baseline: Bench, gates: Gates, model_id: str, roof: Roof | None
) -> str | None:
    """What is wrong with what everything is divided by, if anything is."""
    evidence, paired = baseline.evidence, run.evidence.paired
    name = evidence.model_dir_name
    seen = RunSeen(evidence, baseline.results, gates, model_id, name, roof=roof)
    broken = [f for f in judge_rules(seen) if f.status == "failed"]
    if broken:
        return "breaks a rule: " + "; ".join(f"{f.rule}: {f.evidence}" for f in broken)
    if evidence.launch.outcome is not LaunchOutcome.READY:
        return f"did not run: {evidence.launch.outcome}: {evidence.launch.detail}"
    rate = evidence.failure_rate
    if _fails(evidence, gates):
        share = "an unknown share" if rate is None else f"{rate:.0%}"
        return f"fails {share} of its requests ({_kinds(baseline.results)})"
    beside = paired.baseline_failure_rate if paired else None
    if beside is not None and beside > gates.max_failure_rate:
        return f"beside the run fails {beside:.0%} of its requests"
    return None


def _quality(
    run: Bench, baseline: Bench, questions: Sequence[Question], gates: Gates
) -> QualityVerdict | None:
    """None where no question was asked: unknown, not failed."""
    if not run.answers or not baseline.answers:
        return None
    gold = {q.question_id: (q.gold, q.options) for q in questions}
    return quality_verdict(run.answers, baseline.answers, gold, gates.tau)


def _invalid(run: Bench, baseline: Bench, gates: Gates) -> tuple[str, ...]:
    """Why the measurement of either side is not exact enough, if it is not."""
    hosts = tuple(f"run: {why}" for why in host_faults(run.evidence, gates))
    return hosts + tuple(
        f"{side}, phase {phase.name}: {why}"
        for side, bench in (("run", run), ("baseline", baseline))
        for phase in bench.evidence.phases
        for why in phase.invalid
    )


def _not_run(
    quality: QualityVerdict | None, findings: Sequence[Finding], judge: str
) -> tuple[str, ...]:
    state = {
        "quality": quality is not None,
        "rules": any(f.status != "not_applicable" for f in findings),
        "judge": judge != "not_run",
    }
    return tuple(check for check in CHECKS if not state[check])


def _label(
    run: Bench,
    findings: Sequence[Finding],
    quality: QualityVerdict | None,
    judge: str,
    gates: Gates,
) -> tuple[Outcome, str]:
    """First matching label, with its reason in one line."""
    evidence, launch = run.evidence, run.evidence.launch
    broken = [f for f in findings if f.status == "failed"]
    if broken:
        text = "; ".join(f"{f.rule}: {f.evidence}" for f in broken)
        return Outcome.INTEGRITY, text
    if judge == "violation":
        return Outcome.INTEGRITY, "the judge found a violation"
    if launch.outcome is not LaunchOutcome.READY:
        return Outcome.UNREACHABLE, f"{launch.outcome}: {launch.detail}"
    rate = evidence.failure_rate
    if _fails(evidence, gates):
        share = "unknown" if rate is None else f"{rate:.0%}"
        detail = f"; {evidence.objective_detail}" if evidence.objective_detail else ""
        return (
            Outcome.UNREACHABLE,
            f"{share} of the requests failed ({_kinds(run.results)}){detail}",
        )
    if quality is not None and not quality.passed:
        return (
            Outcome.QUALITY,
            f"{quality.correct}/{quality.n} correct, baseline "
            f"{quality.baseline_correct}: below {quality.tau:.2f} of it",
        )
    return Outcome.OK, "passed every check that was run"


def _fails(evidence: Evidence, gates: Gates) -> bool:
    """Whether a server has no objective, or failed more requests than it may."""
    rate = evidence.failure_rate
    return rate is None or evidence.objective is None or rate > gates.max_failure_rate


def _kinds(results: Sequence[RequestResult]) -> str:
    counts: dict[str, int] = {}
    for result in results:
        if result.failure is not None:
            counts[str(result.failure)] = counts.get(str(result.failure), 0) + 1
    return ", ".join(f"{k} {n}" for k, n in sorted(counts.items())) or "none sent"
