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
from typing import BinaryIO, Self

import psutil

from ibench.errors import SandboxError
from ibench.serving import linux
from ibench.serving.containers import podman_stop
from ibench.serving.cores import on_cores
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

__all__ = ["Process", "free_port", "signal_all"]

_POLL_S = 0.02
_KILL_WAIT_S = 30.0  # a driver may take seconds to free a GPU's memory
# SGLang opens a second port this far above its own, and fails when it is taken.
COMPANION_OFFSET = 10_000


def free_port() -> int:
    """Return a TCP port nobody uses at 127.0.0.1 right now.

    It lies below the range of outgoing connections: a client that polls a port of
    that range before its server listens can connect to itself and take the port.

    Raises:
        SandboxError: a hundred ports in a row were taken.
    """
    high = linux.first_outgoing_port()
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
        with log_path.open("ab") as log, on_cores(sandbox.cores):
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

    def __exit__(self, *error: object) -> None:
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
        found = {self.pid, *linux.descendants(self.pid)}
        mark = f"{TOKEN_VARIABLE}={self._sandbox.token}"
        found |= {pid for pid in psutil.pids() if linux.has_variable(pid, mark)}
        # A child of a known process that lost both marks is still a known process.
        with self._seen_lock:  # the limit watch looks from its own thread
            self._seen = {p for p in found | self._seen if linux.is_alive(p)}
            return tuple(sorted(self._seen))

    def _kill(self) -> None:
        signal_all(self.members(), signal.SIGKILL)
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
            Command lines of what survived; empty unless the kernel refuses. A process
            that the kernel is still taking apart has not survived.
        """
        self._limits.stop()
        # bwrap would end its namespace at once on TERM and spoil the grace time.
        helpers = {self.pid} if self._kind == "bwrap" else set[int]()
        targets = {p for p in self.members() if linux.namespace_pid(p) != 1} - helpers
        signal_all(targets, signal.SIGTERM)
        end = clock() + grace_s
        while any(map(linux.is_alive, targets)) and clock() < end:
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
        left = [p for p in self.members() if not linux.is_ending(p)]
        return tuple(f"process {p}: {linux.command_line(p)[:120]}" for p in left)


def signal_all(targets: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes; one that is gone meanwhile is no fault."""
    for pid in targets:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue
