"""What a measured stage lays down beside its record, and where servers start from."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ibench.records import RequestResult
from ibench.stages.evidence import Lives
from ibench.study.job import OpenJob
from ibench.workloads import Workload, write_questions, write_requests

__all__ = ["keep_tables", "keep_workload", "neutral_copy"]


def keep_workload(job: OpenJob, workload: Workload) -> None:
    """Write what is asked beside what comes back."""
    write_requests(job.folder / "requests.jsonl", workload.requests)
    write_questions(job.folder / "questions.jsonl", workload.questions)
    job.keep("requests.jsonl")
    job.keep("questions.jsonl")


def keep_tables(job: OpenJob, lives: Lives) -> None:
    """Keep every request, chunk and answer; an unmeasured run keeps empty tables.

    ``beside.parquet`` has the requests of the baseline that was up beside it.
    """
    measurement, beside = lives.measured(), lives.measured(beside=True)
    results = measurement.results if measurement else ()
    chunks = [
        {"phase": r.phase, "request_id": r.request_id, "i": i} | c.model_dump()
        for r in results
        for i, c in enumerate(r.chunks)
    ]
    job.save_rows("requests", _rows(results))
    job.save_rows("chunks", chunks)
    job.save_rows("answers", _rows(lives.seen[0].answers))
    if beside is not None:
        job.save_rows("beside", _rows(beside.results))
    for path in sorted(job.folder.glob("arrivals-*.json")):
        job.keep(path.name)


def _rows(results: Sequence[RequestResult]) -> list[dict[str, Any]]:
    return [r.model_dump(mode="json", exclude={"chunks"}) for r in results]


def neutral_copy(job: OpenJob, source: Path, name: str | None = None) -> Path:
    """Copy a submission to a neutral place: its path must not tell the seeds.

    What a session made lies where it was made: a launcher may name a model that the
    agent wrote beside it by its whole path.

    Args:
        job: the stage.
        source: the submission.
        name: of the place; by default the run id's head.
    """
    work = job.study.root / ".work" / (name or job.job.run_id[:12])
    shutil.rmtree(work, ignore_errors=True)
    copy = work / "workspace"
    shutil.copytree(source, copy, symlinks=True)
    return copy
