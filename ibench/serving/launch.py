"""Supervised launch of a submission.

Contract of ``start_server.sh`` (that of the original benchmark): it runs in its own
folder, finds ``HOST``, ``PORT``, ``MODEL_PATH`` (a directory) and ``MODEL_ID`` (the
name to serve) in its environment, and stays in the foreground. Ready means that
``GET /v1/models`` answers 200 with JSON.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Required, Self, TypedDict, Unpack

import httpx

from ibench.errors import LaunchError
from ibench.records import Closed, Launch, LaunchOutcome
from ibench.serving.linux import command_line, listening_ports
from ibench.serving.probe import PROBE_TIMEOUT_S, Probe, answers, probe_models
from ibench.serving.processes import free_port
from ibench.serving.sandbox import PROCESS_GROUP_WARNING, Sandbox, SandboxKind
from ibench.serving.supervise import Supervised

__all__ = ["LAUNCHER", "House", "RunningServer", "launch", "launch_anywhere"]

LAUNCHER = "start_server.sh"
_HOST = "127.0.0.1"
_POLL_S = 0.05
_TAIL_LINES, _TAIL_CHARS = 30, 4000
_PORTS = 3  # tried before a host is believed to have none


class House(Closed):
    """What the host gives to every submission; see ``Sandbox`` for the fields."""

    engines: Path | None = None
    image: str | None = None
    gpus: tuple[str, ...] | None = None
    cores: tuple[int, ...] | None = None
    memory_mib: int | None = None
    disk_mib: int | None = None


NO_HOUSE = House()


class LaunchSettings(TypedDict, total=False):
    """Arguments of ``launch`` that do not depend on the port."""

    model_dir: Required[Path]
    model_id: Required[str]
    log_path: Required[Path]
    sandbox_kind: Required[SandboxKind]
    house: House


class RunningServer:
    """A launched submission, ready or not; a context manager that leaves nothing.

    Args:
        launch: how the launch ended.
        base_url: the server's address without a path.
        port: the port it was given.
        supervised: its processes; ``None`` when nothing was started.
    """

    def __init__(
        self, launch: Launch, base_url: str, port: int, supervised: Supervised | None
    ) -> None:
        """Keep what the launch found."""
        self.launch, self.base_url, self.port = launch, base_url, port
        self._supervised = supervised

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the server."""
        self.stop()

    def pids(self) -> tuple[int, ...]:
        """Processes of the submission itself, without the sandbox's helpers."""
        return self._supervised.payload() if self._supervised else ()

    def pause(self) -> None:
        """Stop its processes where they are: another server is measured now."""
        if self._supervised:
            self._supervised.pause()

    def resume(self) -> None:
        """Let its processes go on."""
        if self._supervised:
            self._supervised.resume()

    def check_alive(self) -> None:
        """Make sure that the launcher still runs in the foreground.

        Raises:
            LaunchError: ``died`` or ``detached``; or the outcome of a launch that
                never became ready.
        """
        if self._supervised is None or self.launch.outcome != LaunchOutcome.READY:
            raise LaunchError(self.launch.outcome, self.launch.detail)
        over = self._supervised.over_limit()
        if over is not None:
            raise LaunchError(LaunchOutcome.OVER_LIMIT, over)
        code = self._supervised.exit_code()
        if code is None:
            return
        left = self._supervised.payload()
        outcome = LaunchOutcome.DETACHED if left else LaunchOutcome.DIED
        raise LaunchError(outcome, f"launcher returned {code}; {_name(left)}")

    def stop(self, grace_s: float = 5.0) -> tuple[str, ...]:
        """End every process of the submission.

        Returns:
            What was left behind: living processes, or the port still answering.
        """
        if self._supervised is None:
            return ()
        left = self._supervised.stop(grace_s)
        is_ours = self.launch.outcome is not LaunchOutcome.PORT_TAKEN
        if is_ours and answers(self.port):
            left += (f"port {self.port} still answers",)
        return left


def launch(
    folder: Path,
    *,
    port: int,
    model_dir: Path,
    model_id: str,
    log_path: Path,
    ready_timeout_s: float,
    sandbox_kind: SandboxKind,
    house: House = NO_HOUSE,
    extra_read_only: tuple[Path, ...] = (),
    clock: Callable[[], int] = time.monotonic_ns,
) -> RunningServer:
    """Start a submission and wait until it serves; a failed launch does not raise.

    Args:
        folder: a copy of the submission, absolute; the launcher may write there.
        port: TCP port at 127.0.0.1 it has to serve on.
        model_dir: folder of the model, visible read-only at the same path.
        model_id: name to serve.
        log_path: output of the launcher; outside ``folder``.
        ready_timeout_s: seconds from the start to the first answer.
        sandbox_kind: a value of ``sandbox.detect``.
        house: what the host gives to every submission.
        extra_read_only: further paths the launcher may read.
        clock: monotonic nanoseconds.

    Returns:
        The server; its ``launch.outcome`` tells whether it is ready.

    Raises:
        SandboxError: the sandbox cannot be built.
    """
    base_url = f"http://{_HOST}:{port}"
    warning = PROCESS_GROUP_WARNING if sandbox_kind == "process_group" else None
    refused = _refuse(folder / LAUNCHER, port)
    if refused is not None:
        record = _refused(refused, sandbox_kind, warning)
        return RunningServer(record, base_url, port, None)
    env = {"HOST": _HOST, "PORT": str(port)}
    env |= {"MODEL_ID": model_id, "MODEL_PATH": str(model_dir)}
    sandbox = Sandbox(
        workdir=folder,
        read_only=(model_dir, *extra_read_only),
        env=env,
        **house.model_dump(),
    )
    started_ns = clock()
    supervised = Supervised([f"./{LAUNCHER}"], sandbox, sandbox_kind, log_path)
    end_ns = started_ns + int(ready_timeout_s * 1e9)
    try:
        outcome, probe = _await_ready(supervised, base_url, port, end_ns, clock)
        ready_s = (clock() - started_ns) / 1e9
    except BaseException:
        supervised.stop(0.0)
        raise
    record = Launch(
        outcome=outcome,
        detail=probe.detail,
        ready_s=ready_s if outcome == LaunchOutcome.READY else None,
        sandbox=sandbox_kind,
        warning=warning,
        served_models=probe.models,
        log_tail=_tail(log_path),
        exit_code=supervised.exit_code(),
    )
    return RunningServer(record, base_url, port, supervised)


def launch_anywhere(
    folder: Path, *, ready_timeout_s: float, **settings: Unpack[LaunchSettings]
) -> RunningServer:
    """Launch on a free port; on another one if a stranger was quicker.

    Args:
        folder: as of ``launch``.
        ready_timeout_s: of all tries together.
        settings: the other arguments of ``launch``.
    """
    end_s = time.monotonic() + ready_timeout_s
    for left in reversed(range(_PORTS)):
        server = launch(
            folder,
            port=free_port(),
            ready_timeout_s=max(0.0, end_s - time.monotonic()),
            **settings,
        )
        if server.launch.outcome is not LaunchOutcome.PORT_TAKEN or not left:
            break
        server.stop(0.0)
    return server


def _refused(
    why: tuple[LaunchOutcome, str], kind: SandboxKind, warning: str | None
) -> Launch:
    return Launch(
        outcome=why[0], detail=why[1], ready_s=None, sandbox=kind, warning=warning
    )


def _refuse(launcher: Path, port: int) -> tuple[LaunchOutcome, str] | None:
    """Say why the launch cannot even be tried."""
    if not launcher.is_file():
        return LaunchOutcome.MISSING, f"no {LAUNCHER}"
    # os.access says yes to root whatever the bits are, so the bits are read.
    if not launcher.stat().st_mode & 0o111:
        return LaunchOutcome.NOT_EXECUTABLE, f"{LAUNCHER} is not executable"
    if answers(port):
        return LaunchOutcome.PORT_TAKEN, f"port {port} was open before the launch"
    return None


def _await_ready(
    supervised: Supervised,
    base_url: str,
    port: int,
    end_ns: int,
    clock: Callable[[], int],
) -> tuple[LaunchOutcome, Probe]:
    seen = Probe(False, (), "port never opened")
    # The environment's proxy settings must not stand between us and the server.
    with httpx.Client(timeout=PROBE_TIMEOUT_S, trust_env=False) as client:
        while clock() < end_ns:
            code = supervised.exit_code()
            if code is not None:
                return _returned(supervised, port, code)
            seen = probe_models(client, base_url)
            if seen.ready and not _is_foreign(supervised, port):
                return LaunchOutcome.READY, seen
            if seen.ready:
                return _foreign(port)
            time.sleep(_POLL_S)
    others = [p for p in listening_ports(supervised.payload()) if p != port]
    detail = seen.detail
    if others:
        detail += f"; its processes listen on {', '.join(map(str, others))}"
    return LaunchOutcome.NEVER_READY, Probe(False, (), detail)


def _returned(
    supervised: Supervised, port: int, code: int
) -> tuple[LaunchOutcome, Probe]:
    over = supervised.over_limit()
    if over is not None:
        return LaunchOutcome.OVER_LIMIT, Probe(False, (), over)
    if _is_foreign(supervised, port):
        return _foreign(port)
    left = supervised.payload()
    detail = f"launcher returned {code}; {_name(left)}"
    outcome = LaunchOutcome.DETACHED
    if not left and not answers(port):
        outcome = LaunchOutcome.EXITED
    return outcome, Probe(False, (), detail)


def _is_foreign(supervised: Supervised, port: int) -> bool:
    """Whether the port answers for somebody else, which the sandbox must show."""
    if not supervised.sees_all or not answers(port):
        return False
    return port not in listening_ports(supervised.payload())


def _foreign(port: int) -> tuple[LaunchOutcome, Probe]:
    detail = f"another program took port {port} while this one was starting"
    return LaunchOutcome.PORT_TAKEN, Probe(False, (), detail)


def _name(pids: tuple[int, ...]) -> str:
    if not pids:
        return "no process left"
    ports = ", ".join(map(str, listening_ports(pids))) or "no port"
    return f"left {len(pids)} processes on {ports}: {command_line(pids[0])[:120]}"


def _tail(log_path: Path) -> str:
    with log_path.open("rb") as log:
        log.seek(max(0, log_path.stat().st_size - 4 * _TAIL_CHARS))
        text = log.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-_TAIL_LINES:])[-_TAIL_CHARS:]
