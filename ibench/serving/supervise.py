"""Run a launcher so that its return and what it leaves behind can both be seen."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from ibench.serving.linux import is_stopped, namespace_pid
from ibench.serving.processes import Process, signal_all
from ibench.serving.sandbox import Sandbox, SandboxKind

__all__ = ["Supervised"]

# The exit code leaves through descriptor 0, the write end of a pipe. The shell then
# keeps the namespace alive, so that what the launcher left behind can be seen; unless
# it was told to stop, when it lasts as long as the launcher takes to end.
_SUPERVISE = (
    "trap stop=1 TERM; "
    '"$@" </dev/null; echo $? >&0; [ -n "${stop-}" ] || exec sleep infinity'
)
_PAUSE_ROUNDS, _PAUSE_POLL_S = 50, 0.002
_HELPER_PIDS = (1, 2)  # in the namespace: its init, and the supervising shell


class Supervised:
    """A launcher under its supervising shell.

    Args:
        argv: the launcher.
        sandbox: what it may see.
        kind: how that is enforced.
        log: output of the launcher.

    Raises:
        SandboxError: the sandbox cannot be built.
    """

    def __init__(
        self, argv: list[str], sandbox: Sandbox, kind: SandboxKind, log: Path
    ) -> None:
        """Start it."""
        self._kind = kind
        self._read_fd, write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._said = b""
        try:
            self._process = Process(
                ["/bin/sh", "-c", _SUPERVISE, "supervise", *argv],
                sandbox=sandbox,
                kind=kind,
                log_path=log,
                stdin=write_fd,
            )
        except BaseException:
            os.close(self._read_fd)
            raise
        finally:
            os.close(write_fd)

    def exit_code(self) -> int | None:
        """Exit code of the launcher, negative codes when the sandbox itself ended."""
        with contextlib.suppress(OSError):  # nothing said yet, or closed by stop
            self._said += os.read(self._read_fd, 64)
        line, newline, _ = self._said.partition(b"\n")
        if newline and line.isdigit():
            return int(line)
        return self._process.poll()

    def over_limit(self) -> str | None:
        """Say which limit of the sandbox was passed, if one was."""
        return self._process.over_limit()

    @property
    def sees_all(self) -> bool:
        """Whether no process of the launcher can escape ``payload``."""
        return self._kind == "bwrap"

    def payload(self) -> tuple[int, ...]:
        """Living processes without the sandbox's helpers."""
        helpers = {self._process.pid}
        members = self._process.members()
        if self._kind == "bwrap":
            helpers |= {p for p in members if namespace_pid(p) in _HELPER_PIDS}
        return tuple(p for p in members if p not in helpers)

    def pause(self) -> None:
        """Stop every process of the launcher; new ones that appear meanwhile too."""
        for _ in range(_PAUSE_ROUNDS):
            running = [p for p in self.payload() if not is_stopped(p)]
            if not running:
                return
            signal_all(running, signal.SIGSTOP)
            time.sleep(_PAUSE_POLL_S)

    def resume(self) -> None:
        """Let every process of the launcher go on."""
        signal_all(self.payload(), signal.SIGCONT)

    def stop(self, grace_s: float) -> tuple[str, ...]:
        """End everything; return what survived."""
        self.resume()  # a process that is stopped does not see TERM
        left = self._process.stop(grace_s)
        if self._read_fd >= 0:
            os.close(self._read_fd)
            self._read_fd = -1
        return left
