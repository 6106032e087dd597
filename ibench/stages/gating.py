"""Stage 4: read the evidence back, judge it, touch no server."""

from __future__ import annotations

import os
from typing import Literal

import httpx

from ibench.errors import JudgeError
from ibench.gates.judge import Ruling, ask_judge
from ibench.records import BaselineResult, Evidence, Verdict
from ibench.study.job import OpenJob
from ibench.study.judging import open_case

__all__ = ["gate"]

TRANSCRIPT_KEPT = 20_000


def gate(job: OpenJob) -> Verdict:
    """Judge one run against the baseline of its scenario, seed and host."""
    evidence = job.upstream["relaunch"].result
    base = job.upstream["baseline"].result
    if not isinstance(evidence, Evidence) or not isinstance(base, BaselineResult):
        raise TypeError("stages 'relaunch' and 'baseline' published something else")
    job.status.phase("judging")
    case = open_case(
        job.study,
        job.cell.scenario,
        (job.upstream_folder("relaunch"), evidence),
        (job.upstream_folder("baseline"), base),
        job.job.spec.get("forced_engine"),
    )
    label, detail = _ask(job, evidence)
    return case.judge(job.study.gates, label, detail)


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
            ruling = ask_judge(
                client,
                base_url=spec.url,
                model=spec.model,
                api_key=key,
                evidence=text,
                instructions=Ruling.instructions,
                schema=Ruling,
            )
            return ruling.label, ruling.reason
    except JudgeError as error:
        return "not_run", str(error)
