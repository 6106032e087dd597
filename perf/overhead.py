"""What a stage costs beside the server or the budget it exists for."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ibench import REPOSITORY
from ibench.errors import CorruptResultError
from ibench.records import BaselineResult, Evidence, Record, Submission
from ibench.store import RECORD, load_record
from ibench.study.definition import INFERENCE, Job, Study
from perf.table import Row

__all__ = ["NOTES", "overhead_rows"]

AIM_S = 15.0
NOTES = (
    "wall: from the runner's start of its child to the last save of the executed",
    "notebook (file times of request.json and executed.ipynb), plus the start of",
    "`ibench stage`, measured now. It includes imports, the kernel and its",
    "saves; the kernel's shutdown after the last save is not in it.",
    "purpose: seconds of the server (launch, load, questions, stop) in baseline and",
    "relaunch; of the search or agent session in submission; none in the others.",
    f"own: wall minus purpose; the aim is below {AIM_S:g} s a stage.",
)
SERVER = ("launch", "measure", "stop")


class _Cost(NamedTuple):
    wall_s: float
    purpose_s: float

    @property
    def own_s(self) -> float:
        return self.wall_s - self.purpose_s


def overhead_rows(study: Study, params: Path, results: Path) -> list[Row]:
    """One row a kind of stage that has finished results; none without results."""
    found = [(job, record) for job in study.jobs.values() if (record := _record(job))]
    if not found:
        return []
    start_s = _runner_start_s(study, found[0][0], params, results)
    rows = []
    for stage in INFERENCE.notebooks:
        costs = [
            _Cost(start_s + _child_s(job), _purpose_s(record))
            for job, record in found
            if job.stage == stage
        ]
        if costs:
            rows.append(_row(stage, costs))
    return rows


def _record(job: Job) -> Record | None:
    """The job's present result; what is outdated or broken is not measured."""
    if not all((job.folder / n).is_file() for n in (RECORD, "executed.ipynb")):
        return None
    try:
        record = load_record(job.folder)
    except CorruptResultError:
        return None
    return record if record.run_id == job.run_id else None


def _row(stage: str, costs: list[_Cost]) -> Row:
    def middle(value: Callable[[_Cost], float]) -> float:
        return statistics.median(map(value, costs))

    worst = max(c.own_s for c in costs)
    return {
        "stage": stage,
        "results": len(costs),
        "wall p50 s": middle(lambda c: c.wall_s),
        "purpose p50 s": middle(lambda c: c.purpose_s),
        "own p50 s": middle(lambda c: c.own_s),
        "own max s": worst,
        "own p50 share": middle(lambda c: c.own_s / c.wall_s),
        "aim": "met" if worst < AIM_S else "missed",
    }


def _child_s(job: Job) -> float:
    ended = (job.folder / "executed.ipynb").stat().st_mtime
    return ended - (job.folder / "request.json").stat().st_mtime


def _purpose_s(record: Record) -> float:
    result = record.result
    if isinstance(result, BaselineResult):
        result = result.evidence
    if isinstance(result, Evidence):
        return sum(result.timings_s[name] for name in SERVER)
    return result.used_s if isinstance(result, Submission) else 0.0


def _runner_start_s(study: Study, job: Job, params: Path, results: Path) -> float:
    """Time the command on a finished job: it starts, looks and returns."""
    command = [sys.executable, "-m", "ibench", "stage", job.name]
    command += ["--profile", study.profile.name]
    command += ["--params", str(params), "--results", str(results)]
    command += ["--notebooks", str(REPOSITORY / "notebooks")]
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started
