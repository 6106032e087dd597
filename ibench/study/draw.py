"""What a stage draws: submissions on development seeds, scores on evaluation seeds.

A test holds that only the stages ``baseline`` and ``relaunch`` call ``evaluation``,
and that nothing else reads the evaluation seed of a pair.
"""

from __future__ import annotations

from ibench.params import SeedUse
from ibench.study.job import OpenJob
from ibench.workloads import Workload

__all__ = ["development", "evaluation"]


def development(job: OpenJob) -> Workload:
    """Draw what a submission may be made with."""
    return _drawn(job, "dev")


def evaluation(job: OpenJob) -> Workload:
    """Draw what a submission is scored with; no agent and no search sees it."""
    return _drawn(job, "eval")


def _drawn(job: OpenJob, use: SeedUse) -> Workload:
    scenario, seed = job.scenario.workload, job.seeds.seed(use)
    warm = job.study.profile.measure.warmup_requests
    return Workload(
        seed,
        job.assets.requests(scenario, seed, use),
        job.assets.requests(scenario, seed, "warmup", warm),
        job.assets.questions(use),
    )
