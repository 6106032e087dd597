"""Whether the judge that a score requires can be asked."""

from __future__ import annotations

from ibench.study.definition import Study
from ibench.study.doctor.check import HealthCheck
from ibench.study.judging import missing_judge

__all__ = ["judge_check"]


def judge_check(study: Study) -> HealthCheck:
    """Look for the judge's key; its address is not asked."""
    spec = study.gates.judge
    if spec is None:
        return HealthCheck("judge", "ok", "none: every verdict says judge: not run")
    missing = missing_judge(study)
    if missing is not None:
        return HealthCheck("judge", "fail", spec.key_variable, missing.remedy)
    return HealthCheck("judge", "ok", f"{spec.model} at {spec.url}")
