"""Start a sandboxed command and end every process it made."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ibench.errors import SandboxError
from ibench.serving.containers import podman_stop
from ibench.serving.limits import LimitWatch
from ibench.serving.sandbox import (
    TOKEN_VARIABLE,
    Sandbox,
    SandboxKind,
    container_name,
    environment,
    private_root,
    wrap,
)

__all__ = [
    "Process",
    "command_line",
    "descendants",
    "free_port",
    "is_running",
    "listening_ports",
    "namespace_pid",
]

_PROC = Path("/proc")
_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp
_POLL_S = 0.02
_KILL_WAIT_S = 5.0
_THREADS = 17  # place of num_threads among the fields after the command name
# SGLang opens a second port this far above its own, and fails when it is taken.
COMPANION_OFFSET = 10_000


def free_port() -> int:
    """Return a TCP port nobody uses at 127.0.0.1 right now.

    It lies below the range of outgoing connections: a client that polls a port of
    that range before its server listens can connect to itself and take the port.

    Raises:
        SandboxError: a hundred ports in a row were taken.
    """
    local_range = _read(_PROC / "sys/net/ipv4/ip_local_port_range").split()
    high = int(local_range[0]) if local_range else 32768
    low = max(1024, high - 12000)
    for _ in range(100):
        port = low + secrets.randbelow(high - low)
        if all(_can_bind(port + offset) for offset in (0, COMPANION_OFFSET)):
            return port
    raise SandboxError(f"no free port between {low} and {high}")


def _can_bind(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
        return True


def _read(path: Path) -> bytes:
    """Read a /proc file; empty when the process is gone or not ours to see."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and parent; the command name before them may hold anything.

    A first thread that ended before the others is a zombie by its letter, but its
    process still holds its sockets: it counts as running.
    """
    fields = _read(_PROC / str(pid) / "stat").rpartition(b")")[2].split()
    if len(fields) <= _THREADS:
        return None
    state = fields[0].decode()
    if state == "Z" and int(fields[_THREADS]) > 1:
        state = "R"
    return state, int(fields[1])


def is_running(pid: int) -> bool:
    """Whether a process lives: zombies and the dead do not."""
    stat = _stat(pid)
    return stat is not None and stat[0] not in "ZX"


def descendants(pid: int) -> tuple[int, ...]:
    """Living processes below ``pid``, without it; zombies do not count."""
    stats = {p: s for p in _pids() if (s := _stat(p)) is not None}
    below, frontier = set[int](), {pid}
    while frontier:
        frontier = {p for p, (_, parent) in stats.items() if parent in frontier} - below
        below |= frontier
    return tuple(sorted(p for p in below if stats[p][0] not in "ZX"))


def namespace_pid(pid: int) -> int | None:
    """Pid in the process's innermost PID namespace: 1 for its first process."""
    for line in _read(_PROC / str(pid) / "status").splitlines():
        if line.startswith(b"NSpid:"):
            return int(line.split()[-1])
    return None


def command_line(pid: int) -> str:
    """Arguments of a process in one line of at most 120 characters, for people."""
    raw = _read(_PROC / str(pid) / "cmdline").replace(b"\0", b" ")
    return raw.decode(errors="replace").strip()[:120]


def listening_ports(pids: Iterable[int]) -> tuple[int, ...]:
    """TCP ports these processes listen on, in the network namespace of each."""
    ports = set[int]()
    for pid in pids:
        inodes = _socket_inodes(pid)
        for table in ("tcp", "tcp6") if inodes else ():
            for line in _read(_PROC / str(pid) / "net" / table).splitlines()[1:]:
                fields = line.decode().split()
                if fields[3] == _LISTEN and fields[9] in inodes:
                    ports.add(int(fields[1].rpartition(":")[2], 16))
    return tuple(sorted(ports))


def _socket_inodes(pid: int) -> set[str]:
    found = set[str]()
    try:
        entries = list((_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return found
    for entry in entries:
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


class Process:
    """One sandboxed command with its log; a context manager that leaves nothing.

    Args:
        argv: the command.
        sandbox: what it may see; a fresh one per command, for its token.
        kind: how it is enforced.
        log_path: standard output and error are appended here.
        stdin: file or descriptor; the null device unless given.

    Raises:
        SandboxError: the sandbox cannot be built.
        OSError: the sandbox program cannot be started.
    """

    def __init__(
        self,
        argv: list[str],
        *,
        sandbox: Sandbox,
        kind: SandboxKind,
        log_path: Path,
        stdin: int | BinaryIO = subprocess.DEVNULL,
    ) -> None:
        """Start the command in a session of its own."""
        self._kind: SandboxKind = kind
        self._sandbox = sandbox
        self._seen = set[int]()
        self._seen_lock = threading.Lock()
        command = wrap(argv, sandbox, kind)
        if kind == "process_group":
            env = environment(sandbox, kind)
            for name in ("HOME", "HF_HUB_CACHE"):
                Path(env[name]).mkdir(mode=0o700, parents=True, exist_ok=True)
        with log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=sandbox.workdir,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self._limits = LimitWatch(
            sandbox.workdir,
            memory_mib=sandbox.memory_mib,
            disk_mib=sandbox.disk_mib,
            members=self.members,
            end=self._kill,
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything."""
        self.stop()

    def poll(self) -> int | None:
        """Exit code of the command, or ``None`` while it runs."""
        return self._popen.poll()

    def wait(self, timeout_s: float) -> int | None:
        """Exit code within the limit, else ``None``."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def over_limit(self) -> str | None:
        """Say which limit was passed, when the sandbox was ended for it."""
        return self._limits.reason

    def members(self) -> tuple[int, ...]:
        """Living processes of the sandbox, its own helpers included.

        Found by parenthood and by the token in their environment; the second also
        finds orphans of a process group.
        """
        found = {self.pid, *descendants(self.pid)}
        mark = f"{TOKEN_VARIABLE}={self._sandbox.token}".encode()
        for pid in _pids():
            if mark in _read(_PROC / str(pid) / "environ").split(b"\0"):
                found.add(pid)
        # A child of a known process that lost both marks is still a known process.
        with self._seen_lock:  # the limit watch looks from its own thread
            self._seen = {p for p in found | self._seen if is_running(p)}
            return tuple(sorted(self._seen))

    def _kill(self) -> None:
        _signal(self.members(), signal.SIGKILL)
        if self._kind == "podman":
            name = podman_stop(container_name(self._sandbox))
            subprocess.run(name, capture_output=True, check=False)

    def stop(
        self,
        grace_s: float = 5.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> tuple[str, ...]:
        """End the whole tree: TERM, a grace time, then KILL.

        Args:
            grace_s: seconds between TERM and KILL.
            sleep: waits between looks.
            clock: monotonic seconds.

        Returns:
            Command lines of what survived; empty unless the kernel refuses.
        """
        self._limits.stop()
        # bwrap would end its namespace at once on TERM and spoil the grace time.
        helpers = {self.pid} if self._kind == "bwrap" else set[int]()
        targets = {p for p in self.members() if namespace_pid(p) != 1} - helpers
        _signal(targets, signal.SIGTERM)
        end = clock() + grace_s
        while any(map(is_running, targets)) and clock() < end:
            self._popen.poll()
            sleep(_POLL_S)
        end = clock() + _KILL_WAIT_S
        while True:
            self._kill()
            self._popen.poll()
            if not self.members() or clock() >= end:
                break
            sleep(_POLL_S)
        if self._kind == "process_group":
            shutil.rmtree(private_root(self._sandbox, self._kind), ignore_errors=True)
        return tuple(f"process {p}: {command_line(p)}" for p in self.members())


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue
