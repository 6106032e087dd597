"""Slurm: one array over a list of cells, and a last job that judges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ibench.cluster.submissions import Batch, ClusterSubmission, Queued
from ibench.cluster.tools import Tool, chunks

__all__ = ["Slurm"]

# A signal reaches every process of the step; bash has to outlive it to ask for a
# requeue. A requeued task starts again from the queue, as one on a lost node does.
_TASK = """
trap : TERM
cell=$(sed -n "${SLURM_ARRAY_TASK_ID}p" %(cells)s)
task="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
code=0
%(script)s "$cell" "$task" || code=$?
case $code in
  75|85) scontrol requeue "$task" ;;
esac
exit $code
"""
_STATES: dict[str, Queued] = {
    "PENDING": "pending",
    "REQUEUED": "pending",
    "SUSPENDED": "held",
    "REQUEUE_HOLD": "held",
    "SPECIAL_EXIT": "held",
    "RUNNING": "running",
    "CONFIGURING": "running",
    "COMPLETING": "running",
}
_ARGUMENTS = 500  # of one command line
_NAME = "ibench-"


class Slurm:
    """Cells as tasks of arrays.

    Args:
        tool: runs Slurm's commands.
    """

    def __init__(self, tool: Tool) -> None:
        """Keep the way to the commands."""
        self._tool = tool

    def submit(self, batch: Batch) -> tuple[tuple[str, ...], str | None]:
        """Hand over one array for every ``array_size`` cells, then the last job."""
        batch.logs.mkdir(parents=True, exist_ok=True)
        script, size = batch.script("cell"), batch.cluster.array_size
        parts = chunks(batch.cells, size)
        # Arrays limit themselves only; of more of them than may run, some wait.
        lanes = min(len(parts), batch.cluster.max_parallel)
        at_once = batch.cluster.max_parallel // lanes
        jobs: list[str] = []
        for number, cells in enumerate(parts, 1):
            listed = batch.write(f"cells-{number}.txt", cells)
            before = jobs[-lanes] if len(jobs) >= lanes else None
            task = batch.write(
                f"array-{number}.sh",
                [
                    "#!/bin/bash",
                    *_options(batch, "cell", f"{number}-%a", gpus=batch.cluster.gpus),
                    f"#SBATCH --array=1-{len(cells)}%{at_once}",
                    *([f"#SBATCH --dependency=afterany:{before}"] if before else []),
                    _TASK % {"cells": _quoted(listed), "script": _quoted(script)},
                ],
            )
            jobs.append(self._sbatch(task))
        finish = batch.write(
            "finish-job.sh",
            [
                "#!/bin/bash",
                *_options(batch, "finish", "finish", gpus=0),
                f"#SBATCH --dependency=afterany:{':'.join(jobs)}",
                f"exec {_quoted(batch.script('finish'))}",
            ],
        )
        return tuple(jobs), self._sbatch(finish)

    def _sbatch(self, script: Path) -> str:
        answer = self._tool(["sbatch", "--parsable", str(script)])
        return answer.strip().partition(";")[0]

    def poll(self, submission: ClusterSubmission) -> Mapping[str, Queued]:
        """Ask ``squeue``, which forgets what ended."""
        # Not by job id: squeue fails when it has forgotten one of them.
        listed = self._tool(
            ["squeue", "--noheader", "--array", "--format=%F %K %T %j", "--states=all"]
        )
        wanted = {job: i for i, job in enumerate(submission.job_ids)}
        found: dict[str, Queued] = {}
        for line in listed.splitlines():
            job, task, state, name = line.split(maxsplit=3)
            ours = job in wanted and name.startswith(_NAME)
            if ours and task.isdigit() and state in _STATES:
                at = wanted[job] * submission.array_size + int(task) - 1
                found[submission.cells[at]] = _STATES[state]
        return found

    def cancel(
        self, submission: ClusterSubmission, cells: Sequence[str] | None
    ) -> None:
        """Signal tasks that run, take away those that wait."""
        if cells is None:
            jobs = [*submission.job_ids]
            jobs += [submission.finish_id] if submission.finish_id else []
        else:
            wanted, size = set(cells), submission.array_size
            jobs = [
                f"{submission.job_ids[i // size]}_{i % size + 1}"
                for i, cell in enumerate(submission.cells)
                if cell in wanted
            ]
        for part in chunks(jobs, _ARGUMENTS):
            self._tool(["scancel", *part])


def _options(batch: Batch, name: str, log: str, *, gpus: int) -> list[str]:
    cluster = batch.cluster
    wanted = {
        "job-name": f"{_NAME}{batch.study.profile.name}-{name}",
        "output": str(batch.logs / f"{log}.log"),
        "open-mode": "append",
        "time": str(math.ceil(cluster.time_limit_s / 60)),
        "cpus-per-task": str(cluster.cpus),
        "mem": f"{cluster.memory_mib}M",
        "gres": f"gpu:{gpus}" if gpus else None,
        "partition": cluster.partition,
        "account": cluster.account,
    }
    lines = [f"#SBATCH --{k}={v}" for k, v in wanted.items() if v is not None]
    return [*lines, "#SBATCH --requeue", *(f"#SBATCH {o}" for o in cluster.options)]


def _quoted(path: Path) -> str:
    text = str(path).replace("'", "'\\''")
    return f"'{text}'"
