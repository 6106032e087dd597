"""``make doctor``: is this machine fit for a profile, and what mends it."""

from __future__ import annotations

from pathlib import Path

from ibench.study.definition import Study
from ibench.study.doctor.check import HealthCheck, doctor_parts
from ibench.study.doctor.data import data_checks
from ibench.study.doctor.gpu import gpu_checks
from ibench.study.doctor.judge import judge_check
from ibench.study.doctor.machine import machine_checks, read_machine

__all__ = ["HealthCheck", "diagnose", "doctor_parts"]


def diagnose(study: Study, cache: Path) -> list[HealthCheck]:
    """Run every check for the host and the data that a profile names.

    Nothing is changed and no network is asked. Takes seconds.
    """
    machine = read_machine(study.results, cache)
    return [
        *gpu_checks(study.host),
        *machine_checks(study.host, machine),
        *data_checks(study, cache),
        judge_check(study),
    ]
