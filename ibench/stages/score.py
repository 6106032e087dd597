"""One score outside a study: a launcher folder, or a server that runs already.

The same way through the house as a study's cell: relaunch, load, quality questions,
rules. What stands beside it is the baseline of this host, from the study or made here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from ibench.errors import ParameterError, unknown_name
from ibench.gates.bench import Bench, read_bench
from ibench.gates.verdict import judge_run
from ibench.params import SeedPair
from ibench.records import (
    BaselineResult,
    Closed,
    Evidence,
    PhaseSummary,
    Verdict,
)
from ibench.serving.launch import LAUNCHER
from ibench.stages.baseline import measure_baseline
from ibench.stages.relaunch import collect, collect_running
from ibench.store import load_record, run_id_on_disk
from ibench.study.definition import Cell, Job, Study
from ibench.study.job import OpenJob
from ibench.terminal import Table
from ibench.workloads import read_questions

__all__ = ["Score", "score", "score_table"]


class Score(Closed):
    """What the score command prints as one JSON line."""

    target: str
    profile: str
    scenario: str
    seeds: str
    outcome: str = Field(description="ok, quality, integrity, unreachable, incomplete")
    reason: str
    objective: float | None = Field(description="scenario objective, larger is better")
    baseline_objective: float | None
    speedup: float | None = Field(description="of an ok run over the baseline")
    correct: int | None
    baseline_correct: int | None
    questions: int | None
    invalid: tuple[str, ...]
    ttft_p50_s: float | None
    tpot_p50_s: float | None
    request_rate_per_s: float | None
    timestamp_source: str | None


def score(
    study: Study, target: str, scenario: str, folder: Path, *, with_baseline: bool
) -> tuple[Score, tuple[PhaseSummary, ...]]:
    """Measure and judge one submission or server.

    Args:
        study: the profile; its first seed pair is used.
        target: a folder with ``start_server.sh``, or an address.
        scenario: one of the profile's.
        folder: where evidence is kept.
        with_baseline: measure the reference here if the study has no baseline.

    Raises:
        ParameterError: neither folder nor address, nothing answers there, or the
            profile has no such scenario.
    """
    is_url = target.startswith(("http://", "https://"))
    if scenario not in study.scenarios:
        raise unknown_name(study.profile_path, "scenario", scenario, study.scenarios)
    if not is_url and not (Path(target) / LAUNCHER).is_file():
        raise ParameterError(
            target, LAUNCHER, None, "give a folder with this script, or an address"
        )
    seeds = study.scenarios[scenario].seed_pairs[0]
    job = OpenJob(study, _job(study, scenario, seeds, "score", folder))
    evidence = (
        collect_running(job, target)
        if is_url
        else collect(job, Path(target).resolve(), {})
    )
    if is_url and not evidence.phases:
        raise ParameterError("score", "target", target, evidence.objective_detail)
    run = read_bench(folder, evidence)
    base = _baseline(study, scenario, seeds, folder, make=with_baseline)
    verdict = judge_run(
        run,
        base or run,
        read_questions(folder / "questions.jsonl"),
        study.gates,
        model_id=study.model.model_id,
        model_dir_name=evidence.model_dir_name,
    )
    found = _score(study, target, scenario, seeds, evidence, verdict, base is not None)
    return found, evidence.phases


def _job(study: Study, scenario: str, seeds: SeedPair, stage: str, folder: Path) -> Job:
    spec: dict[str, Any] = {"stage": stage, "scenario": scenario, "seeds": seeds.label}
    return Job(
        stage=stage,
        folder=folder,
        spec=spec,
        parameters={},
        needs=(),
        limit_s=study.profile.limits.relaunch_s,
        exclusive=True,
        cell=Cell(scenario, stage, seeds),
    )


def _baseline(
    study: Study, scenario: str, seeds: SeedPair, folder: Path, *, make: bool
) -> Bench | None:
    """The study's baseline where it is up to date, else one made here if wished."""
    job = study.job(f"{Cell(scenario, 'baseline', seeds).path}/baseline")
    if run_id_on_disk(job.folder) == job.run_id:
        result = load_record(job.folder).result
        if isinstance(result, BaselineResult):
            return read_bench(job.folder, result.averaged)
    if not make:
        return None
    place = folder / "baseline"
    made = measure_baseline(
        OpenJob(study, _job(study, scenario, seeds, "baseline", place))
    )
    return read_bench(place, made.averaged)


def _score(
    study: Study,
    target: str,
    scenario: str,
    seeds: SeedPair,
    evidence: Evidence,
    verdict: Verdict,
    has_baseline: bool,
) -> Score:
    quality = verdict.quality
    base = verdict.baseline_objective if has_baseline else None
    ok = verdict.outcome == "ok"
    ratio = verdict.objective / base if ok and base and verdict.objective else None
    only = evidence.phases[0] if len(evidence.phases) == 1 else None
    clients = [p.client for p in evidence.phases if p.client]
    return Score(
        target=target,
        profile=study.profile.name,
        scenario=scenario,
        seeds=seeds.label,
        outcome=verdict.outcome,
        reason=verdict.reason if has_baseline or not ok else "no baseline to compare",
        objective=verdict.objective,
        baseline_objective=base,
        speedup=ratio,
        correct=quality.correct if quality else None,
        baseline_correct=quality.baseline_correct if quality and has_baseline else None,
        questions=quality.n if quality else None,
        invalid=verdict.invalid,
        ttft_p50_s=only.ttft_p50_s if only else None,
        tpot_p50_s=only.tpot_p50_s if only else None,
        request_rate_per_s=only.request_rate_per_s if only else None,
        timestamp_source=clients[0].timestamp_source if clients else None,
    )


def score_table(found: Score) -> Table:
    """Render a score for people."""
    speedup = "unknown: no baseline of this host; pass --baseline to measure it"
    if found.baseline_objective is None and found.outcome != "ok":
        speedup = "none"
    elif found.baseline_objective is not None:
        speedup = f"{found.speedup:.2f}x" if found.speedup else "none: 1.00x by rule"
    rows = [
        ("target", found.target),
        ("scenario", f"{found.scenario} of {found.profile}, seeds {found.seeds}"),
        ("outcome", f"{found.outcome}: {found.reason}"),
        ("objective", _number(found.objective)),
        ("baseline", _number(found.baseline_objective)),
        ("speedup", speedup),
    ]
    if found.questions is not None:
        beside = (
            ""
            if found.baseline_correct is None
            else (f", baseline {found.baseline_correct}")
        )
        rows.append(("quality", f"{found.correct} of {found.questions} right{beside}"))
    timing = "valid" if not found.invalid else "INVALID: " + "; ".join(found.invalid)
    rows.append(("timing", f"{timing} ({found.timestamp_source} time stamps)"))
    return Table(("number", "value"), rows, header=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
