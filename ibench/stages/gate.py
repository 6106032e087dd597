"""Stage 4: read the evidence back, judge it, touch no server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import httpx

from ibench.errors import JudgeError
from ibench.gates.judge import ask_judge
from ibench.gates.verdict import Bench, judge_run
from ibench.records import BaselineResult, Evidence, RequestResult, Verdict
from ibench.store import read_rows
from ibench.workbench import OpenJob
from ibench.workloads import read_questions

__all__ = ["gate", "read_bench"]

TRANSCRIPT_KEPT = 20_000


def gate(job: OpenJob) -> Verdict:
    """Judge one run against the baseline of its scenario, seed and host."""
    evidence = job.upstream["relaunch"].result
    base = job.upstream["baseline"].result
    if not isinstance(evidence, Evidence) or not isinstance(base, BaselineResult):
        raise TypeError("stages 'relaunch' and 'baseline' published something else")
    folder = job.upstream_folder("relaunch")
    job.status.phase("judging")
    judge, detail = _ask(job, evidence)
    return judge_run(
        read_bench(folder, evidence),
        read_bench(job.upstream_folder("baseline"), base.averaged),
        read_questions(folder / "questions.jsonl"),
        job.study.gates,
        model_id=job.study.model.model_id,
        model_dir_name=evidence.model_dir_name,
        forced_engine=job.job.spec.get("forced_engine"),
        judge=judge,
        judge_detail=detail,
    )


def read_bench(folder: Path, evidence: Evidence) -> Bench:
    """Read a measured server's tables back."""
    chunks: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in read_rows(folder / "chunks.parquet"):
        key = (row.pop("phase"), row.pop("request_id"))
        del row["i"]
        chunks.setdefault(key, []).append(row)
    rows = [
        RequestResult.model_validate(
            row | {"chunks": chunks.get((row["phase"], row["request_id"]), [])}
        )
        for row in read_rows(folder / "requests.parquet")
    ]
    answers = {
        row["request_id"]: None if row["failure"] else row["text"]
        for row in read_rows(folder / "answers.parquet")
    }
    return Bench(evidence, rows, answers)


def _ask(
    job: OpenJob, evidence: Evidence
) -> tuple[Literal["not_run", "clean", "violation"], str]:
    """Ask the judge if the profile has one; a judge that fails was not run."""
    spec = job.study.gates.judge
    if spec is None:
        return "not_run", "no judge in the profile"
    key = os.environ.get(spec.key_variable)
    if not key:
        return "not_run", f"{spec.key_variable} is not set"
    log = job.upstream_folder("relaunch") / "logs" / "server.log"
    tail = log.read_text(errors="replace")[-TRANSCRIPT_KEPT:] if log.is_file() else ""
    text = f"start_server.sh:\n{evidence.launcher}\n\nserver log:\n{tail}"
    try:
        with httpx.Client(timeout=120.0) as client:
            label = ask_judge(
                client, base_url=spec.url, model=spec.model, api_key=key, evidence=text
            )
            return label, ""
    except JudgeError as error:
        return "not_run", str(error)
