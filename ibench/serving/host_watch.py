"""How quick and how busy the machine is: probes, and what the kernel counted between.

A probe does fixed work for about a third of a second a kind. Its median says how quick
the cores are now; two of them around a server life say whether that changed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import psutil

from ibench.records import HostProbe, HostWatch
from ibench.serving.cores import on_cores
from ibench.serving.linux import busy_times_s, cpu_pressure_s
from ibench.serving.nvml import GpuState, gpu_states

__all__ = ["Watch", "probe"]

_REPEATS = 30
_ADDITIONS = 200_000
_COPIED_BYTES = 32 * 2**20
# Matrices this small are multiplied by the calling thread alone: a linear algebra
# library would take threads of its own, on any core, for larger ones.
_MATRICES, _SIDE = 500, 48


def probe(
    cores: tuple[int, ...] | None = None,
    gpus: Callable[[], tuple[GpuState, ...]] = gpu_states,
) -> HostProbe:
    """Do the fixed work on some cores, about a second, and ask the GPUs.

    Args:
        cores: those of servers; by default any.
        gpus: clocks, power, temperature and throttle reasons of each GPU.
    """
    source = np.zeros(_COPIED_BYTES, np.uint8)
    target = np.empty_like(source)
    squares = np.ones((_MATRICES, _SIDE, _SIDE), np.float32)
    with on_cores(cores):
        integer_s = _median_s(lambda: sum(range(_ADDITIONS)))
        copy_s = _median_s(lambda: np.copyto(target, source))
        matmul_s = _median_s(lambda: squares @ squares)
    states = gpus()
    return HostProbe(
        integer_s=integer_s,
        copy_s=copy_s,
        matmul_s=matmul_s,
        gpu_clock_mhz=min((s.clock_mhz for s in states if s.clock_mhz), default=None),
        gpu_power_w=sum(s.power_w for s in states if s.power_w) or None,
        gpu_temperature_c=max(
            (s.temperature_c for s in states if s.temperature_c), default=None
        ),
        gpu_throttle=tuple(sorted({r for s in states for r in s.throttle})),
    )


def _median_s(work: Callable[[], object]) -> float:
    work()  # caches and page tables are warm afterwards
    times = []
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


class _Seen(NamedTuple):
    """Counters at one instant, seconds."""

    at: float
    busy: float
    steal: float
    total: float
    pressure: float | None
    own: float


class Watch:
    """Looks at the machine before and after something is measured.

    Args:
        cores: those of servers, on which the probes run.
        ours: processes whose work is no disturbance: the servers.
    """

    def __init__(
        self,
        cores: tuple[int, ...] | None,
        ours: Callable[[], Iterable[int]] = tuple,
    ) -> None:
        """Probe, and read the kernel's counters."""
        self._cores, self._ours = cores, ours
        self._probe = probe(cores)
        self._seen = self._look()

    def end(self) -> HostWatch:
        """Read the counters again, and probe; call it while the servers still live."""
        a, b = self._seen, self._look()
        seconds = max(b.at - a.at, 1e-9)
        pressure = None
        if a.pressure is not None and b.pressure is not None:
            pressure = (b.pressure - a.pressure) / seconds
        return HostWatch(
            before=self._probe,
            after=probe(self._cores),
            seconds=seconds,
            steal_share=(b.steal - a.steal) / max(b.total - a.total, 1e-9),
            others_cores=max(0.0, (b.busy - a.busy) - (b.own - a.own)) / seconds,
            pressure_share=pressure,
        )

    def _look(self) -> _Seen:
        busy, steal, total = busy_times_s()
        own = sum(map(_cpu_s, {psutil.Process().pid, *self._ours()}))
        return _Seen(time.monotonic(), busy, steal, total, cpu_pressure_s(), own)


def _cpu_s(pid: int) -> float:
    """Processor time of a process and of its children that ended."""
    try:
        return float(sum(psutil.Process(pid).cpu_times()[:4]))
    except psutil.Error:
        return 0.0
