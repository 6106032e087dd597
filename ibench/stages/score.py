"""One score outside a study: a launcher folder, or a server that runs already.

The same way through the house as a study's cell: relaunch, load, quality questions,
rules. What stands beside it is the baseline of this host, from the study or made here.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pydantic import Field

from ibench.errors import ParameterError, unknown_name
from ibench.records import (
    BaselineResult,
    Closed,
    Evidence,
    PhaseSummary,
    ScoreResult,
)
from ibench.serving.launch import LAUNCHER
from ibench.stages.baseline import measure_baseline
from ibench.stages.relaunch import collect_evidence, collect_running
from ibench.store import RECORD, load_record, retire
from ibench.study.definition import Cell, Job, Study
from ibench.study.job import OpenJob
from ibench.study.judging import open_case
from ibench.study.progress import STATUS
from ibench.study.state import is_done
from ibench.terminal import Table

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
    speedup_low: float | None = Field(description="of its interval, where lives tell")
    speedup_high: float | None
    unpaired: float | None = Field(description="objective over the baseline's alone")
    correct: int | None
    baseline_correct: int | None
    questions: int | None
    invalid: tuple[str, ...]
    ttft_p50_s: float | None
    tpot_p50_s: float | None
    request_rate_per_s: float | None
    timestamp_source: str | None
    record: str = Field(description="file that holds evidence and verdict")


OF_A_BASELINE = ("engine", "config", "repeats")


def score(
    study: Study, target: str, scenario: str, folder: Path, *, with_baseline: bool
) -> tuple[Score, tuple[PhaseSummary, ...]]:
    """Measure and judge one submission or server, and publish the record of it.

    Args:
        study: the profile; its first seed pair is used.
        target: a folder with ``start_server.sh``, or an address.
        scenario: one of the profile's.
        folder: where the record and its tables go; an earlier score that lies there
            is kept below ``attempts/``.
        with_baseline: measure the reference here if the study has no baseline.

    Raises:
        ParameterError: neither folder nor address, nothing answers there, the
            profile has no such scenario, or ``folder`` holds other things.
    """
    is_url = target.startswith(("http://", "https://"))
    if scenario not in study.scenarios:
        raise unknown_name(study.profile_path, "scenario", scenario, study.scenarios)
    if not is_url and not (Path(target) / LAUNCHER).is_file():
        raise ParameterError(
            target, LAUNCHER, None, "give a folder with this script, or an address"
        )
    _clear(folder)
    job = OpenJob(study, _job(study, target, scenario, folder))
    base = _baseline(study, job, make=with_baseline)
    if is_url:
        evidence = collect_running(job, target)
    else:
        beside = base[0] / "submission" if base else None
        evidence = collect_evidence(job, Path(target).resolve(), baseline=beside)
    if is_url and not evidence.phases:
        raise ParameterError("score", "target", target, evidence.objective_detail)
    case = open_case(
        study, scenario, (folder, evidence), base or (folder, _itself(evidence))
    )
    verdict = case.judge(study.gates)
    result = ScoreResult(
        target=target,
        evidence=evidence,
        baseline=base[1] if base else None,
        verdict=verdict,
    )
    job.publish(result)
    return _score(job, result), evidence.phases


def _clear(folder: Path) -> None:
    """Keep an earlier score aside; touch no folder that is not a score's."""
    is_ours = (folder / RECORD).exists() or (folder / STATUS).exists()
    if folder.is_dir() and any(folder.iterdir()) and not is_ours:
        raise ParameterError(
            "score", "--out", str(folder), "holds other files: name a new folder"
        )
    retire(folder)


def _job(study: Study, target: str, scenario: str, folder: Path) -> Job:
    """The job of a relaunch, without the submission that it would be built on."""
    seeds = study.scenarios[scenario].seed_pairs[0]
    base = study.job(f"{Cell(scenario, 'baseline', seeds).path}/baseline")
    kept = {k: v for k, v in base.spec.items() if k not in OF_A_BASELINE}
    gates = study.gates.model_dump(mode="json")
    named = {"stage": "score", "target": target, "inputs": {}, "gates": gates}
    return dataclasses.replace(
        base,
        stage="score",
        folder=folder,
        spec=kept | named,
        parameters={"profile": study.profile.name, "scenario": scenario},
        limit_s=study.profile.limits.relaunch_s,
        needs=(base.folder,) if is_done(study, base) else (),
    )


def _baseline(
    study: Study, job: OpenJob, *, make: bool
) -> tuple[Path, BaselineResult] | None:
    """The study's baseline where it holds, else one made here if wished."""
    for folder in job.job.needs:
        result = load_record(folder).result
        if isinstance(result, BaselineResult):
            return folder, result
    if not make:
        return None
    planned = study.job(
        f"{Cell(job.cell.scenario, 'baseline', job.seeds).path}/baseline"
    )
    opened = OpenJob(
        study, dataclasses.replace(planned, folder=job.folder / "baseline")
    )
    made = measure_baseline(opened)
    opened.publish(made)
    return opened.folder, made


def _itself(evidence: Evidence) -> BaselineResult:
    return BaselineResult(evidence=evidence)


def _score(job: OpenJob, made: ScoreResult) -> Score:
    evidence, verdict, quality = made.evidence, made.verdict, made.verdict.quality
    has_baseline = made.baseline is not None
    base = verdict.baseline_objective if has_baseline else None
    ok = verdict.outcome == "ok"
    found = verdict.speedup if ok and has_baseline else None
    only = evidence.phases[0] if len(evidence.phases) == 1 else None
    clients = [p.client for p in evidence.phases if p.client]
    return Score(
        target=made.target,
        profile=job.study.profile.name,
        scenario=job.cell.scenario,
        seeds=job.seeds.label,
        outcome=verdict.outcome,
        reason=verdict.reason if has_baseline or not ok else "no baseline to compare",
        objective=verdict.objective,
        baseline_objective=base,
        speedup=found.value if found else None,
        speedup_low=found.low if found else None,
        speedup_high=found.high if found else None,
        unpaired=found.unpaired if found else None,
        correct=quality.correct if quality else None,
        baseline_correct=quality.baseline_correct if quality and has_baseline else None,
        questions=quality.n if quality else None,
        invalid=verdict.invalid,
        ttft_p50_s=only.ttft_p50_s if only else None,
        tpot_p50_s=only.tpot_p50_s if only else None,
        request_rate_per_s=only.request_rate_per_s if only else None,
        timestamp_source=clients[0].timestamp_source if clients else None,
        record=str(job.folder / RECORD),
    )


def score_table(found: Score) -> Table:
    """Render a score for people."""
    speedup = "unknown: no baseline of this host; pass --baseline to measure it"
    if found.baseline_objective is None and found.outcome != "ok":
        speedup = "none"
    elif found.baseline_objective is not None:
        speedup = _speedup(found) if found.speedup else "none: 1.00x by rule"
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
    rows.append(("record", found.record))
    timing = "valid" if not found.invalid else "INVALID: " + "; ".join(found.invalid)
    rows.append(("timing", f"{timing} ({found.timestamp_source} time stamps)"))
    return Table(("number", "value"), rows, header=False)


def _speedup(found: Score) -> str:
    text = f"{found.speedup:.2f}x"
    if found.speedup_low is not None:
        text += f" ({found.speedup_low:.2f} to {found.speedup_high:.2f})"
    if found.unpaired is not None:
        text += f"; against the baseline alone {found.unpaired:.2f}x"
    return text


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
