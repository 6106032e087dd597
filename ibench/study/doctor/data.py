"""What a profile needs on the disk, so that stages never ask a network."""

from __future__ import annotations

import json
from pathlib import Path

from ibench.errors import UserError
from ibench.study.definition import Study
from ibench.study.doctor.check import HealthCheck
from ibench.workloads.hub.lock import locked_place
from ibench.workloads.hub.sources import sources_of

__all__ = ["data_checks"]


def data_checks(study: Study, cache: Path) -> list[HealthCheck]:
    """Look for every source by the lock, without reading it, and for the sets."""
    name = study.profile.name
    checks = []
    for source in sources_of(study.profile, study.model):
        label = source.repository.split("/")[-1]
        try:
            folder = locked_place(source, cache, study.params, name)
        except UserError as error:
            found, _, remedy = str(error).rpartition(": ")
            checks.append(HealthCheck(label, "fail", found, remedy))
        else:
            checks.append(HealthCheck(label, "ok", f"complete in {folder}"))
    if study.model.kind == "embedded":
        there = any((cache / "models").glob("*/config.json"))
        found = "trained" if there else "trained on first use, two minutes"
        checks.append(HealthCheck("embedded model", "ok", found))
    index = cache / "workloads" / f"{name}.json"
    if index.is_file():
        sets = len(json.loads(index.read_bytes()))
        checks.append(
            HealthCheck("request sets", "ok", f"{sets} made by the last `make data`")
        )
    else:
        remedy = f"run `make data PROFILE={name}`; else each is made on first use"
        checks.append(HealthCheck("request sets", "warn", "not made yet", remedy))
    return checks
