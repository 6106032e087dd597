"""Stage 3: relaunch a submission under supervision and collect evidence.

Server lives, each of launch, warm-up, load and stop, the first with the quality
questions; beside the baseline where the profile pairs them. Nothing is judged here, so
that another threshold never needs another launch.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ibench.errors import CorruptResultError, LaunchError
from ibench.files import tree_sha256
from ibench.load.blocks import parts_of
from ibench.load.life import OK, Life
from ibench.load.measure import Measurement, calibrations
from ibench.params import Pairing
from ibench.params.engines import WORKBENCH_IMAGE
from ibench.records import (
    BaselineResult,
    Evidence,
    LaunchOutcome,
    Paired,
    Submission,
    sha256_of,
)
from ibench.serving.attach import AttachedServer
from ibench.serving.launch import LAUNCHER, RunningServer
from ibench.stages.evidence import Lives
from ibench.stages.kept import keep_tables, keep_workload, neutral_copy
from ibench.study.draw import evaluation
from ibench.study.job import OpenJob
from ibench.study.live import cores_of, launched
from ibench.workloads import set_hash

__all__ = ["alone", "collect_evidence", "collect_running", "relaunch"]

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
    _check(folder, submission.sha256)
    evidence = collect_evidence(
        job, folder, submission.image, made_by=made.run_id, baseline=_baseline(job)
    )
    changed = {"evaluator_changed": submission.evaluator_changed}
    return evidence.model_copy(update=changed)


def _check(folder: Path, recorded: str) -> None:
    """Refuse a submission that is not what its record says.

    Raises:
        CorruptResultError: so.
    """
    found = tree_sha256(folder)
    if found != recorded:
        raise CorruptResultError(
            f"{folder}: sha256: {found[:12]}: its record says {recorded[:12]}: put it "
            f"back as it was submitted, or move {folder.parent} away and run "
            "`make reproduce`"
        )


def _baseline(job: OpenJob) -> Path | None:
    """The baseline's submission, where this stage was planned on it.

    Raises:
        CorruptResultError: it is not what stage 1 measured.
    """
    if "baseline" not in job.upstream:
        return None
    folder = job.upstream_folder("baseline") / "submission"
    result = job.upstream["baseline"].result
    if not isinstance(result, BaselineResult):
        raise TypeError("stage 'baseline' published another kind of result")
    _check(folder, result.evidence.submission_sha256)
    return folder


def collect_evidence(
    job: OpenJob,
    source: Path,
    image: str = WORKBENCH_IMAGE,
    made_by: str | None = None,
    baseline: Path | None = None,
) -> Evidence:
    """Copy a submission, hash, launch, measure and stop it, as often as is said.

    Args:
        job: the stage.
        source: the submission.
        image: of a container runtime.
        made_by: run id of its session, if it had one.
        baseline: the baseline's submission, where the profile compares with lives of
            it; without it one life of the submission is measured alone.

    Raises:
        DataError: the base model is not what it was.
    """
    started = time.monotonic()
    job.assets.checked_model()
    pairing = job.study.profile.pairing if baseline else Pairing()
    name = made_by[:12] if made_by else None
    copy = neutral_copy(job, source, name)
    launcher = copy / LAUNCHER
    text = launcher.read_text(errors="replace") if launcher.is_file() else ""
    facts = {"submission_sha256": tree_sha256(copy), "launcher": text[:LAUNCHER_KEPT]}
    logs = job.folder / "logs"
    logs.mkdir(exist_ok=True)
    lives = _opened(job, pairing)
    prepared = time.monotonic()

    def start() -> RunningServer:
        # Each life finds the folder as it was submitted, whatever the last one wrote.
        fresh = neutral_copy(job, source, name) if lives.ended else copy
        return launched(job, fresh, logs / "server.log", image)

    beside: Callable[[], RunningServer] | None = None
    if baseline and pairing.kind == "alternate":
        beside = partial(_launched_beside, job, baseline, logs / "baseline.log")
    for number in range(pairing.lives):
        _announce(job, number, pairing.lives)
        if lives.live(start, beside, ask=number == 0).outcome != OK:
            break
    for name in (copy.parent.name, _beside_name(job)):
        shutil.rmtree(copy.parent.with_name(name), ignore_errors=True)
    theirs = lives.measured(beside=True)
    found = _evidence(job, lives, facts, prepared - started, theirs)
    if baseline is None:
        return found
    after = [
        alone(job, baseline, f"baseline after {i + 1}")
        for i in range(pairing.baseline_after)
    ]
    return found.model_copy(update={"paired": _paired(lives, pairing, after, theirs)})


def collect_running(job: OpenJob, url: str) -> Evidence:
    """Measure a server that runs already, and leave it running."""
    started = time.monotonic()
    facts = {"submission_sha256": sha256_of(url), "launcher": ""}
    lives = _opened(job, Pairing())
    _announce(job, 0, 1)
    lives.live(lambda: AttachedServer(url), ask=True)
    return _evidence(job, lives, facts, time.monotonic() - started)


def _launched_beside(job: OpenJob, baseline: Path, log: Path) -> RunningServer:
    """Launch the baseline while the submission starts, each on as many cores.

    Where the client has as many cores as servers have, the baseline starts on those:
    nothing is measured yet, and two programs that load are in nobody's way.
    """
    copy = neutral_copy(job, baseline, _beside_name(job))
    cores = cores_of(job)
    is_even = cores is not None and len(cores.client) == len(cores.servers)
    return launched(job, copy, log, cores=cores.client if cores and is_even else None)


def _beside_name(job: OpenJob) -> str:
    return f"{job.job.run_id[:12]}-beside"


def _opened(job: OpenJob, pairing: Pairing) -> Lives:
    """Draw, keep and cut what is sent; see how exact the client is."""
    job.status.phase("workload")
    workload = evaluation(job)
    keep_workload(job, workload)
    settings = job.study.profile.measure
    parts = parts_of(job.scenario.workload, workload, settings, folder=job.folder)
    shares = pairing.lives if pairing.kind == "alternate" else 1
    lives = Lives(job, workload, parts, shares)
    if settings.client.calibrate:
        lives.calibrated.append(calibrations(settings, parts, "before"))
    return lives


def _announce(job: OpenJob, number: int, lives: int) -> None:
    name = "launch" if lives == 1 else f"launch {number + 1} of {lives}"
    job.status.phase(name, job.study.profile.measure.ready_timeout_s)


def _paired(
    lives: Lives,
    pairing: Pairing,
    after: Sequence[float],
    beside: Measurement | None,
) -> Paired:
    return Paired(
        kind=pairing.kind,
        lives=lives.pairs(),
        baseline_phases=beside.phases if beside else (),
        baseline_failure_rate=beside.failure_rate if beside else None,
        baseline_after=tuple(after),
    )


def _evidence(
    job: OpenJob,
    lives: Lives,
    facts: dict[str, Any],
    prepare_s: float,
    beside: Measurement | None = None,
) -> Evidence:
    """Sum up what the lives showed, from the first launch to the last stop."""
    settings = job.study.profile.measure
    if settings.client.calibrate:
        lives.calibrated.append(calibrations(settings, lives.parts, "after"))
    # The life that went wrong is the last one; else the first stands for all.
    last, first = lives.ended[-1], lives.seen[0]
    life = lives.ended[0] if last.outcome == OK else last
    measurement = lives.measured()
    keep_tables(job, measurement, beside, first.answers)
    each = zip(*(e.spans_s for e in lives.ended), strict=True)
    spans = [math.fsum(part) for part in each]
    is_whole = last.outcome == OK and measurement is not None
    return Evidence(
        **facts,
        launch=life.launch,
        model_dir_name=job.assets.model_dir.name,
        processes=first.processes,
        opened=first.opened,
        engines=first.engines,
        dialect=first.dialect,
        phases=measurement.phases if measurement else (),
        gpu=first.gpu,
        energy_per_token_j=lives.energy_per_token_j(),
        objective=measurement.objective if is_whole and measurement else None,
        objective_detail=_detail(life, measurement),
        failure_rate=measurement.failure_rate if measurement else None,
        requests_sha256=set_hash(lives.workload.requests),
        questions_sha256=set_hash(lives.workload.questions),
        evaluator_changed={},
        left_behind=tuple(p for e in lives.ended for p in e.left_behind),
        strays=sum(s.strays for s in lives.seen),
        intrusions=sum(s.intrusions for s in lives.seen),
        host=tuple(s.host for s in lives.seen if s.host is not None),
        timings_s=dict(
            zip(
                ("prepare", "launch", "measure", "stop"),
                (prepare_s, *spans),
                strict=True,
            )
        ),
    )


def _detail(life: Life, measurement: Measurement | None) -> str:
    """Why there is no objective, or why the life ended."""
    if life.outcome == OK:
        return measurement.detail if measurement else ""
    was_ready = life.launch.ready_s is not None
    return f"{life.outcome}: {life.detail}" if was_ready else life.detail


def alone(job: OpenJob, source: Path, label: str) -> float:
    """Objective of one more life of a baseline that was measured before.

    Args:
        job: the stage.
        source: the baseline's submission.
        label: of its log, and of the phase that is shown.

    Raises:
        LaunchError: this time it could not be measured.
    """
    job.status.phase(label, job.study.profile.measure.ready_timeout_s)
    settings, workload = job.study.profile.measure, evaluation(job)
    lives = Lives(job, workload, parts_of(job.scenario.workload, workload, settings))
    copy = neutral_copy(job, source, f"{job.job.run_id[:12]}-{label}")
    log = job.folder / "logs" / f"server-{label}.log".replace(" ", "-")
    life = lives.live(lambda: launched(job, copy, log), ask=False)
    shutil.rmtree(copy.parent, ignore_errors=True)
    found = lives.measured()
    if life.outcome != OK:
        raise LaunchError(life.outcome, life.detail)
    if found is None or found.objective is None:
        raise LaunchError(LaunchOutcome.DIED, found.detail if found else life.detail)
    return found.objective
