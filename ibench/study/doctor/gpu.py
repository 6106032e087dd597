"""GPUs through NVML: the right model, idle, clean, at full power and clocks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ibench.errors import DriverError
from ibench.params.hosts import Host
from ibench.serving.nvml import nvml_session, nvml_text
from ibench.study.doctor.check import Check

__all__ = ["gpu_checks"]

_GIB = 1024**3
_IDLE_BYTES = 2 * _GIB  # what a driver keeps for itself stays below
_IDLE_PERCENT = 5
# NVML's reasons for a clock below its maximum that spoil a measurement.
_SLOWED = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal limit",
    0x40: "hardware thermal limit",
    0x80: "power brake",
}


class _Gpu(NamedTuple):
    """One device and a way to read it: what it does not support is ``None``."""

    number: int
    name: str
    read: Callable[..., Any]


def gpu_checks(host: Host, nvml: Any = None) -> list[Check]:  # noqa: ANN401 (a module)
    """Check driver and GPUs against a host.

    Args:
        host: what the study is measured on.
        nvml: the ``pynvml`` module or its like; by default it is imported.
    """
    if host.gpu is None:
        return [Check("gpu", "ok", f"host {host.name} needs none")]
    try:
        with nvml_session(nvml) as opened:
            return [_driver(host, opened), *_devices(host, opened)]
    except DriverError as error:
        remedy = (
            f"run on {host.description} with driver {host.min_driver} or newer, or "
            "take a profile of another host"
        )
        return [Check("gpu", "fail", str(error), remedy)]


def _driver(host: Host, nvml: Any) -> Check:  # noqa: ANN401
    found = nvml_text(nvml.nvmlSystemGetDriverVersion())
    if _parts(found) < _parts(str(host.min_driver)):
        remedy = f"install {host.min_driver} or newer"
        return Check("gpu driver", "fail", found, remedy)
    return Check("gpu driver", "ok", found)


def _parts(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _devices(host: Host, nvml: Any) -> list[Check]:  # noqa: ANN401
    gpus = [_open(nvml, i) for i in range(nvml.nvmlDeviceGetCount())]
    fitting = [gpu for gpu in gpus if re.search(str(host.gpu), gpu.name)]
    there = ", ".join(gpu.name for gpu in gpus) or "none"
    if not fitting:
        remedy = f"host {host.name} is {host.description}: take a profile of this one"
        return [Check("gpu model", "fail", there, remedy)]
    checks = [Check("gpu model", "ok", there)]
    for gpu in fitting:
        label = f"gpu {gpu.number}"
        checks += [
            _memory(host, label, gpu, nvml),
            _idle(label, gpu, nvml),
            _power(host, label, gpu, nvml),
            _clocks(label, gpu, nvml),
            _clean(label, gpu, nvml),
            _whole(label, gpu, nvml),
            _persistence(label, gpu, nvml),
        ]
    return checks


def _open(nvml: Any, index: int) -> _Gpu:  # noqa: ANN401
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def read(call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        try:
            return call(handle, *arguments)
        except nvml.NVMLError:
            return None

    return _Gpu(index, nvml_text(nvml.nvmlDeviceGetName(handle)), read)


def _memory(host: Host, label: str, gpu: _Gpu, nvml: Any) -> Check:  # noqa: ANN401
    memory = gpu.read(nvml.nvmlDeviceGetMemoryInfo)
    if memory is None:
        return _unknown(f"{label} memory")
    found = f"{memory.total / _GIB:.1f} GiB"
    if memory.total / _GIB < host.gpu_memory_gib:
        remedy = f"host {host.name} has {host.gpu_memory_gib:g} GiB"
        return Check(f"{label} memory", "fail", found, remedy)
    return Check(f"{label} memory", "ok", found)


def _idle(label: str, gpu: _Gpu, nvml: Any) -> Check:  # noqa: ANN401
    """Someone else's work on the GPU is the worst thing that can go unnoticed."""
    name = f"{label} idle"
    processes = gpu.read(nvml.nvmlDeviceGetComputeRunningProcesses)
    if processes is None:
        return _unknown(name)
    if processes:
        users = ", ".join(_user(nvml, process) for process in processes)
        remedy = "wait for it, end it if it is yours, or take another GPU"
        return Check(name, "fail", f"in use by {users}", remedy)
    memory = gpu.read(nvml.nvmlDeviceGetMemoryInfo)
    rates = gpu.read(nvml.nvmlDeviceGetUtilizationRates)
    used = 0 if memory is None else memory.used
    busy = 0 if rates is None else rates.gpu
    if used > _IDLE_BYTES or busy > _IDLE_PERCENT:
        found = f"{used / _GIB:.1f} GiB and {busy} % in use by processes unseen here"
        return Check(name, "fail", found, "look for them on the host, with nvidia-smi")
    return Check(name, "ok", f"no process, {busy} % busy")


def _user(nvml: Any, process: Any) -> str:  # noqa: ANN401
    try:
        name = nvml_text(nvml.nvmlSystemGetProcessName(process.pid)).rsplit("/", 1)[-1]
    except nvml.NVMLError:
        name = "unknown"  # a pid of another namespace
    used = process.usedGpuMemory
    memory = f", {used / _GIB:.1f} GiB" if used else ""
    return f"pid {process.pid} ({name}{memory})"


def _power(host: Host, label: str, gpu: _Gpu, nvml: Any) -> Check:  # noqa: ANN401
    limit_mw = gpu.read(nvml.nvmlDeviceGetEnforcedPowerLimit)
    if limit_mw is None:
        return _unknown(f"{label} power limit")
    found = f"{limit_mw / 1000:.0f} W"
    if limit_mw / 1000 < host.gpu_power_limit_w:
        watts = f"{host.gpu_power_limit_w:.0f}"
        remedy = (
            f"host {host.name} has {watts} W: nvidia-smi -i {gpu.number} -pl {watts}"
        )
        return Check(f"{label} power limit", "fail", found, remedy)
    return Check(f"{label} power limit", "ok", found)


def _clocks(label: str, gpu: _Gpu, nvml: Any) -> Check:  # noqa: ANN401
    name = f"{label} clocks"
    reasons = gpu.read(nvml.nvmlDeviceGetCurrentClocksEventReasons)
    top = gpu.read(nvml.nvmlDeviceGetMaxClockInfo, nvml.NVML_CLOCK_SM)
    if reasons is None:
        return _unknown(name)
    slowed = [text for bit, text in _SLOWED.items() if reasons & bit]
    if slowed:
        remedy = "mend cooling or power, or take another machine"
        return Check(name, "fail", f"held down by {', '.join(slowed)}", remedy)
    if reasons & nvml.nvmlClocksThrottleReasonApplicationsClocksSetting:
        remedy = f"nvidia-smi -i {gpu.number} -rac gives the default back"
        return Check(name, "warn", "set by hand below the maximum", remedy)
    return Check(name, "ok", f"up to {top} MHz" if top else "not held down")


def _clean(label: str, gpu: _Gpu, nvml: Any) -> Check:  # noqa: ANN401
    name = f"{label} memory errors"
    errors = gpu.read(
        nvml.nvmlDeviceGetTotalEccErrors,
        nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
        nvml.NVML_VOLATILE_ECC,
    )
    if errors is None:
        return _unknown(name)
    if errors:
        remedy = "reset or replace the GPU: its answers may be wrong"
        return Check(
            name, "fail", f"{errors} uncorrected since the driver came", remedy
        )
    return Check(name, "ok", "none uncorrected")


def _whole(label: str, gpu: _Gpu, nvml: Any) -> Check:  # noqa: ANN401
    mode = gpu.read(nvml.nvmlDeviceGetMigMode)
    if mode is not None and mode[0]:
        remedy = f"nvidia-smi -i {gpu.number} -mig 0: a slice is another host"
        return Check(f"{label} undivided", "fail", "MIG is on", remedy)
    return Check(f"{label} undivided", "ok", "MIG is off")


def _persistence(label: str, gpu: _Gpu, nvml: Any) -> Check:  # noqa: ANN401
    mode = gpu.read(nvml.nvmlDeviceGetPersistenceMode)
    if mode is None:
        return _unknown(f"{label} persistence")
    if mode == 0:
        remedy = f"nvidia-smi -i {gpu.number} -pm 1: launches are faster and alike"
        return Check(f"{label} persistence", "warn", "off", remedy)
    return Check(f"{label} persistence", "ok", "on")


def _unknown(name: str) -> Check:
    return Check(name, "warn", "unknown: the driver does not tell", "ask nvidia-smi -q")
