"""Stages 1 and 3: relaunch a submission under supervision and collect evidence.

One server life: launch, warm-up, load, quality questions, stop. Nothing is judged
here, so that another threshold never needs another launch.
"""

from __future__ import annotations

import itertools
import shutil
import time
from pathlib import Path

from ibench.errors import LaunchError, MetricUndefinedError
from ibench.load.scenario import Measurement, Server, ask, connect, measure_scenario
from ibench.params.engines import WORKBENCH_IMAGE
from ibench.records import (
    Evidence,
    GpuUse,
    Launch,
    LaunchOutcome,
    RequestResult,
    Submission,
    sha256_of,
)
from ibench.serving.attach import AttachedServer
from ibench.serving.fingerprint import command_lines, engines_in
from ibench.serving.gpu import GpuMeter, energy_per_token_j
from ibench.serving.launch import LAUNCHER, RunningServer, launch_anywhere
from ibench.store import tree_sha256
from ibench.study.job import OpenJob
from ibench.workloads import set_hash, write_questions, write_requests

__all__ = ["collect", "collect_running", "launched", "load_test", "relaunch"]

LAUNCHER_KEPT = 20_000


def relaunch(job: OpenJob) -> Evidence:
    """Stage 3: relaunch what stage 2 left and collect evidence."""
    submission = job.upstream["submission"].result
    if not isinstance(submission, Submission):
        raise TypeError("stage 'submission' published another kind of result")
    folder = job.upstream_folder("submission") / submission.path
    return collect(
        job,
        folder,
        submission.evaluator_changed,
        submission.image,
        made_by=job.upstream["submission"].run_id,
    )


def collect(
    job: OpenJob,
    source: Path,
    evaluator: dict[str, str],
    image: str = WORKBENCH_IMAGE,
    made_by: str | None = None,
) -> Evidence:
    """Copy a submission, hash, launch, measure and stop it.

    Args:
        job: the stage.
        source: the submission.
        evaluator: files that its session changed.
        image: of a container runtime.
        made_by: run id of its session, if it had one.

    Raises:
        DataError: the base model is not what it was.
    """
    started = time.monotonic()
    job.assets.checked_model()
    copy = neutral_copy(job, source, made_by)
    sha256 = tree_sha256(copy)
    launcher = copy / LAUNCHER
    text = launcher.read_text(errors="replace") if launcher.is_file() else ""
    workload = Workload(job)
    job.status.phase("launch", job.study.profile.measure.ready_timeout_s)
    log = job.folder / "logs" / "server.log"
    log.parent.mkdir(exist_ok=True)
    prepared = time.monotonic()
    server = launched(job, copy, log, image)
    found = _life(job, server, workload, (started, prepared))
    shutil.rmtree(copy.parent, ignore_errors=True)
    update = {
        "submission_sha256": sha256,
        "launcher": text[:LAUNCHER_KEPT],
        "evaluator_changed": evaluator,
    }
    return found.model_copy(update=update)


def launched(
    job: OpenJob, copy: Path, log: Path, image: str = WORKBENCH_IMAGE
) -> RunningServer:
    """Launch a copied submission as this profile and host do."""
    kind, house = job.sandbox(image)
    return launch_anywhere(
        copy,
        model_dir=job.assets.model_dir,
        model_id=job.study.model.model_id,
        log_path=log,
        ready_timeout_s=job.study.profile.measure.ready_timeout_s,
        sandbox_kind=kind,
        house=house,
    )


def collect_running(job: OpenJob, url: str) -> Evidence:
    """Measure a server that runs already, and leave it running."""
    started = time.monotonic()
    workload = Workload(job)
    return _life(job, AttachedServer(url), workload, (started, time.monotonic()))


def _life(
    job: OpenJob,
    server: RunningServer | AttachedServer,
    workload: Workload,
    begun: tuple[float, float],
) -> Evidence:
    """Measure one server life from ready to its end."""
    with server:
        launched = time.monotonic()
        state, seen = _measure(job, server, workload)
        measured = time.monotonic()
        left = server.stop()
    times = [*begun, launched, measured, time.monotonic()]
    spans = [after - before for before, after in itertools.pairwise(times)]
    measurement = seen.measurement
    return Evidence(
        submission_sha256=sha256_of(server.base_url),
        launcher="",
        launch=state,
        model_dir_name=job.assets.model_dir.name,
        processes=seen.processes,
        engines=seen.engines,
        dialect=seen.dialect,
        phases=measurement.phases if measurement else (),
        gpu=seen.gpu,
        energy_per_token_j=seen.energy_per_token_j,
        objective=measurement.objective if measurement else None,
        objective_detail=seen.detail,
        failure_rate=measurement.failure_rate if measurement else None,
        requests_sha256=set_hash(workload.requests),
        questions_sha256=sha256_of([q.content_hash for q in workload.questions]),
        evaluator_changed={},
        left_behind=left,
        timings_s=dict(
            zip(("prepare", "launch", "measure", "stop"), spans, strict=True)
        ),
    )


class Workload:
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
    processes: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    answers: tuple[RequestResult, ...] = ()
    dialect: str | None = None
    gpu: GpuUse | None = None
    detail: str = ""

    @property
    def energy_per_token_j(self) -> float | None:
        """Unknown without an energy reading."""
        phases = self.measurement.phases if self.measurement else ()
        try:
            return energy_per_token_j(self.gpu, sum(p.output_tokens for p in phases))
        except MetricUndefinedError:
            return None


def _measure(
    job: OpenJob, server: RunningServer | AttachedServer, workload: Workload
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
    job: OpenJob,
    server: RunningServer | AttachedServer,
    workload: Workload,
    seen: _Seen,
) -> None:
    settings = job.study.profile.measure
    # A server that was not launched here has no known processes: all GPUs count.
    meter = GpuMeter(
        pids=(lambda: set(server.pids())) if server.pids() else None, gpus=job.gpus
    )
    with meter:
        target, seen.measurement = load_test(job, server, workload, job.folder)
    seen.dialect = target.dialect.label
    seen.processes = command_lines(server.pids())
    seen.engines = engines_in(server.pids(), job.study.process_patterns)
    seen.gpu = meter.use()
    seen.detail = seen.measurement.detail
    job.status.phase("quality questions")
    seen.answers = ask(
        target,
        workload.questions,
        settings,
        concurrency=job.study.profile.questions.concurrency,
        count_tokens=job.assets.tokenizer.count_text,
    )


def load_test(
    job: OpenJob,
    server: RunningServer | AttachedServer,
    workload: Workload,
    folder: Path | None,
) -> tuple[Server, Measurement]:
    """Find out how a ready server is spoken to, and load it with the evaluation set.

    Args:
        job: the stage.
        server: it is ready.
        workload: evaluation requests and warm-up.
        folder: where arrival vectors are saved, if anywhere.
    """
    settings = job.study.profile.measure
    target = connect(
        server.base_url,
        server.launch.served_models,
        job.assets.model_dir,
        job.study.model.model_id,
        job.scenario.workload,
        settings,
    )
    return target, measure_scenario(
        target,
        job.scenario.workload,
        workload.requests,
        workload.warmup,
        settings,
        seed=job.seeds.evaluation,
        run_name=f"{job.job.run_id}:{time.monotonic_ns()}",
        count_tokens=job.assets.tokenizer.count_text,
        folder=folder,
        calibrated=True,
        progress=job.status.phase,
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
