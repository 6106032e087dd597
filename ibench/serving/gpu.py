"""GPU memory and energy of a served run, read through NVML.

Without a driver or a GPU everything is unknown (``None``), never 0.

Limits: energy is that of whole GPUs, so of everything that runs on them. NVML names
processes by the pids of the host; inside a container they may not match, and the
memory is then unknown. A peak between two samples goes unseen.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, Literal, Self

from ibench.errors import DriverError, MetricUndefinedError
from ibench.records import EnergySource, GpuUse
from ibench.serving.gpu_choice import chosen_gpus
from ibench.serving.nvml import Nvml, nvml_session, nvml_text

__all__ = ["GpuMeter", "GpuUse", "energy_per_token_j"]

_MIB = 1024 * 1024
_NOT_AVAILABLE = 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE


def energy_per_token_j(use: GpuUse | None, output_tokens: int | None) -> float:
    """Energy of the GPUs per output token: ``energy_j / output_tokens``, joules.

    Idle power and prompt processing are in it.

    Raises:
        MetricUndefinedError: energy or tokens are unknown, or there are no tokens.
    """
    if use is None or use.energy_j is None:
        raise MetricUndefinedError("energy per token without an energy reading")
    if not output_tokens or output_tokens < 0:
        raise MetricUndefinedError(f"energy per token of {output_tokens} tokens")
    return use.energy_j / output_tokens


class GpuMeter:
    """Context manager that samples the GPUs from a thread of this process.

    Args:
        nvml: the ``pynvml`` module or its like; by default it is imported.
        period_s: time between samples.
        pids: gives the processes to count, such as a server's tree, whenever NVML
            lists one that was not ours before; by default all processes count.
        gpus: numbers or UUIDs of those to read; None is every one of the host.
        clock_ns: a monotonic clock, nanoseconds.
    """

    def __init__(
        self,
        nvml: Nvml | None = None,
        *,
        period_s: float = 0.1,
        pids: Callable[[], Collection[int]] | None = None,
        gpus: tuple[str, ...] | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Keep the settings; nothing is read before the ``with`` block."""
        self._nvml, self._period_s = nvml, period_s
        self._pids, self._clock_ns, self._gpus = pids, clock_ns, gpus
        self._session = ExitStack()
        self._devices: list[_Device] = []
        self._memory = _Memory()
        self._ours = set[int]()
        self._stop = threading.Event()
        self._use: GpuUse | None = None
        self._ended = False

    def __enter__(self) -> Self:
        """Take the first sample and start the thread, where there is a GPU."""
        try:
            self._nvml = self._session.enter_context(nvml_session(self._nvml))
        except DriverError:
            self._nvml = None
            return self
        self._devices = _devices(self._nvml, self._gpus)
        if self._devices:
            self._sample()
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="gpu-meter")
            self._loop: Future[None] = self._pool.submit(self._run)
        return self

    def __exit__(self, *error: object) -> None:
        """Take the last sample; an error of the thread is raised here."""
        self._ended = True
        if self._nvml is None:
            return
        with self._session:
            if self._devices:
                self._stop.set()
                self._pool.shutdown()
                self._loop.result()
                self._sample()
                self._use = self._summed()

    def use(self) -> GpuUse | None:
        """What was measured; nothing where there is no GPU or no driver.

        Raises:
            RuntimeError: the ``with`` block has not ended.
        """
        if not self._ended:
            raise RuntimeError("the use of GPUs is known after the `with` block")
        return self._use

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            self._sample()

    def _sample(self) -> None:
        found: defaultdict[int, list[int | None]] = defaultdict(list)
        listed = True
        for device in self._devices:
            device.read_energy(self._clock_ns())
            processes = device.processes()
            listed = listed and processes is not None
            for pid, used in processes or ():
                found[pid].append(used)
        self._memory.add({p: u for p, u in found.items() if self._is_ours(p)}, listed)

    def _is_ours(self, pid: int) -> bool:
        if self._pids is None or pid in self._ours:
            return True
        # Asked only now: walking a process tree costs time beside the measurement.
        # A process stays ours when its parent has ended.
        self._ours.update(self._pids())
        return pid in self._ours

    def _summed(self) -> GpuUse:
        energies = [device.energy_j() for device in self._devices]
        known = [e for e in energies if e is not None]
        sources = {source for _, source in known}
        complete = len(known) == len(energies)
        source: EnergySource = sources.pop() if len(sources) == 1 else "mixed"
        return GpuUse(
            gpus=tuple(device.name for device in self._devices),
            samples=self._memory.samples,
            peak_mib=self._memory.total_mib(),
            peak_mib_by_pid=self._memory.by_pid_mib(),
            energy_j=math.fsum(e for e, _ in known) if complete else None,
            energy_source=source if complete else None,
        )


def _devices(nvml: Nvml, names: tuple[str, ...] | None) -> list[_Device]:
    """The chosen GPUs; none when one cannot be opened, for sums would lack it."""
    try:
        return [_Device(nvml, i) for i in chosen_gpus(nvml, names)]
    except nvml.NVMLError:
        return []


class _Device:
    """Readings of one GPU; what it does not support stays unknown."""

    def __init__(self, nvml: Nvml, index: int) -> None:
        self._nvml = nvml
        self._handle = nvml.nvmlDeviceGetHandleByIndex(index)
        name = nvml.nvmlDeviceGetName(self._handle)
        self.name = nvml_text(name)
        self._counter_mj: list[int | None] = []
        self._power: list[tuple[int, int | None]] = []

    def _read(self, call: Callable[[Any], Any]) -> Any:  # noqa: ANN401 (NVML's)
        try:
            return call(self._handle)
        except self._nvml.NVMLError:
            return None

    def read_energy(self, now_ns: int) -> None:
        counter = self._read(self._nvml.nvmlDeviceGetTotalEnergyConsumption)
        self._counter_mj.append(counter)
        if counter is None:
            power_mw = self._read(self._nvml.nvmlDeviceGetPowerUsage)
            self._power.append((now_ns, power_mw))

    def processes(self) -> list[tuple[int, int | None]] | None:
        """Pid and bytes of each process; unknown when they cannot be listed."""
        listed = self._read(self._nvml.nvmlDeviceGetComputeRunningProcesses)
        if listed is None:
            return None
        return [(p.pid, _known_bytes(p.usedGpuMemory)) for p in listed]

    def energy_j(self) -> tuple[float, Literal["counter", "power"]] | None:
        first, last = self._counter_mj[0], self._counter_mj[-1]
        if first is not None and last is not None:
            # A GPU that is on uses energy: a counter that stood still or fell (run
            # shorter than its step, driver loaded anew) has measured nothing.
            return ((last - first) / 1e3, "counter") if last > first else None
        joules = _trapezoid_j(self._power)
        whole = len(self._power) == len(self._counter_mj)
        return (joules, "power") if whole and joules else None


def _known_bytes(used: int | None) -> int | None:
    # A process that NVML lists has a context: no memory is no reading.
    return None if used in (None, 0, _NOT_AVAILABLE) else used


def _trapezoid_j(power: list[tuple[int, int | None]]) -> float | None:
    """Integral over time of power samples (nanoseconds, milliwatts), joules."""
    areas = []
    for (start, before), (end, after) in pairwise(power):
        if before is None or after is None:
            return None
        areas.append((end - start) * 1e-9 * (before + after) / 2e3)
    return math.fsum(areas)


class _Memory:
    """Peaks of memory over samples, bytes; a peak with an unknown part is unknown."""

    def __init__(self) -> None:
        self.samples = 0
        self._total: int | None = 0
        self._by_pid: dict[int, int | None] = {}

    def add(self, used: dict[int, list[int | None]], listed: bool) -> None:
        self.samples += 1
        sums = {pid: _sum(parts) for pid, parts in used.items()}
        for pid, now in sums.items():
            self._by_pid[pid] = _larger(self._by_pid.get(pid, 0), now)
        total = _sum(list(sums.values())) if listed else None
        self._total = _larger(self._total, total)

    def total_mib(self) -> float | None:
        # No process was seen: not that none used memory.
        return self._total / _MIB if self._total else None

    def by_pid_mib(self) -> dict[int, float | None]:
        return {p: None if b is None else b / _MIB for p, b in self._by_pid.items()}


def _sum(parts: list[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _larger(peak: int | None, now: int | None) -> int | None:
    return None if peak is None or now is None else max(peak, now)
