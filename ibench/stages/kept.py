"""What a measured stage lays down beside its record, and where servers start from."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ibench.load.measure import Measurement
from ibench.records import RequestResult, chunk_rows, request_rows
from ibench.study.job import OpenJob
from ibench.workloads import Workload, write_questions, write_requests

__all__ = ["keep_tables", "keep_workload", "neutral_copy"]


def keep_workload(job: OpenJob, workload: Workload) -> None:
    """Write what is asked beside what comes back."""
    write_requests(job.folder / "requests.jsonl", workload.requests)
    write_questions(job.folder / "questions.jsonl", workload.questions)
    job.keep("requests.jsonl")
    job.keep("questions.jsonl")


def keep_tables(
    job: OpenJob,
    measurement: Measurement | None,
    beside: Measurement | None,
    answers: Sequence[RequestResult],
) -> None:
    """Keep every request, chunk and answer; an unmeasured run keeps empty tables.

    ``beside.parquet`` has the requests of the baseline that was up beside it.
    """
    results = measurement.results if measurement else ()
    job.save_rows("requests", request_rows(results))
    job.save_rows("chunks", chunk_rows(results))
    job.save_rows("answers", request_rows(answers))
    if beside is not None:
        job.save_rows("beside", request_rows(beside.results))
    for path in sorted(job.folder.glob("arrivals-*.json")):
        job.keep(path.name)


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
