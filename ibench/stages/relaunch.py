"""Stage 3: relaunch a submission under supervision and collect evidence.

One server life: launch, warm-up, load, quality questions, stop. Nothing is judged
here, so that another threshold never needs another launch.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ibench.errors import CorruptResultError, MetricUndefinedError
from ibench.files import tree_sha256
from ibench.load.life import OK, Life, Running, live
from ibench.load.scenario import Measurement
from ibench.params.engines import WORKBENCH_IMAGE
from ibench.records import (
    Evidence,
    GpuUse,
    RequestResult,
    Submission,
    sha256_of,
)
from ibench.serving.attach import AttachedServer
from ibench.serving.fingerprint import command_lines, engines_in
from ibench.serving.gpu import GpuMeter, energy_per_token_j
from ibench.serving.launch import LAUNCHER
from ibench.study.draw import evaluation
from ibench.study.job import OpenJob
from ibench.study.live import answers_of, connected, launched, measured
from ibench.workloads import Workload, set_hash, write_questions, write_requests

__all__ = ["collect", "collect_running", "neutral_copy", "relaunch"]

LAUNCHER_KEPT = 20_000


def relaunch(job: OpenJob) -> Evidence:
    """Stage 3: relaunch what stage 2 left and collect evidence.

    Raises:
        CorruptResultError: the folder is not the one that stage 2 published.
    """
    made = job.upstream["submission"]
    submission = made.result
    if not isinstance(submission, Submission):
        raise TypeError("stage 'submission' published another kind of result")
    folder = job.upstream_folder("submission") / submission.path
    found = tree_sha256(folder)
    if found != submission.sha256:
        raise CorruptResultError(
            f"{folder}: sha256: {found[:12]}: its record says "
            f"{submission.sha256[:12]}: put it back as it was submitted, or move "
            f"{folder.parent} away and run `make reproduce`"
        )
    evidence = collect(job, folder, submission.image, made_by=made.run_id)
    changed = {"evaluator_changed": submission.evaluator_changed}
    return evidence.model_copy(update=changed)


def collect(
    job: OpenJob,
    source: Path,
    image: str = WORKBENCH_IMAGE,
    made_by: str | None = None,
) -> Evidence:
    """Copy a submission, hash, launch, measure and stop it.

    Args:
        job: the stage.
        source: the submission.
        image: of a container runtime.
        made_by: run id of its session, if it had one.

    Raises:
        DataError: the base model is not what it was.
    """
    started = time.monotonic()
    job.assets.checked_model()
    copy = neutral_copy(job, source, made_by)
    launcher = copy / LAUNCHER
    text = launcher.read_text(errors="replace") if launcher.is_file() else ""
    facts = {"submission_sha256": tree_sha256(copy), "launcher": text[:LAUNCHER_KEPT]}
    log = job.folder / "logs" / "server.log"
    log.parent.mkdir(exist_ok=True)
    found = _evidence(job, lambda: launched(job, copy, log, image), facts, started)
    shutil.rmtree(copy.parent, ignore_errors=True)
    return found


def collect_running(job: OpenJob, url: str) -> Evidence:
    """Measure a server that runs already, and leave it running."""
    facts = {"submission_sha256": sha256_of(url), "launcher": ""}
    return _evidence(job, lambda: AttachedServer(url), facts, time.monotonic())


def _evidence(
    job: OpenJob,
    start: Callable[[], Running],
    facts: dict[str, Any],
    started: float,
) -> Evidence:
    """Measure one server life from its launch to its end, and keep what was seen."""
    job.status.phase("workload")
    workload = evaluation(job)
    _keep_workload(job, workload)
    job.status.phase("launch", job.study.profile.measure.ready_timeout_s)
    seen = _Seen()
    prepared = time.monotonic()
    life = live(start, lambda running, _: seen.load(job, running, workload))
    _keep_tables(job, seen)
    spans = (prepared - started, *life.spans_s)
    measurement = seen.measurement
    return Evidence(
        **facts,
        launch=life.launch,
        model_dir_name=job.assets.model_dir.name,
        processes=seen.processes,
        engines=seen.engines,
        dialect=seen.dialect,
        phases=measurement.phases if measurement else (),
        gpu=seen.gpu,
        energy_per_token_j=seen.energy_per_token_j,
        objective=measurement.objective if measurement else None,
        objective_detail=_detail(life, measurement),
        failure_rate=measurement.failure_rate if measurement else None,
        requests_sha256=set_hash(workload.requests),
        questions_sha256=set_hash(workload.questions),
        evaluator_changed={},
        left_behind=life.left_behind,
        timings_s=dict(
            zip(("prepare", "launch", "measure", "stop"), spans, strict=True)
        ),
    )


def _detail(life: Life, measurement: Measurement | None) -> str:
    """Why there is no objective, or why the life ended."""
    if life.outcome == OK:
        return measurement.detail if measurement else ""
    was_ready = life.launch.ready_s is not None
    return f"{life.outcome}: {life.detail}" if was_ready else life.detail


class _Seen:
    """What a launch allowed to be measured; a death on the way keeps the rest."""

    measurement: Measurement | None = None
    processes: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    answers: tuple[RequestResult, ...] = ()
    dialect: str | None = None
    gpu: GpuUse | None = None

    def load(
        self,
        job: OpenJob,
        running: Running,
        workload: Workload,
    ) -> None:
        """Load a ready server, then ask it the quality questions."""
        # A server that was not launched here has no known processes: all GPUs count.
        is_ours = bool(running.pids())
        pids = (lambda: set(running.pids())) if is_ours else None
        with GpuMeter(pids=pids, gpus=job.gpus) as meter:
            server = connected(job, running)
            self.measurement = measured(
                job,
                server,
                workload,
                folder=job.folder,
                calibrated=True,
                progress=job.status.phase,
            )
        self.dialect = server.dialect.label
        self.processes = command_lines(running.pids())
        self.engines = engines_in(running.pids(), job.study.process_patterns)
        self.gpu = meter.use()
        job.status.phase("quality questions")
        self.answers = answers_of(job, server, workload)

    @property
    def energy_per_token_j(self) -> float | None:
        """Joules per output token; None without an energy reading."""
        phases = self.measurement.phases if self.measurement else ()
        try:
            return energy_per_token_j(self.gpu, sum(p.output_tokens for p in phases))
        except MetricUndefinedError:
            return None


def _keep_workload(job: OpenJob, workload: Workload) -> None:
    """Write what is asked beside what comes back."""
    write_requests(job.folder / "requests.jsonl", workload.requests)
    write_questions(job.folder / "questions.jsonl", workload.questions)
    job.keep("requests.jsonl")
    job.keep("questions.jsonl")


def _keep_tables(job: OpenJob, seen: _Seen) -> None:
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


def neutral_copy(job: OpenJob, source: Path, made_by: str | None = None) -> Path:
    """Copy a submission to a neutral place: its path must not tell the seeds.

    What a session made lies where it was made: a launcher may name a model that the
    agent wrote beside it by its whole path.
    """
    work = job.study.root / ".work" / (made_by or job.job.run_id)[:12]
    shutil.rmtree(work, ignore_errors=True)
    copy = work / "workspace"
    shutil.copytree(source, copy, symlinks=True)
    return copy
