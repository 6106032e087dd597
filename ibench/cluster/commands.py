"""Commands of a grid on machines: status, submit, cancel, cell, finish, pool."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer import Argument, Option

from ibench import REPOSITORY
from ibench.cluster.cell import run_cell
from ibench.cluster.cells import cell_job
from ibench.cluster.claims import HeldError, Owner
from ibench.cluster.condor import Condor
from ibench.cluster.finish import finish as finish_grid
from ibench.cluster.local import Local, Pool, gpu_slots
from ibench.cluster.slurm import Slurm
from ibench.cluster.submissions import Batch, Scheduler
from ibench.cluster.submit import Submitter
from ibench.cluster.submit import cancel as cancel_cells
from ibench.cluster.table import cluster_table
from ibench.cluster.tools import run_tool
from ibench.errors import ClusterError
from ibench.methods.agents.watch import sessions, status_lines
from ibench.params.clusters import load_cluster, read_secrets
from ibench.params.options import NOTEBOOKS
from ibench.serving.nvml import gpu_names
from ibench.stages.runner import StageRunner
from ibench.study.command import with_study
from ibench.study.definition import Study
from ibench.study.grid import Grid
from ibench.study.lock import allocated_gpus
from ibench.study.make import status_table
from ibench.study.progress import Line
from ibench.study.state import JobState, job_states
from ibench.terminal import Part, say, show

__all__ = ["cancel", "cell", "cluster_status", "finish", "pool", "status", "submit"]

CLUSTER = Option("local", help="A file of clusters/.")


def _utc() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _scheduler_of(study: Study) -> Callable[[str], Scheduler]:
    schedulers: dict[str, Scheduler] = {
        "local": Local(study),
        "slurm": Slurm(run_tool),
        "condor": Condor(run_tool),
    }
    return schedulers.__getitem__


@with_study()
def status(study: Grid[Any]) -> int:
    """List stages, cells and agent sessions with their states."""
    states = job_states(study)
    parts: list[Part] = [status_table(study, states)]
    if isinstance(study, Study):
        parts += cluster_status(study, states)
        parts += status_lines(sessions(study))
    done = sum(state == "done" for state in states.values())
    show(*parts, f"{done} of {len(states)} stages done")
    return 0


@with_study()
def cell(
    study: Study,
    cell: str = Argument(help="Such as a/careful/21-1337."),
    notebooks: Path = NOTEBOOKS,
    cluster: str = CLUSTER,
    job: str | None = Option(None, help="The scheduler's id of this job."),
) -> int:
    """Run what is missing of one cell."""
    wanted = cell_job(study, cell)
    secrets_file = load_cluster(study.params, cluster).secrets_file
    if secrets_file:
        path = study.params / "clusters" / f"{cluster}.yaml"
        os.environ.update(read_secrets(path, secrets_file))
    gpus = allocated_gpus()
    runner = StageRunner(
        study,
        notebooks,
        Line(sys.stderr),
        # A study of the CPU measures the whole machine, whatever GPU came with it.
        gpus=gpus if study.host.gpu else (),
        counted=wanted.jobs,
    )
    owner = Owner.this(job, ",".join(gpus) or None)
    return run_cell(
        wanted, runner, owner, utc=_utc, say=lambda line: say(f"ibench: {line}")
    )


@with_study()
def submit(
    study: Study,
    notebooks: Path = NOTEBOOKS,
    cluster: str = CLUSTER,
    again: bool = Option(False, "--again", help="Also cells that failed too often."),
) -> int:
    """Give the missing cells to a scheduler."""
    from ibench.study.judging import require_judge  # noqa: PLC0415 (scipy)

    require_judge(study)
    submitter = Submitter(
        study,
        load_cluster(study.params, cluster),
        cluster,
        _scheduler_of(study),
        Owner.this(),
        _utc,
        REPOSITORY,
        notebooks.resolve(),
    )
    show(*submitter.submit(again=again))
    return 0


@with_study()
def cancel(
    study: Study,
    cells: list[str] | None = Argument(None, help="Cells; none means everything."),
) -> int:
    """Take cells back from their scheduler."""
    show(*cancel_cells(study, _scheduler_of(study), cells or []))
    return 0


@with_study()
def finish(study: Study, notebooks: Path = NOTEBOOKS) -> int:
    """Judge, aggregate and report what a cluster measured."""
    stage = [sys.executable, "-m", "ibench", "stage"]
    stage += ["--profile", study.profile.name, "--params", str(study.params)]
    stage += ["--results", str(study.results), "--notebooks", str(notebooks)]
    try:
        show(f"report: {finish_grid(study, Owner.this(), _utc(), stage)}")
    except HeldError as error:
        say(f"ibench: {study.profile.name}: the last job is {error}")
        return error.exit_code
    return 0


@with_study()
def pool(
    study: Study,
    folder: Path = Argument(help="Folder of the submission."),
    notebooks: Path = NOTEBOOKS,
    cluster: str = CLUSTER,
) -> int:
    """Run the cells of a submission on this machine."""
    wanted = load_cluster(study.params, cluster)
    cells = tuple((folder / "cells.txt").read_text().split())
    batch = Batch(study, wanted, cluster, folder, cells, REPOSITORY, notebooks)
    script, job = batch.script("cell"), f"pool-{os.getpid()}"

    def start(cell: str, slot: str) -> subprocess.Popen[bytes]:
        gpus = {"CUDA_VISIBLE_DEVICES": slot} if slot else {}
        log = batch.logs / f"{cell.replace('/', '+')}.log"
        with log.open("ab") as stream:
            return subprocess.Popen(
                [str(script), cell, job],
                env=os.environ | gpus,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    gpus_each = wanted.gpus if study.host.gpu else 0
    ids = _gpu_ids() if gpus_each else []
    slots = gpu_slots(gpus_each, ids)[: wanted.max_parallel]
    running = Pool(start, slots)
    signal.signal(signal.SIGTERM, lambda *_: running.stop())
    codes = running.run(cells)
    if len(codes) < len(cells):
        return 1
    return subprocess.call([str(batch.script("finish"))])


def _gpu_ids() -> list[str]:
    """GPUs of this machine, or those of them that the caller may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [g for g in given.split(",") if g]
    there = [str(i) for i, _ in enumerate(gpu_names())]
    if not there:
        raise ClusterError("no GPU on this machine: no NVIDIA driver answers")
    return there


def cluster_status(study: Study, records: dict[str, JobState]) -> list[Part]:
    """Lines about cells for ``status``; none without a submission."""
    return cluster_table(study, records, _scheduler_of(study))
