"""Processes of this machine: psutil, and what only ``/proc`` tells.

psutil looks at sockets of its own network namespace only, reads memory maps the slow
way, which stops a large server for a while, and knows neither pids of other namespaces
nor start times that a corrected clock leaves alone. Those are read here.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

__all__ = [
    "busy_times_s",
    "command_line",
    "connections_to",
    "cpu_model",
    "cpu_pressure_s",
    "descendants",
    "first_outgoing_port",
    "has_variable",
    "is_alive",
    "is_ending",
    "is_stopped",
    "kernel_id",
    "listening_ports",
    "mapped_files",
    "namespace_pid",
    "open_files",
    "started_ticks",
    "variable",
]  # fmt: skip

_PROC = Path("/proc")
# Connections that carry or may carry data: established, being opened, half closed.
_OPEN = frozenset({"01", "03", "04", "05", "08"})
_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp
_FLAGS = 6  # place of the flags among the fields after the command name
_EXITING = 0x4  # PF_EXITING in linux/sched.h
_STARTED = 19  # place of starttime among the fields after the command name


def _read(*parts: str | int) -> str:
    """Read a file below ``/proc``; empty when its process is gone or not ours."""
    try:
        return _PROC.joinpath(*map(str, parts)).read_text(errors="replace")
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not.

    A first thread that ended before the others makes its process look like a zombie,
    but the process still holds its sockets: it counts as running.
    """
    try:
        process = psutil.Process(pid)
        ended = process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
        return not ended or bool(process.num_threads() > 1)
    except psutil.Error:
        return False


def is_stopped(pid: int) -> bool:
    """Tell whether a process was stopped by a signal; one that is gone counts too."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return True


def is_ending(pid: int) -> bool:
    """Tell whether the kernel is taking a process apart: it runs no code any more.

    A GPU's driver can hold it there for some seconds.
    """
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return bool(fields) and bool(int(fields[_FLAGS]) & _EXITING)


def descendants(pid: int) -> tuple[int, ...]:
    """List living processes below ``pid``, without it; zombies do not count."""
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return ()
    return tuple(sorted(p.pid for p in below if is_alive(p.pid)))


def command_line(pid: int) -> str:
    """Join the arguments of a process; empty for one that is gone or a zombie."""
    return _read(pid, "cmdline").replace("\0", " ").strip()


def has_variable(pid: int, text: str) -> bool:
    """Tell whether ``NAME=value`` stands in the environment of a process."""
    return text in _read(pid, "environ").split("\0")


def variable(pid: int, name: str) -> str | None:
    """Value of a variable in the environment that a process was started with."""
    for entry in _read(pid, "environ").split("\0"):
        key, is_set, value = entry.partition("=")
        if key == name and is_set:
            return value
    return None


def open_files(pid: int) -> set[str]:
    """Paths of the files that a process has open."""
    found = set[str]()
    with suppress(OSError):
        for entry in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):  # one that was closed meanwhile
                found.add(str(entry.readlink()))
    return {path for path in found if path.startswith("/")}


def namespace_pid(pid: int) -> int | None:
    """Pid in the process's innermost PID namespace: 1 for its first process."""
    for line in _read(pid, "status").splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return None


def mapped_files(pid: int) -> set[str]:
    """Paths of the files in the memory map of a process."""
    found = {line.rpartition(" ")[2] for line in _read(pid, "maps").splitlines()}
    return {path for path in found if path.startswith("/")}


def started_ticks(pid: int) -> str | None:
    """Start of a living process in ticks since boot; None when there is none."""
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return fields[_STARTED] if fields and fields[0] not in "ZX" else None


def kernel_id() -> str:
    """Boot id and PID namespace: within them a pid names one process."""
    boot = _read("sys/kernel/random/boot_id").strip()
    return f"{boot}:{(_PROC / 'self/ns/pid').readlink()}"


def cpu_model() -> str:
    """Name of the processor; ``unknown`` where the kernel does not tell."""
    for line in _read("cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def busy_times_s() -> tuple[float, float, float]:
    """Seconds since boot over all cores: busy, stolen by other guests, altogether."""
    times = psutil.cpu_times()
    steal = getattr(times, "steal", 0.0)
    # The kernel counts guests' time within user time too.
    total = (
        sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    )
    return total - times.idle - getattr(times, "iowait", 0.0) - steal, steal, total


def cpu_pressure_s() -> float | None:
    """Seconds since boot in which some process waited for a core; None: not told."""
    for line in _read("pressure/cpu").splitlines():
        kind, *fields = line.split()
        if kind == "some":
            return int(fields[-1].removeprefix("total=")) * 1e-6
    return None


def first_outgoing_port() -> int:
    """Lowest port of outgoing connections."""
    return int((_read("sys/net/ipv4/ip_local_port_range") or "32768").split()[0])


def listening_ports(pids: Iterable[int]) -> tuple[int, ...]:
    """TCP ports these processes listen on, in the network namespace of each."""
    ports = set[int]()
    for pid in pids:
        inodes = _socket_inodes(pid)
        for table in ("tcp", "tcp6") if inodes else ():
            for line in _read(pid, "net", table).splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and fields[9] in inodes:
                    ports.add(int(fields[1].rpartition(":")[2], 16))
    return tuple(sorted(ports))


def connections_to(port: int) -> int:
    """Count the connections that others hold with a server's port, accepted or not."""
    count = 0
    for table in ("tcp", "tcp6"):
        for line in _read("net", table).splitlines()[1:]:
            fields = line.split()
            is_its = int(fields[1].rpartition(":")[2], 16) == port
            count += is_its and fields[3] in _OPEN
    return count


def _socket_inodes(pid: int) -> set[str]:
    found = set[str]()
    with suppress(OSError):
        for entry in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):  # one that was closed meanwhile
                found.add(str(entry.readlink()))
    return {target[8:-1] for target in found if target.startswith("socket:[")}
