"""What a stage notebook holds: its job, its inputs, and the way to publish."""

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
from typing import Any

import psutil

from ibench import REPOSITORY
from ibench.errors import (
    InfrastructureError,
    ParameterError,
    SandboxError,
    unknown_name,
)
from ibench.params import PaperScenario, SeedPair
from ibench.params.engines import WORKBENCH_IMAGE, Container, load_engine
from ibench.records import Closed, Provenance, Record
from ibench.serving.containers import image_name
from ibench.serving.devices import visible_gpus
from ibench.serving.gpu_choice import gpu_users
from ibench.serving.launch import House
from ibench.serving.linux import cpu_model
from ibench.serving.sandbox import SandboxKind, container_runtime, detect
from ibench.store import (
    RECORD,
    attempt_count,
    dump,
    file_ref,
    file_sha256,
    load_record,
    publish,
    write_rows,
)
from ibench.study.assets import Assets
from ibench.study.definition import NOTEBOOKS, Cell, Job, Study
from ibench.study.notebook import source_sha256
from ibench.study.progress import StatusLog

__all__ = ["OpenJob", "describe_host", "open_job"]

VERSIONED = ("ibench", "torch", "transformers", "httpx", "papermill", "pandas")


class OpenJob:
    """One stage of one cell, opened by its notebook.

    Args:
        study: the loaded profile.
        job: the stage.
    """

    def __init__(self, study: Study, job: Job) -> None:
        """Open the stage folder and start its clock."""
        self.study, self.job, self.folder = study, job, job.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.status = StatusLog(self.folder, time.monotonic)
        self.assets = Assets(study, REPOSITORY / ".cache")
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
    def scenario(self) -> PaperScenario:
        """The scenario, scaled to the profile."""
        return self.study.scenarios[self.cell.scenario]

    @property
    def seeds(self) -> SeedPair:
        """The seed pair."""
        return self.cell.seeds

    @cached_property
    def upstream(self) -> dict[str, Record]:
        """Records this stage builds on, by stage name."""
        records = [load_record(folder) for folder in self.job.needs]
        return {r.stage: r for r in records}

    def upstream_folder(self, stage: str) -> Path:
        """Folder of an upstream stage."""
        return next(f for f in self.job.needs if f.name == stage)

    def sandbox(self, image: str = WORKBENCH_IMAGE) -> tuple[SandboxKind, House]:
        """How this profile runs a submission on this host.

        Args:
            image: definition that it needs; engines that come as an image need a
                container runtime whatever the profile says.

        Raises:
            SandboxError: a runtime that does not work here.
            InfrastructureError: somebody else is on the GPU.
        """
        self._refuse_used_gpu()
        spec = self.study.profile.isolation
        kind = detect(spec.runtime)
        if kind not in ("apptainer", "podman") and self._only_as_image(image):
            found = container_runtime()
            if found is None:
                raise SandboxError(
                    f"image {image}: needs apptainer or podman; install one"
                )
            kind = found
        cache = self.assets.cache
        in_container = kind in ("apptainer", "podman")
        house = House(
            # An image holds its engine and says itself where.
            engines=None if in_container else cache / "engines",
            image=image_name(image, kind, cache / "images") if in_container else None,
            gpus=self.gpus,
            memory_mib=spec.memory_mib,
            disk_mib=spec.disk_mib,
        )
        return kind, house

    @property
    def gpus(self) -> tuple[str, ...] | None:
        """GPUs that this process was given; None where nobody chose."""
        return visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"))

    def _refuse_used_gpu(self) -> None:
        """Nothing of ours runs between two launches: who is there is a stranger."""
        if not self.study.host.gpu:
            return
        users = gpu_users(self.gpus)
        if users:
            raise InfrastructureError(
                f"GPU in use by {', '.join(users)}: wait for it, end it if it is "
                "yours, or take another GPU; nothing was measured"
            )

    def _only_as_image(self, image: str) -> bool:
        if image == WORKBENCH_IMAGE:
            return False
        engine = load_engine(self.study.params, image)
        return isinstance(engine.environment, Container)

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

    def _provenance(self) -> Provenance:
        lock = REPOSITORY / "requirements.lock"
        commit, dirty = _git()
        seeds = {"questions": self.study.profile.questions.seed}
        if self.job.cell:
            seeds |= self.seeds.model_dump()
        return Provenance(
            parameters=dict(self.job.parameters),
            git_commit=commit,
            git_dirty=dirty,
            notebook_sha256=source_sha256(
                REPOSITORY / "notebooks" / NOTEBOOKS[self.job.stage]
            ),
            lock_sha256=file_sha256(lock) if lock.exists() else None,
            inputs={
                f.relative_to(self.study.root).as_posix(): file_sha256(f / RECORD)
                for f in self.job.needs
            },
            seeds=seeds,
            versions={"python": platform.python_version()}
            | {name: version(name) for name in VERSIONED},
            host=_host(),
            started_utc=self._started_utc,
            ended_utc=_utc(),
            wall_s=time.monotonic() - self._started,
            attempt=1 + attempt_count(self.folder),
        )


def open_job(
    stage: str,
    *,
    profile: str,
    params_dir: str,
    results_dir: str,
    scenario: str | None = None,
    method: str = "baseline",
    seeds: str | None = None,
) -> OpenJob:
    """Open a stage from its notebook's parameters.

    Relative folders are the repository's: JupyterLab starts kernels in the notebook's
    folder, the stage runner in the repository.

    Raises:
        ParameterError: a name that the profile does not know.
    """
    study = Study(profile, REPOSITORY / params_dir, REPOSITORY / results_dir)
    if scenario is None:
        return OpenJob(study, study.job(stage))
    if scenario not in study.scenarios:
        raise unknown_name(study.profile_path, "scenario", scenario, study.scenarios)
    if method != "baseline":
        study.method(method)
    return OpenJob(study, study.job(f"{scenario}/{method}/{seeds}/{stage}"))


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
        "gpu": _gpu(),
    }


def _gpu() -> str:
    """Names of the GPUs through NVML; ``none`` without one."""
    import pynvml  # noqa: PLC0415

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return "none"
    count = pynvml.nvmlDeviceGetCount()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
    names = [str(pynvml.nvmlDeviceGetName(h)) for h in handles]
    pynvml.nvmlShutdown()
    return ", ".join(names)


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
