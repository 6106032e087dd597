"""How a stage launches, addresses and measures a server: as its profile says."""

from __future__ import annotations

import time
from pathlib import Path

from ibench.errors import InfrastructureError, SandboxError
from ibench.load.life import Running
from ibench.load.measure import Measurement
from ibench.load.scenario import Server, connect
from ibench.params.engines import WORKBENCH_IMAGE, Container, load_engine
from ibench.records import RequestResult
from ibench.serving.containers import image_name
from ibench.serving.cores import Cores, divided, on_cores
from ibench.serving.gpu_choice import gpu_users
from ibench.serving.launch import House, RunningServer, launch_anywhere
from ibench.serving.sandbox import SandboxKind, container_runtime, detect
from ibench.study.job import OpenJob
from ibench.workloads import Workload

__all__ = [
    "answers_of", "client_cores", "connected", "cores_of", "launched", "measured",
    "sandbox_of",
]  # fmt: skip


def cores_of(job: OpenJob) -> Cores | None:
    """Cores of the load client and of servers; None where there are too few."""
    spec = job.study.profile.measure.client
    return divided(spec.processes) if spec.own_cores else None


def client_cores(job: OpenJob) -> tuple[int, ...] | None:
    """Cores of the load client alone; None where nobody is bound to any."""
    cores = cores_of(job)
    return cores.client if cores else None


def launched(
    job: OpenJob,
    folder: Path,
    log: Path,
    image: str = WORKBENCH_IMAGE,
    ready_timeout_s: float | None = None,
    cores: tuple[int, ...] | None = None,
) -> RunningServer:
    """Launch a submission as this profile and host do.

    Args:
        job: the stage.
        folder: the submission; the launcher may write there.
        log: file for the launcher's output.
        image: of a container runtime.
        ready_timeout_s: seconds to the first answer; by default the profile's.
        cores: that it starts on; by default those of servers.
    """
    kind, house = sandbox_of(job, image)
    if cores is not None:
        house = house.model_copy(update={"cores": cores})
    return launch_anywhere(
        folder,
        model_dir=job.assets.model_dir,
        model_id=job.study.model.model_id,
        log_path=log,
        ready_timeout_s=ready_timeout_s or job.study.profile.measure.ready_timeout_s,
        sandbox_kind=kind,
        house=house,
    )


def connected(job: OpenJob, running: Running) -> Server:
    """Find out how a ready server is spoken to."""
    return connect(
        running.base_url,
        running.launch.served_models,
        job.assets.model_dir,
        job.study.model.model_id,
        job.scenario.workload,
        job.study.profile.measure,
    )


def measured(
    job: OpenJob,
    server: Server,
    workload: Workload,
    *,
    limit: int | None = None,
) -> Measurement:
    """Load a server with a stage's workload; arguments as of ``Server.measure``."""
    with on_cores(client_cores(job)):
        return server.measure(
            job.scenario.workload,
            workload,
            run_name=f"{job.job.run_id}:{time.monotonic_ns()}",
            count_tokens=job.assets.tokenizer.count_text,
            limit=limit,
        )


def answers_of(
    job: OpenJob, server: Server, workload: Workload
) -> tuple[RequestResult, ...]:
    """Ask a server the quality questions of a stage's workload."""
    return server.ask(
        workload.questions,
        concurrency=job.study.profile.questions.concurrency,
        count_tokens=job.assets.tokenizer.count_text,
    )


def sandbox_of(job: OpenJob, image: str = WORKBENCH_IMAGE) -> tuple[SandboxKind, House]:
    """How this profile runs a submission on this host.

    Args:
        job: the stage.
        image: definition that it needs; engines that come as an image need a
            container runtime whatever the profile says.

    Raises:
        SandboxError: a runtime that does not work here.
        InfrastructureError: somebody else is on the GPU.
    """
    _refuse_used_gpu(job)
    spec = job.study.profile.isolation
    kind = detect(spec.runtime)
    if kind not in ("apptainer", "podman") and _only_as_image(job, image):
        found = container_runtime()
        if found is None:
            raise SandboxError(f"image {image}: needs apptainer or podman; install one")
        kind = found
    cache = job.assets.cache
    in_container = kind in ("apptainer", "podman")
    cores = cores_of(job)
    house = House(
        cores=cores.servers if cores else None,
        # An image holds its engine and says itself where.
        engines=None if in_container else cache / "engines",
        image=image_name(image, kind, cache / "images") if in_container else None,
        gpus=job.gpus,
        memory_mib=spec.memory_mib,
        disk_mib=spec.disk_mib,
    )
    return kind, house


def _refuse_used_gpu(job: OpenJob) -> None:
    if job.study.host.gpu is None:
        return
    users = gpu_users(job.gpus)
    if users:
        raise InfrastructureError(
            f"GPU in use by {', '.join(users)}: wait for it, end it if it is "
            "yours, or take another GPU; nothing was measured"
        )


def _only_as_image(job: OpenJob, image: str) -> bool:
    if image == WORKBENCH_IMAGE:
        return False
    return isinstance(load_engine(job.study.params, image).environment, Container)
