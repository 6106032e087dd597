"""What a stage notebook of any benchmark holds: its job, inputs, way to publish."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

import psutil

from ibench import REPOSITORY
from ibench.errors import CorruptResultError, ParameterError
from ibench.files import file_sha256
from ibench.params import SeedPair
from ibench.records import Closed, Provenance, Record
from ibench.serving.devices import visible_gpus
from ibench.serving.linux import cpu_model
from ibench.serving.nvml import gpu_names
from ibench.store import attempt_count, dump, file_ref, load_record, publish, write_rows
from ibench.study.benchmark import open_grid
from ibench.study.grid import Cell, Grid, Job
from ibench.study.notebook import code_sha256
from ibench.study.progress import StatusLog
from ibench.study.state import inputs_of, notebook_of

__all__ = ["OpenStage", "describe_host", "open_stage", "stage_name"]

VERSIONED = ("ibench", "torch", "transformers", "httpx", "papermill", "pandas")
GridT = TypeVar("GridT", bound=Grid[Any])


class OpenStage(Generic[GridT]):
    """One stage of any benchmark, opened by its notebook.

    Args:
        study: the loaded profile.
        job: the stage.
    """

    def __init__(self, study: GridT, job: Job) -> None:
        """Open the stage folder and start its clock."""
        self.study, self.job, self.folder = study, job, job.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.status = StatusLog(self.folder, time.monotonic)
        self._started = time.monotonic()
        self._started_utc = _utc()
        self._files: list[Path] = []
        self._then: list[Callable[[], None]] = []

    @property
    def cell(self) -> Cell:
        """The grid point; aggregation has none."""
        if self.job.cell is None:
            raise ParameterError(self.job.name, "cell", None, "this stage has no cell")
        return self.job.cell

    @property
    def seeds(self) -> SeedPair:
        """The seed pair."""
        return self.cell.seeds

    @cached_property
    def upstream(self) -> dict[str, Record]:
        """Records this stage builds on, by stage name.

        Raises:
            CorruptResultError: one is missing, edited, or of other parameters than
                those that this stage was planned with.
        """
        records = {r.stage: r for r in map(load_record, self.job.needs)}
        for stage, run_id in self.job.spec.get("inputs", {}).items():
            if stage in records and records[stage].run_id != run_id:
                raise CorruptResultError(
                    f"{self.upstream_folder(stage)}: run id: "
                    f"{records[stage].run_id[:12]}: {self.job.name} is planned on "
                    f"{run_id[:12]}: run `make reproduce`, which makes it anew"
                )
        return records

    def upstream_folder(self, stage: str) -> Path:
        """Folder of an upstream stage."""
        return next(f for f in self.job.needs if f.name == stage)

    @property
    def gpus(self) -> tuple[str, ...] | None:
        """GPUs that this process was given; None where nobody chose."""
        return visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"))

    def save_rows(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Write a Parquet table that the record will vouch for."""
        write_rows(self.folder / f"{name}.parquet", rows)
        self.keep(f"{name}.parquet")

    def save(self, name: str, records: tuple[Closed, ...]) -> None:
        """Write records as a Parquet table."""
        self.save_rows(name, dump(records))

    def keep(self, name: str) -> None:
        """Let the record vouch for a file of the stage folder."""
        self._files.append(self.folder / name)

    def once_published(self, step: Callable[[], None]) -> None:
        """Put off what must not happen before the record is there."""
        self._then.append(step)

    def publish(self, result: Any) -> Record:  # noqa: ANN401 (the union is Record's)
        """Write the record: last, atomically; afterwards the stage is finished."""
        self.status.phase("publishing")
        record = Record(
            stage=self.job.stage,
            run_id=self.job.run_id,
            spec=self.job.spec,
            provenance=self._provenance(),
            files={
                p.relative_to(self.folder).as_posix(): file_ref(p, self.folder)
                for p in self._files
            },
            result=result,
        )
        publish(self.folder, record)
        for step in self._then:
            step()
        return record

    def drawn_seeds(self) -> dict[str, int]:
        """Seeds that the record names, by their use."""
        return self.seeds.model_dump() if self.job.cell else {}

    def _provenance(self) -> Provenance:
        lock = REPOSITORY / "requirements.lock"
        notebook = notebook_of(self.study, self.job)
        commit, dirty = _git()
        return Provenance(
            parameters=dict(self.job.parameters),
            git_commit=commit,
            git_dirty=dirty,
            notebook_sha256=code_sha256(notebook) if notebook else None,
            lock_sha256=file_sha256(lock) if lock.exists() else None,
            inputs=inputs_of(self.study, self.job),
            seeds=self.drawn_seeds(),
            versions={"python": platform.python_version()}
            | {name: version(name) for name in VERSIONED},
            host=_host(),
            started_utc=self._started_utc,
            ended_utc=_utc(),
            wall_s=time.monotonic() - self._started,
            attempt=1 + attempt_count(self.folder),
        )


def stage_name(stage: str, scenario: str | None, method: str, seeds: str | None) -> str:
    """Name of a job by its notebook's parameters; without a scenario, the final one."""
    return stage if scenario is None else f"{scenario}/{method}/{seeds}/{stage}"


def open_stage(
    stage: str,
    *,
    profile: str,
    params_dir: str,
    results_dir: str,
    scenario: str | None = None,
    method: str = "baseline",
    seeds: str | None = None,
) -> OpenStage[Grid[Any]]:
    """Open a stage of any benchmark from its notebook's parameters.

    Raises:
        ParameterError: a name that the profile does not know.
    """
    grid = open_grid(profile, REPOSITORY / params_dir, REPOSITORY / results_dir)
    return OpenStage(grid, grid.job(stage_name(stage, scenario, method, seeds)))


def _utc() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def describe_host() -> str:
    """Name this machine for people: its GPUs as they call themselves, cores, memory."""
    host = _host()
    gpus = "no GPU" if host["gpu"] == "none" else str(host["gpu"])
    memory_gib = int(host["memory_mib"]) // 1024
    return f"{gpus}, {host['cores']} CPU cores, {memory_gib} GiB of memory"


def _host() -> dict[str, str | int]:
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": psutil.virtual_memory().total // 2**20,
        "kernel": platform.release(),
        "gpu": ", ".join(gpu_names()) or "none",
    }


def _git() -> tuple[str | None, bool | None]:
    def ask(*arguments: str) -> str | None:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else None

    changes = ask("status", "--porcelain")
    return ask("rev-parse", "HEAD"), None if changes is None else bool(changes)
