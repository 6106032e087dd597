"""Stage 1: the reference submission, measured over several server lives.

Everything else is divided by this number, so its own noise is measured too: the first
life answers the quality questions, each further one repeats launch and load.
"""

from __future__ import annotations

import shutil

from ibench.errors import LaunchError
from ibench.load.life import OK, live
from ibench.methods.folder import write_launcher
from ibench.records import BaselineResult, LaunchOutcome
from ibench.serving.engines import launcher_script
from ibench.stages.relaunch import collect, neutral_copy
from ibench.study.draw import evaluation
from ibench.study.job import OpenJob
from ibench.study.live import connected, launched, measured

__all__ = ["measure_baseline"]


def measure_baseline(job: OpenJob) -> BaselineResult:
    """Measure the reference as often as the profile says.

    Raises:
        LaunchError: a repeat of a baseline that was measured could not be.
    """
    profile = job.study.profile
    script = launcher_script(job.study.baseline_engine, dict(profile.baseline_config))
    write_launcher(job.folder / "submission", script)
    evidence = collect(job, job.folder / "submission")
    if evidence.objective is None:
        return BaselineResult(evidence=evidence)
    more = [_repeat(job, i) for i in range(2, profile.baseline_repeats + 1)]
    return BaselineResult(evidence=evidence, repeats=(evidence.objective, *more))


def _repeat(job: OpenJob, number: int) -> float:
    """Objective of one more server life."""
    workload = evaluation(job)
    copy = neutral_copy(job, job.folder / "submission")
    job.status.phase(f"repeat {number}", job.study.profile.measure.ready_timeout_s)
    log = job.folder / "logs" / f"server-{number}.log"
    found = []
    life = live(
        lambda: launched(job, copy, log),
        lambda running, _: found.append(
            measured(
                job,
                connected(job, running),
                workload,
                calibrated=True,
                progress=job.status.phase,
            )
        ),
    )
    shutil.rmtree(copy.parent, ignore_errors=True)
    if life.outcome != OK:
        raise LaunchError(life.outcome, life.detail)
    if found[0].objective is None:
        raise LaunchError(LaunchOutcome.DIED, found[0].detail)
    return found[0].objective
