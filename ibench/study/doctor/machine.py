"""Processor, memory, disk, clocks, limits and namespaces of this machine."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psutil

from ibench.params.hosts import Host
from ibench.serving.processes import free_port
from ibench.serving.sandbox import detect
from ibench.study.doctor.check import HealthCheck, State

__all__ = ["MachineReadings", "machine_checks", "read_machine"]

_GIB = 1024**3
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_FAST_CLOCKS = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv")
_SHM = "/dev/shm"  # noqa: S108 (its size is looked at)
_LOAD_SHARE = 0.25
_OPEN_FILES = 4096  # 64 streams, a server, a kernel, and room
_STREAMS_FILES = 1024


class MachineReadings(NamedTuple):
    """Readings of a machine; what cannot be read is ``None``."""

    cpus: int
    load_1min: float
    available_bytes: int
    free_bytes: int
    cached_bytes: int
    shm_bytes: int | None
    open_files: int
    governor: str | None
    clocksource: str | None
    clock_step_ns: int
    is_synchronised: bool | None
    port: int | None
    sandbox: str
    results: Path
    is_writable: bool


def read_machine(results: Path, cache: Path) -> MachineReadings:
    """Read everything once; changes nothing."""
    folder = _existing(results)
    shm = Path(_SHM)
    cpu = Path("/sys/devices/system")
    try:
        port: int | None = free_port()
    except OSError:
        port = None
    hub = cache / "hub"
    return MachineReadings(
        cpus=len(os.sched_getaffinity(0)),
        load_1min=os.getloadavg()[0],
        available_bytes=_available(),
        free_bytes=shutil.disk_usage(folder).free,
        cached_bytes=sum(p.stat().st_size for p in hub.rglob("*") if p.is_file()),
        shm_bytes=shutil.disk_usage(shm).total if shm.is_dir() else None,
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        governor=_line(cpu / "cpu/cpu0/cpufreq/scaling_governor"),
        clocksource=_line(cpu / "clocksource/clocksource0/current_clocksource"),
        clock_step_ns=_clock_step_ns(),
        is_synchronised=_is_synchronised(),
        port=port,
        sandbox=detect(),
        results=results,
        is_writable=os.access(folder, os.W_OK),
    )


def machine_checks(host: Host, machine: MachineReadings) -> list[HealthCheck]:
    """Hold readings against what a host should have."""
    return [
        _cpus(host, machine),
        _load(machine),
        _governor(machine),
        _memory(host, machine),
        _shm(host, machine),
        _disk(host, machine),
        _open_files(machine),
        _port(machine),
        _namespaces(machine),
        _monotonic(machine),
        _wall_clock(machine),
    ]


def _cpus(host: Host, machine: MachineReadings) -> HealthCheck:
    found = f"{machine.cpus} cores"
    if machine.cpus < host.cpus:
        remedy = f"host {host.name} has {host.cpus}: give this process more"
        return HealthCheck("processor", "warn", found, remedy)
    return HealthCheck("processor", "ok", found)


def _load(machine: MachineReadings) -> HealthCheck:
    found = f"{machine.load_1min:.2f} over the last minute"
    if machine.load_1min > _LOAD_SHARE * machine.cpus:
        remedy = "find what runs (top) and wait: latencies are measured on these cores"
        return HealthCheck("load", "warn", found, remedy)
    return HealthCheck("load", "ok", found)


def _governor(machine: MachineReadings) -> HealthCheck:
    governor = machine.governor
    if governor in (None, "performance"):
        return HealthCheck("frequency governor", "ok", governor or "none to set")
    remedy = "cpupower frequency-set -g performance"
    return HealthCheck("frequency governor", "warn", str(governor), remedy)


def _memory(host: Host, machine: MachineReadings) -> HealthCheck:
    available = machine.available_bytes / _GIB
    found = f"{available:.1f} GiB available"
    if available < host.memory_gib:
        remedy = f"host {host.name} needs {host.memory_gib:g} GiB: end other work"
        return HealthCheck("memory", "fail", found, remedy)
    return HealthCheck("memory", "ok", found)


def _shm(host: Host, machine: MachineReadings) -> HealthCheck:
    if machine.shm_bytes is None:
        return HealthCheck(_SHM, "warn", "absent", "mount a tmpfs there")
    found = f"{machine.shm_bytes / _GIB:.2f} GiB"
    if host.gpu is not None and machine.shm_bytes < _GIB:
        remedy = "engines pass tensors there: start the container with --shm-size 8g"
        return HealthCheck(_SHM, "warn", found, remedy)
    return HealthCheck(_SHM, "ok", found)


def _disk(host: Host, machine: MachineReadings) -> HealthCheck:
    free, held = machine.free_bytes / _GIB, machine.cached_bytes / _GIB
    found = f"{free:.1f} GiB free at {machine.results}, {held:.1f} fetched"
    if not machine.is_writable:
        return HealthCheck(
            "disk", "fail", f"{machine.results}: not writable", "mend its owner"
        )
    if free + held < host.disk_gib:
        remedy = f"model, engines and results take {host.disk_gib:g} GiB: make room"
        return HealthCheck("disk", "fail", found, remedy)
    return HealthCheck("disk", "ok", found)


def _open_files(machine: MachineReadings) -> HealthCheck:
    found = f"{machine.open_files} at most"
    if machine.open_files >= _OPEN_FILES:
        return HealthCheck("open files", "ok", found)
    state: State = "fail" if machine.open_files < _STREAMS_FILES else "warn"
    return HealthCheck("open files", state, found, f"ulimit -n {_OPEN_FILES}")


def _port(machine: MachineReadings) -> HealthCheck:
    if machine.port is None:
        remedy = "nothing can listen on 127.0.0.1: end what holds its ports"
        return HealthCheck("ports", "fail", "none free on loopback", remedy)
    return HealthCheck("ports", "ok", f"free on loopback, for example {machine.port}")


def _namespaces(machine: MachineReadings) -> HealthCheck:
    if machine.sandbox == "process_group":
        remedy = (
            "agents and servers would see the whole disk: install bubblewrap and allow "
            "user namespaces (sysctl kernel.unprivileged_userns_clone=1 "
            "user.max_user_namespaces=15000)"
        )
        return HealthCheck(
            "namespaces", "warn", "none: processes are not hidden", remedy
        )
    return HealthCheck("namespaces", "ok", machine.sandbox)


def _monotonic(machine: MachineReadings) -> HealthCheck:
    found = (
        f"{machine.clocksource or 'unknown source'}, {machine.clock_step_ns} ns a read"
    )
    if machine.clocksource not in (None, *_FAST_CLOCKS):
        remedy = "reads of this clock are slow: boot with a stable TSC (tsc=reliable)"
        return HealthCheck("monotonic clock", "warn", found, remedy)
    return HealthCheck("monotonic clock", "ok", found)


def _wall_clock(machine: MachineReadings) -> HealthCheck:
    if machine.is_synchronised is None:
        return HealthCheck(
            "wall clock", "ok", "synchronisation unknown; only dates use it"
        )
    if not machine.is_synchronised:
        remedy = "timedatectl set-ntp true; dates in records may be off, durations not"
        return HealthCheck("wall clock", "warn", "not synchronised", remedy)
    return HealthCheck("wall clock", "ok", "synchronised")


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.is_dir())


def _available() -> int:
    """Memory that can be had: the machine's, or less where a group limits it."""
    available = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    limit, used = _line(group / "memory.max"), _line(group / "memory.current")
    if limit is None or used is None or limit == "max":
        return available
    return min(available, int(limit) - int(used))


def _line(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _clock_step_ns() -> int:
    """Shortest time between two reads: what reading the clock costs."""
    stamps = [time.monotonic_ns() for _ in range(2000)]
    return min(b - a for a, b in pairwise(stamps) if b > a)


def _is_synchronised() -> bool | None:
    """Ask the kernel; unknown where asking is forbidden, as in some containers."""
    timex = ctypes.create_string_buffer(512)  # struct timex, modes 0: only read
    state = ctypes.CDLL(None).adjtimex(timex)
    return None if state < 0 else state != _TIME_ERROR
