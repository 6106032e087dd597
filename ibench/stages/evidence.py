"""Stages 1 and 3: relaunch a submission under supervision and collect evidence.

One server life: launch, warm-up, load, quality questions, stop. Nothing is judged
here, so that another threshold never needs another launch.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from ibench.errors import LaunchError
from ibench.measure import Measurement, ask, connect, measure_scenario
from ibench.records import (
    BaselineResult,
    Evidence,
    Launch,
    LaunchOutcome,
    RequestResult,
    Submission,
    sha256_of,
)
from ibench.serving.engines import launcher_script
from ibench.serving.launch import LAUNCHER, RunningServer, launch
from ibench.serving.processes import free_port
from ibench.serving.sandbox import detect
from ibench.stages.folder import write_launcher
from ibench.store import tree_sha256
from ibench.workbench import OpenJob
from ibench.workloads import set_hash, write_questions, write_requests

__all__ = ["measure_baseline", "relaunch"]

LAUNCHER_KEPT = 20_000


def measure_baseline(job: OpenJob) -> BaselineResult:
    """Stage 1: the reference submission's evidence, quality answers included."""
    script = launcher_script(
        job.study.baseline_engine, dict(job.study.profile.baseline_config)
    )
    write_launcher(job.folder / "submission", script)
    return BaselineResult(evidence=_collect(job, job.folder / "submission", {}))


def relaunch(job: OpenJob) -> Evidence:
    """Stage 3: relaunch what stage 2 left and collect evidence."""
    submission = job.upstream["submission"].result
    if not isinstance(submission, Submission):
        raise TypeError("stage 'submission' published another kind of result")
    folder = job.upstream_folder("submission") / submission.path
    return _collect(job, folder, submission.evaluator_changed)


def _collect(job: OpenJob, source: Path, evaluator: dict[str, str]) -> Evidence:
    """Copy, hash, launch, measure, stop."""
    started = time.monotonic()
    copy = _copy(job, source)
    sha256 = tree_sha256(copy)
    launcher = copy / LAUNCHER
    text = launcher.read_text(errors="replace") if launcher.is_file() else ""
    workload = _Workload(job)
    job.status.phase("launch", job.study.profile.measure.ready_timeout_s)
    log = job.folder / "logs" / "server.log"
    log.parent.mkdir(exist_ok=True)
    prepared = time.monotonic()
    with launch(
        copy,
        port=free_port(),
        model_dir=job.assets.model_dir,
        model_id=job.study.model.model_id,
        log_path=log,
        ready_timeout_s=job.study.profile.measure.ready_timeout_s,
        sandbox_kind=detect(),
    ) as server:
        launched = time.monotonic()
        state, seen = _measure(job, server, workload)
        measured = time.monotonic()
        left = server.stop()
    stopped = time.monotonic()
    shutil.rmtree(copy.parent, ignore_errors=True)
    return Evidence(
        submission_sha256=sha256,
        launcher=text[:LAUNCHER_KEPT],
        launch=state,
        model_dir_name=job.assets.model_dir.name,
        dialect=seen.dialect,
        phases=seen.measurement.phases if seen.measurement else (),
        objective=seen.measurement.objective if seen.measurement else None,
        objective_detail=seen.detail,
        failure_rate=seen.measurement.failure_rate if seen.measurement else None,
        requests_sha256=set_hash(workload.requests),
        questions_sha256=sha256_of([q.content_hash for q in workload.questions]),
        evaluator_changed=evaluator,
        left_behind=left,
        timings_s={
            "prepare": prepared - started,
            "launch": launched - prepared,
            "measure": measured - launched,
            "stop": stopped - measured,
        },
    )


class _Workload:
    """Evaluation requests, warm-up and questions, written beside the evidence."""

    def __init__(self, job: OpenJob) -> None:
        scenario, seed = job.scenario.workload, job.seeds.evaluation
        warm = job.study.profile.measure.warmup_requests
        job.status.phase("workload")
        self.requests = job.assets.requests(scenario, seed, "eval")
        self.warmup = job.assets.requests(scenario, seed, "warmup", warm)
        self.questions = job.assets.questions("eval")
        write_requests(job.folder / "requests.jsonl", self.requests)
        write_questions(job.folder / "questions.jsonl", self.questions)
        job.keep("requests.jsonl")
        job.keep("questions.jsonl")


class _Seen:
    """What a launch allowed to be measured."""

    measurement: Measurement | None = None
    answers: tuple[RequestResult, ...] = ()
    dialect: str | None = None
    detail: str = ""


def _measure(
    job: OpenJob, server: RunningServer, workload: _Workload
) -> tuple[Launch, _Seen]:
    """Load and questions in one server life; a death on the way is an outcome."""
    state, seen = server.launch, _Seen()
    if state.outcome is LaunchOutcome.READY:
        try:
            _load(job, server, workload, seen)
            server.check_alive()
        except LaunchError as error:
            seen.detail = str(error)
            if error.outcome in set(LaunchOutcome):
                state = state.model_copy(
                    update={
                        "outcome": LaunchOutcome(error.outcome),
                        "detail": error.detail,
                    }
                )
    else:
        seen.detail = state.detail
    _save(job, seen)
    return state, seen


def _load(
    job: OpenJob, server: RunningServer, workload: _Workload, seen: _Seen
) -> None:
    settings = job.study.profile.measure
    target = connect(
        server.base_url,
        server.launch.served_models,
        job.assets.model_dir,
        job.scenario.workload,
        settings,
    )
    seen.dialect = target.dialect
    seen.measurement = measure_scenario(
        target,
        job.scenario.workload,
        workload.requests,
        workload.warmup,
        settings,
        seed=job.seeds.evaluation,
        count_tokens=job.assets.tokenizer.count_text,
        folder=job.folder,
        progress=job.status.phase,
    )
    seen.detail = seen.measurement.detail
    job.status.phase("quality questions")
    seen.answers = ask(
        target,
        workload.questions,
        settings,
        concurrency=job.study.profile.questions.concurrency,
        count_tokens=job.assets.tokenizer.count_text,
    )


def _save(job: OpenJob, seen: _Seen) -> None:
    """Keep every request, chunk and answer; an unmeasured run keeps empty tables."""
    results = seen.measurement.results if seen.measurement else ()
    rows = [r.model_dump(mode="json", exclude={"chunks"}) for r in results]
    chunks = [
        {"phase": r.phase, "request_id": r.request_id, "i": i} | c.model_dump()
        for r in results
        for i, c in enumerate(r.chunks)
    ]
    job.save_rows("requests", rows)
    job.save_rows("chunks", chunks)
    job.save_rows(
        "answers", [a.model_dump(mode="json", exclude={"chunks"}) for a in seen.answers]
    )
    for path in sorted(job.folder.glob("arrivals-*.json")):
        job.keep(path.name)


def _copy(job: OpenJob, source: Path) -> Path:
    """Copy a submission to a neutral place: its path must not tell the seeds."""
    work = job.study.root / ".work" / job.job.run_id[:12]
    shutil.rmtree(work, ignore_errors=True)
    copy = work / "server"
    shutil.copytree(source, copy, symlinks=True)
    return copy
