"""``cell``, ``submit``, ``cancel``, ``finish`` and ``pool``: arguments to functions."""

from __future__ import annotations

import argparse
import datetime
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ibench import REPOSITORY
from ibench.cluster.cell import run_cell
from ibench.cluster.cells import cell_job
from ibench.cluster.claims import HeldError, Owner
from ibench.cluster.condor import Condor
from ibench.cluster.finish import finish
from ibench.cluster.local import Local, Pool, gpu_slots
from ibench.cluster.slurm import Slurm
from ibench.cluster.submissions import Batch, Scheduler
from ibench.cluster.submit import Submitter, cancel
from ibench.cluster.table import cluster_table
from ibench.cluster.tools import run_tool
from ibench.errors import ClusterError
from ibench.params.clusters import load_cluster, read_secrets
from ibench.serving.nvml import gpu_names
from ibench.stages.runner import StageRunner
from ibench.study.definition import Study
from ibench.study.lock import allocated_gpus
from ibench.study.progress import Line
from ibench.study.state import JobState

__all__ = ["RUN", "cluster_status"]


def _study(args: argparse.Namespace) -> Study:
    return Study(args.profile, Path(args.params), Path(args.results))


def _utc() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _say(line: str) -> None:
    sys.stderr.write(f"ibench: {line}\n")
    sys.stderr.flush()


def _scheduler_of(study: Study) -> Callable[[str], Scheduler]:
    schedulers: dict[str, Scheduler] = {
        "local": Local(study),
        "slurm": Slurm(run_tool),
        "condor": Condor(run_tool),
    }
    return schedulers.__getitem__


def _cell(args: argparse.Namespace) -> int:
    study = _study(args)
    cell = cell_job(study, args.cell)
    cluster = load_cluster(study.params, args.cluster)
    if cluster.secrets_file:
        path = study.params / "clusters" / f"{args.cluster}.yaml"
        os.environ.update(read_secrets(path, cluster.secrets_file))
    gpus = allocated_gpus()
    runner = StageRunner(
        study,
        Path(args.notebooks),
        Line(sys.stderr),
        # A study of the CPU measures the whole machine, whatever GPU came with it.
        gpus=gpus if study.host.gpu else (),
        counted=cell.jobs,
    )
    owner = Owner.this(args.job, ",".join(gpus) or None)
    return run_cell(cell, runner, owner, utc=_utc, say=_say)


def _submit(args: argparse.Namespace) -> int:
    study = _study(args)
    submitter = Submitter(
        study,
        load_cluster(study.params, args.cluster),
        args.cluster,
        _scheduler_of(study),
        Owner.this(),
        _utc,
        REPOSITORY,
        Path(args.notebooks).resolve(),
    )
    sys.stdout.write("\n".join(submitter.submit(again=args.again)) + "\n")
    return 0


def _cancel(args: argparse.Namespace) -> int:
    study = _study(args)
    lines = cancel(study, _scheduler_of(study), args.cells)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _finish(args: argparse.Namespace) -> int:
    stage = [sys.executable, "-m", "ibench", "stage", "--profile", args.profile]
    stage += ["--params", args.params, "--results", args.results]
    stage += ["--notebooks", args.notebooks]
    try:
        report = finish(_study(args), Owner.this(), _utc(), stage)
    except HeldError as error:
        _say(f"{args.profile}: the last job is {error}")
        return error.exit_code
    sys.stdout.write(f"report: {report}\n")
    return 0


def _pool(args: argparse.Namespace) -> int:
    study, folder = _study(args), Path(args.folder)
    cluster = load_cluster(study.params, args.cluster)
    cells = tuple((folder / "cells.txt").read_text().split())
    notebooks = Path(args.notebooks)
    batch = Batch(study, cluster, args.cluster, folder, cells, REPOSITORY, notebooks)
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

    gpus_each = cluster.gpus if study.host.gpu else 0
    ids = _gpu_ids() if gpus_each else []
    slots = gpu_slots(gpus_each, ids)[: cluster.max_parallel]
    pool = Pool(start, slots)
    signal.signal(signal.SIGTERM, lambda *_: pool.stop())
    codes = pool.run(cells)
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


def cluster_status(study: Study, records: dict[str, JobState]) -> list[str]:
    """Lines about cells for ``status``; none without a submission."""
    return cluster_table(study, records, _scheduler_of(study))


RUN: dict[str, Callable[[argparse.Namespace], int]] = {
    "cell": _cell,
    "submit": _submit,
    "cancel": _cancel,
    "finish": _finish,
    "pool": _pool,
}
