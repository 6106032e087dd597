"""A made study of many runs: real parameters, real records, invented numbers."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ibench.records import (
    BaselineResult,
    Closed,
    Evaluation,
    Evidence,
    Finding,
    Launch,
    LaunchOutcome,
    Outcome,
    PhaseSummary,
    Provenance,
    QualityVerdict,
    Record,
    Submission,
    Trial,
    Verdict,
)
from ibench.store import publish
from ibench.study.definition import Job, Study
from ibench.study.notebook import code_sha256
from ibench.study.state import inputs_of, notebook_of

__all__ = ["PROFILE", "make_study", "publish_job", "publish_records"]

PROFILE = "many"
SHA = "0" * 64
TRIALS, EVALUATIONS = 20, 8
LOG = "\n".join(
    f"INFO 12:00:{i:02d} engine: a line of a server's log" for i in range(30)
)
CONFIG: dict[str, bool | int | float | str] = {
    "max_num_seqs": 256,
    "gpu_memory_utilization": 0.9,
    "enable_prefix_caching": True,
    "attention_backend": "FLASH_ATTN",
}
KINDS: tuple[dict[str, str], ...] = (
    {"kind": "default", "engine": "vllm"},
    {"kind": "search", "engine": "vllm", "space": "vllm", "sampler": "tpe"},
    {"kind": "agent", "agent": "careful", "prompt": "default"},
)


def make_study(
    params: Path, folder: Path, *, methods: int, seed_pairs: int, control: bool = False
) -> Study:
    """Write a parameter folder with a profile of many methods and seed pairs."""
    shutil.copytree(params, folder / "params")
    profile = yaml.safe_load((params / "profiles" / "h100.yaml").read_text())
    profile |= {"name": PROFILE, "seed_pairs": seed_pairs, "gates": "cpu"}
    profile["methods"] = [
        {"name": f"m{i:02d}", **KINDS[i % len(KINDS)]} for i in range(methods)
    ]
    if control:
        profile["methods"].append({"name": "control", "kind": "control"})
    path = folder / "params" / "profiles" / f"{PROFILE}.yaml"
    path.write_text(yaml.safe_dump(profile))
    for path in (folder / "params" / "scenarios").glob("*.yaml"):
        scenario = yaml.safe_load(path.read_text())
        scenario["seed_pairs"] = [
            {"development": 10_000 + i, "evaluation": 20_000 + i}
            for i in range(seed_pairs)
        ]
        path.write_text(yaml.safe_dump(scenario))
    return Study(PROFILE, folder / "params", folder / "results")


def publish_records(study: Study) -> int:
    """Publish a record for every job but the aggregation; return how many."""
    rng = random.Random(0)  # noqa: S311
    jobs = [job for job in study.jobs.values() if job.cell]
    for job in jobs:
        publish_job(study, job, rng)
    return len(jobs)


def publish_job(
    study: Study,
    job: Job,
    rng: random.Random | None = None,
    launch: LaunchOutcome = LaunchOutcome.READY,
) -> None:
    """Publish the record of one job; ``launch`` is what a relaunch says of its own."""
    result = MAKERS[job.stage](job, study, rng or random.Random(0))  # noqa: S311
    if isinstance(result, Evidence):
        made = result.launch.model_copy(update={"outcome": launch})
        result = result.model_copy(update={"launch": made})
    publish(
        job.folder,
        Record.model_validate(
            {
                "stage": job.stage,
                "run_id": job.run_id,
                "spec": job.spec,
                "provenance": _provenance(study, job),
                "files": {},
                "result": result,
            }
        ),
    )


def _provenance(study: Study, job: Job) -> Provenance:
    notebook = notebook_of(study, job)
    return Provenance(
        parameters=dict(job.parameters),
        git_commit="0" * 40,
        git_dirty=False,
        notebook_sha256=code_sha256(notebook) if notebook else None,
        lock_sha256=SHA,
        inputs=inputs_of(study, job),
        seeds={"questions": 248, "development": 21, "evaluation": 1337},
        versions={"python": "3.11.7", "torch": "2.13.0", "pandas": "2.3.0"},
        host={"cpu": "a processor", "cores": 16, "memory_mib": 131072, "gpu": "none"},
        started_utc="2026-01-01T00:00:00+00:00",
        ended_utc="2026-01-01T00:10:00+00:00",
        wall_s=600.0,
        attempt=1,
    )


def _baseline(job: Job, study: Study, rng: random.Random) -> Closed:
    return BaselineResult(evidence=_evidence(job, study, rng))


def _evidence(job: Job, study: Study, rng: random.Random) -> Evidence:
    assert job.cell is not None  # noqa: S101 (jobs without a cell are filtered)
    phases = study.scenarios[job.cell.scenario].phases
    return Evidence(
        submission_sha256=SHA,
        launcher="#!/bin/sh\nexec engine --model $MODEL_PATH --port $PORT\n" * 8,
        launch=Launch(
            outcome=LaunchOutcome.READY,
            detail="ready",
            ready_s=rng.uniform(20, 60),
            sandbox="bwrap",
            served_models=("model",),
            log_tail=LOG,
        ),
        model_dir_name="model",
        dialect="ignore_eos",
        phases=tuple(_phase(p.name, p.arrivals, p.requests, rng) for p in phases),
        objective=rng.uniform(1, 100),
        objective_detail="",
        failure_rate=0.0,
        requests_sha256=SHA,
        questions_sha256=SHA,
        evaluator_changed={},
        left_behind=(),
        timings_s={"prepare": 1.0, "launch": 30.0, "measure": 300.0, "stop": 1.0},
    )


def _phase(name: str, arrivals: str, requests: int, rng: random.Random) -> PhaseSummary:
    values: dict[str, Any] = {
        key: {"low": 0.1, "high": 0.9} if "_range_" in key else rng.random()
        for key in PhaseSummary.model_fields
        if key.endswith(("_s", "_per_s"))
    }
    return PhaseSummary.model_validate(
        values
        | {
            "name": name,
            "arrivals": arrivals,
            "concurrency": 1,
            "arrivals_sha256": SHA,
            "requests": requests,
            "completed": requests,
            "failures": {},
            "output_tokens": 1000,
        }
    )


def _submission(job: Job, study: Study, rng: random.Random) -> Closed:
    assert job.cell is not None  # noqa: S101
    kind = study.method(job.cell.method).kind
    is_busy = kind in ("search", "agent")
    return Submission(
        method=job.cell.method,
        path="submission",
        sha256=SHA,
        outcome="finished",
        budget_s=7200.0 if is_busy else None,
        used_s=7000.0 if is_busy else 0.0,
        sandbox="bwrap",
        trials=tuple(_trial(i, rng) for i in range(TRIALS * (kind == "search"))),
        evaluations=tuple(
            _evaluation(i, rng) for i in range(EVALUATIONS * (kind == "agent"))
        ),
        best_seen=rng.uniform(1, 100) if is_busy else None,
    )


def _trial(index: int, rng: random.Random) -> Trial:
    return Trial(
        index=index,
        config=CONFIG,
        outcome="ok",
        objective=rng.uniform(1, 100),
        started_s=350.0 * index,
        launch_s=60.0,
        evaluate_s=rng.uniform(100, 280),
        teardown_s=2.0,
    )


def _evaluation(index: int, rng: random.Random) -> Evaluation:
    return Evaluation(
        t_s=800.0 * (index + 1),
        quick=index % 2 == 0,
        objective=rng.uniform(1, 100),
        accuracy=0.4,
        launcher_sha256=SHA,
        completed=128,
        requests=128,
    )


def _verdict(_: Job, __: Study, rng: random.Random) -> Closed:
    outcome = rng.choices(list(Outcome)[:4], (70, 10, 10, 10))[0]
    quality = QualityVerdict(
        n=500,
        correct=200,
        unparsed=3,
        failed=0,
        baseline_correct=201,
        ratio=0.995,
        tau=0.95,
        passed=True,
        only_baseline_correct=11,
        only_run_correct=10,
        mcnemar_p=1.0,
        difference=-0.002,
        difference_low=-0.02,
        difference_high=0.016,
    )
    rule = "0 of 128 requests off (limit 0.2), as a rule's evidence reads"
    return Verdict(
        outcome=outcome,
        reason="passed every check that was run",
        quality=quality,
        findings=tuple(
            Finding(rule=f"rule_{i}", status="passed", evidence=rule) for i in range(8)
        ),
        judge="not_run",
        required_checks=("quality", "rules"),
        not_run=("judge",),
        objective=rng.uniform(1, 100),
        baseline_objective=rng.uniform(10, 20),
    )


MAKERS: dict[str, Callable[[Job, Study, random.Random], Closed]] = {
    "baseline": _baseline,
    "submission": _submission,
    "relaunch": _evidence,
    "gating": _verdict,
}
