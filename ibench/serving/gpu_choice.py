"""The GPUs that a run was given among those of the host, and who else is on them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ibench.errors import DriverError
from ibench.serving.nvml import nvml_session, nvml_text

__all__ = ["chosen_gpus", "gpu_users"]

RELEASE_S, LOOK_S = 15.0, 0.5
_GIB = 2**30


def chosen_gpus(nvml: Any, names: tuple[str, ...] | None) -> list[int]:  # noqa: ANN401
    """Numbers of the GPUs that a run may use, as NVML counts them.

    Args:
        nvml: opened.
        names: numbers or UUIDs (also the beginning of one); None is every GPU. Names
            that NVML knows nothing of mean every GPU that it shows: a scheduler that
            locks the others away counts anew.
    """
    everyone = list(range(nvml.nvmlDeviceGetCount()))
    if names is None:
        return everyone
    uuids = {i: _uuid(nvml, i) for i in everyone}
    found = [
        i
        for i in everyone
        if str(i) in names or any(n and uuids[i].startswith(n) for n in names)
    ]
    return found if len(found) == len(names) else everyone if names else []


def _uuid(nvml: Any, index: int) -> str:  # noqa: ANN401
    try:
        found = nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(index))
    except nvml.NVMLError:
        return ""
    return nvml_text(found)


def gpu_users(
    names: tuple[str, ...] | None,
    nvml: Any | None = None,  # noqa: ANN401
    wait_s: float = RELEASE_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Processes on the chosen GPUs, a text each; empty where nothing is known.

    A server that was just stopped takes some seconds to let go of its memory.

    Args:
        names: of the GPUs, see ``chosen_gpus``.
        nvml: the ``pynvml`` module or its like; by default it is imported.
        wait_s: for them to end.
        clock: monotonic seconds.
        sleep: waits.
    """
    try:
        with nvml_session(nvml) as opened:
            end_s = clock() + wait_s
            while (users := _users(opened, names)) and clock() < end_s:
                sleep(LOOK_S)
            return users
    except DriverError:
        return []


def _users(nvml: Any, names: tuple[str, ...] | None) -> list[str]:  # noqa: ANN401
    found = []
    for index in chosen_gpus(nvml, names):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        except nvml.NVMLError:
            continue
        for process in processes:
            used = process.usedGpuMemory
            memory = f", {used / _GIB:.1f} GiB" if used else ""
            found.append(f"pid {process.pid} on GPU {index}{memory}")
    return found
