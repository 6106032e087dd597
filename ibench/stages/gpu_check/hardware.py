"""What the check runs on: the device, its card's datasheet, and who else uses it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from ibench.errors import DriverError, UserError
from ibench.metrics.roofline import Card, card_of
from ibench.params.files import load_yaml
from ibench.params.hosts import Host
from ibench.records import Closed
from ibench.serving.devices import visible_gpus
from ibench.serving.nvml import nvml_session, nvml_text
from ibench.stages.gpu_check.settings import Device
from ibench.study.doctor.check import HealthCheck
from ibench.study.doctor.gpu import gpu_checks

__all__ = ["Hardware", "Machine", "cuda_machine", "find_machine", "known_host"]

_MIB = 2**20
_WITHOUT = "try the path without a GPU: make gpu-check SHAPE=tiny DEVICE=cpu"


class Hardware(Closed):
    """What stands in the record: no name of a machine and no path."""

    device: Device
    name: str
    memory_mib: int | None = Field(description="of the GPU")
    driver: str | None
    cuda: str | None = Field(description="that torch was built for")
    torch: str
    transformers: str
    cpus: int
    notes: tuple[str, ...] = Field(default=(), description="what a doctor would say")

    @property
    def folder(self) -> str:
        """Folder name of its record."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


class Machine(NamedTuple):
    """Hardware, the card's datasheet where it is known, and the GPU to launch on."""

    hardware: Hardware
    card: Card | None
    gpus: tuple[str, ...] | None


def find_machine(device: Device, params: Path) -> Machine:
    """Look at the machine.

    Raises:
        UserError: no CUDA, no driver, or somebody else uses the GPU.
    """
    if device == "cuda":
        cuda = _cuda()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return cuda_machine(None, cuda, params, visible)
    facts = {"device": device, "name": "cpu", "memory_mib": None, "driver": None}
    hardware = Hardware.model_validate(facts | {"cuda": None} | _software())
    return Machine(hardware, None, ())  # servers take a GPU wherever they see one


def cuda_machine(
    nvml: Any | None,  # noqa: ANN401 (a module)
    cuda: str,
    params: Path,
    visible: str | None,
) -> Machine:
    """Look at the first visible GPU.

    Args:
        nvml: the ``pynvml`` module or its like; by default it is imported.
        cuda: version that torch was built for.
        params: the parameter folder; its hosts know the cards.
        visible: ``CUDA_VISIBLE_DEVICES``.

    Raises:
        UserError: no driver answers, no device of that number, or it is in use.
    """
    number = _first_gpu(visible)
    facts, gpus = _read_gpu(nvml, number)
    hosts = [load_yaml(Host, p) for p in sorted((params / "hosts").glob("*.yaml"))]
    host = known_host(facts["name"], hosts)
    checks = _checks(host or _unknown_host(facts["name"]), number, nvml)
    _refuse_used(checks)
    card, why = _card(host, checks)
    notes = [f"{c.name}: {c.found}" for c in checks if c.state != "ok"]
    facts |= {"device": "cuda", "cuda": cuda, "notes": (*notes, *([why] * bool(why)))}
    hardware = Hardware.model_validate(facts | _software())
    # Where there is but one, its device file may have any number.
    return Machine(hardware, card, (str(number),) if gpus > 1 else None)


def _software() -> dict[str, object]:
    versions = {name: version(name) for name in ("torch", "transformers")}
    return {"cpus": len(os.sched_getaffinity(0)), **versions}


def known_host(name: str, hosts: Sequence[Host]) -> Host | None:
    """The kind of machine whose pattern is in a GPU's name."""
    return next((h for h in hosts if h.gpu and re.search(h.gpu, name)), None)


def _cuda() -> str:
    import torch  # noqa: PLC0415 (slow to import, and only where a GPU is asked for)

    if torch.version.cuda is None:
        raise UserError(
            f"gpu-check: --device cuda: torch {torch.__version__} is built without "
            f"CUDA: install a CUDA build of it; or {_WITHOUT}"
        )
    if not torch.cuda.is_available():
        raise UserError(
            "gpu-check: --device cuda: no CUDA GPU answers (nvidia-smi shows why): run "
            f"on a machine with one; or {_WITHOUT}"
        )
    return str(torch.version.cuda)


def _first_gpu(variable: str | None) -> int:
    names = visible_gpus(variable)
    if names is None:
        return 0
    numbers = [int(name) for name in names if name.isdecimal()]
    if not numbers:
        raise UserError(
            f"environment: CUDA_VISIBLE_DEVICES: {variable!r}: names no device by its "
            "number: write one, as nvidia-smi counts them"
        )
    return numbers[0]


def _read_gpu(
    nvml: Any | None,  # noqa: ANN401
    number: int,
) -> tuple[dict[str, Any], int]:
    """Facts of one GPU, and how many there are."""
    try:
        with nvml_session(nvml) as opened:
            return _facts(opened, number), opened.nvmlDeviceGetCount()
    except DriverError as error:
        raise UserError(f"gpu-check: GPU {number}: {error}: see nvidia-smi") from error


def _facts(nvml: Any, number: int) -> dict[str, Any]:  # noqa: ANN401
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        return {
            "name": nvml_text(nvml.nvmlDeviceGetName(handle)),
            "memory_mib": nvml.nvmlDeviceGetMemoryInfo(handle).total // _MIB,
            "driver": nvml_text(nvml.nvmlSystemGetDriverVersion()),
        }
    except nvml.NVMLError as error:
        raise UserError(
            f"gpu-check: GPU {number}: the driver does not answer ({error}): see "
            "nvidia-smi"
        ) from error


def _unknown_host(name: str) -> Host:
    """Asks for nothing, so that only the checks that need no datasheet can fail."""
    return Host(
        name="unknown",
        description=name,
        gpu=re.escape(name),
        gpu_memory_gib=0.0,
        gpu_power_limit_w=0.0,
        min_driver="0",
        cpus=1,
        memory_gib=1.0,
        disk_gib=1.0,
        dollars_per_hour=0.0,
    )


def _checks(host: Host, number: int, nvml: Any) -> list[HealthCheck]:  # noqa: ANN401
    """Checks of the driver and of one GPU: others may be in use."""
    others = re.compile(rf"gpu (?!{number} )\d+ ")
    return [c for c in gpu_checks(host, nvml) if not others.match(c.name)]


def _refuse_used(checks: Sequence[HealthCheck]) -> None:
    for check in checks:
        if check.state == "fail" and check.name.endswith(" idle"):
            raise UserError(f"{check.name}: {check.found}: {check.remedy}")


def _card(host: Host | None, checks: Sequence[HealthCheck]) -> tuple[Card | None, str]:
    """The datasheet, and why there is none.

    A PCIe card has the name of its SXM sister, and less of everything: its smaller
    power limit or memory tells.
    """
    card = None if host is None else card_of(host)
    if host is None or card is None:
        return None, "no roofline: no file of params/hosts knows this card"
    ends = (" memory", " power limit", " undivided")
    failed = [c.name for c in checks if c.state == "fail" and c.name.endswith(ends)]
    if failed:
        return None, f"no roofline: not the card of host {host.name} ({failed[0]})"
    return card, ""
