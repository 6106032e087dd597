"""Stage 1: the reference submission, measured over several server lives.

Everything else is divided by this number, so its own noise is measured too: the first
life answers the quality questions, each further one repeats launch and load.
"""

from __future__ import annotations

from pathlib import Path

from ibench.methods.folder import write_launcher
from ibench.params.types import Value
from ibench.records import BaselineResult
from ibench.serving.engines import launcher_script
from ibench.stages.relaunch import alone, collect_evidence
from ibench.study.job import OpenJob

__all__ = ["baseline_folder", "measure_baseline"]


def measure_baseline(job: OpenJob) -> BaselineResult:
    """Measure the reference as often as the profile says.

    Raises:
        LaunchError: a repeat of a baseline that was measured could not be.
    """
    profile = job.study.profile
    source = baseline_folder(job, job.folder)
    evidence = collect_evidence(job, source)
    if evidence.objective is None:
        return BaselineResult(evidence=evidence)
    more = [
        alone(job, source, f"repeat {i}")
        for i in range(2, profile.baseline_repeats + 1)
    ]
    return BaselineResult(evidence=evidence, repeats=(evidence.objective, *more))


def baseline_folder(job: OpenJob, place: Path) -> Path:
    """Write the reference submission below a folder, and say where."""
    config: dict[str, Value | None] = dict(job.study.profile.baseline_config)
    folder = place / "submission"
    write_launcher(folder, launcher_script(job.study.baseline_engine, config))
    return folder
