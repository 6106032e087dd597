"""Launches that go well and every way in which they do not."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ibench.errors import LaunchError
from ibench.records import LaunchOutcome
from ibench.serving.launch import LAUNCHER, RunningServer, launch, launch_anywhere
from ibench.serving.linux import descendants, listening_ports
from ibench.serving.processes import Process, free_port
from ibench.serving.sandbox import Sandbox, SandboxKind, detect

pytestmark = [pytest.mark.slow, pytest.mark.spread]

# A server in the standard library that starts in a few hundredths of a second.
STUB = """
import http.server, os, signal, sys
status, port = int(sys.argv[1]), int(sys.argv[2])
if "ignore-term" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"data": [{"id": "stub"}]}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
SERVE = "exec python stub.py 200 $PORT"
DOUBLE_FORK = "setsid sh -c 'python stub.py 200 $PORT & exit 0' & wait; sleep 0.5"
KINDS: list[SandboxKind] = (
    ["bwrap", "process_group"] if detect() == "bwrap" else ["process_group"]
)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> SandboxKind:
    found: SandboxKind = request.param
    return found


@contextlib.contextmanager
def launched(
    tmp_path: Path,
    script: str | None,
    kind: SandboxKind,
    *,
    mode: int = 0o755,
    timeout_s: float = 10.0,
    port: int | None = None,
) -> Iterator[RunningServer]:
    """Launch a script beside the stub; afterwards nothing may be left."""
    folder, model = tmp_path / "submission", tmp_path / "model"
    folder.mkdir()
    model.mkdir()
    (folder / "stub.py").write_text(STUB)
    if script is not None:
        (folder / LAUNCHER).write_text(f"#!/bin/sh\n{script}\n")
        (folder / LAUNCHER).chmod(mode)
    port = port or free_port()
    server = launch(
        folder,
        port=port,
        model_dir=model,
        model_id="name",
        log_path=tmp_path / "server.log",
        ready_timeout_s=timeout_s,
        sandbox_kind=kind,
    )
    try:
        yield server
    finally:
        assert server.stop(grace_s=0.5) == ()
        assert server.pids() == ()
        assert _strays(folder) == []


def test_a_server_that_is_paused_does_no_work(
    tmp_path: Path, kind: SandboxKind
) -> None:
    busy = "python3 -c 'while True: pass' & "
    with launched(tmp_path, busy + SERVE, kind) as server:
        assert server.launch.outcome is LaunchOutcome.READY
        server.pause()
        stopped = _cpu_s(server)
        time.sleep(0.5)
        assert _cpu_s(server) == stopped
        server.resume()
        time.sleep(0.5)
        assert _cpu_s(server) > stopped


def _cpu_s(server: RunningServer) -> float:
    pids = server.pids()
    assert pids
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def _strays(folder: Path) -> list[int]:
    """Processes of any parent whose working directory is the submission."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
    return found


def test_ready_then_stopped(tmp_path: Path, kind: SandboxKind) -> None:
    with launched(tmp_path, f'echo "$MODEL_ID at $HOST"\n{SERVE}', kind) as server:
        assert server.launch.outcome == LaunchOutcome.READY
        assert server.launch.served_models == ("stub",)
        assert server.launch.ready_s is not None
        assert 0 < server.launch.ready_s < 5
        assert server.launch.log_tail == "name at 127.0.0.1"
        assert (server.launch.warning is None) == (kind == "bwrap")
        server.check_alive()
        assert server.port in listening_ports(server.pids())
        start = time.monotonic()
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    ("script", "outcome", "detail"),
    [
        (None, LaunchOutcome.MISSING, "no start_server.sh"),
        ("echo sorry; exit 7", LaunchOutcome.EXITED, "returned 7; no process left"),
        ("/no/such/engine", LaunchOutcome.EXITED, "returned 127"),
        ("python stub.py 200 $PORT & exit 0", LaunchOutcome.DETACHED, "stub.py"),
        (DOUBLE_FORK, LaunchOutcome.DETACHED, "stub.py"),
        ("exec sleep 60", LaunchOutcome.NEVER_READY, "port never opened"),
        ("exec python stub.py 500 $PORT", LaunchOutcome.NEVER_READY, "answered 500"),
    ],
)
def test_failed_launches(
    tmp_path: Path,
    kind: SandboxKind,
    script: str | None,
    outcome: LaunchOutcome,
    detail: str,
) -> None:
    with launched(tmp_path, script, kind, timeout_s=2.0) as server:
        # A detached server may answer before its launcher returns.
        if outcome == LaunchOutcome.DETACHED and server.launch.outcome == "ready":
            time.sleep(1.0)
            with pytest.raises(LaunchError, match="detached") as caught:
                server.check_alive()
            assert detail in caught.value.detail
            return
        assert server.launch.outcome == outcome
        assert detail in server.launch.detail
        assert server.launch.ready_s is None
        with pytest.raises(LaunchError) as raised:
            server.check_alive()
        assert raised.value.outcome == outcome
        if script == "echo sorry; exit 7":
            assert server.launch.exit_code == 7
            assert server.launch.log_tail == "sorry"


def test_not_executable(tmp_path: Path, kind: SandboxKind) -> None:
    with launched(tmp_path, SERVE, kind, mode=0o644) as server:
        assert server.launch.outcome == LaunchOutcome.NOT_EXECUTABLE


def test_other_port_is_named(tmp_path: Path, kind: SandboxKind) -> None:
    other = free_port()
    script = f"exec python stub.py 200 {other}"
    with launched(tmp_path, script, kind, timeout_s=1.5) as server:
        assert server.launch.outcome == LaunchOutcome.NEVER_READY
        assert f"listen on {other}" in server.launch.detail


def test_port_taken_before_the_launch(tmp_path: Path, kind: SandboxKind) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with launched(tmp_path, SERVE, kind, port=port) as server:
            assert server.launch.outcome == LaunchOutcome.PORT_TAKEN


@contextlib.contextmanager
def stranger(folder: Path) -> Iterator[int]:
    """A program that takes the port as soon as a launcher has been started on it."""
    port = free_port()
    script = (
        "import http.server, pathlib, sys, time\n"
        "while not pathlib.Path('submission/started').exists(): time.sleep(0.01)\n"
        "class Models(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers()\n"
        '        self.wfile.write(b\'{"data": [{"id": "other"}]}\')\n'
        f"http.server.HTTPServer(('127.0.0.1', {port}), Models).serve_forever()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=folder) as process:
        yield port
        process.kill()


@pytest.mark.skipif(detect() != "bwrap", reason="needs bubblewrap")
@pytest.mark.parametrize("then", ["exec python stub.py 200 $PORT", "sleep 30"])
def test_a_stranger_on_the_port_is_not_the_submission(
    tmp_path: Path, then: str
) -> None:
    with (
        stranger(tmp_path) as port,
        launched(tmp_path, f"touch started; sleep 1; {then}", "bwrap", port=port) as s,
    ):
        assert s.launch.outcome == LaunchOutcome.PORT_TAKEN
        assert f"took port {port}" in s.launch.detail


@pytest.mark.skipif(detect() != "bwrap", reason="needs bubblewrap")
def test_the_next_try_has_another_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, model = tmp_path / "submission", tmp_path / "model"
    folder.mkdir()
    model.mkdir()
    (folder / "stub.py").write_text(STUB)
    (folder / LAUNCHER).write_text(f"#!/bin/sh\ntouch started; sleep 1; {SERVE}\n")
    (folder / LAUNCHER).chmod(0o755)
    with stranger(tmp_path) as port:
        given = iter([port, free_port()])
        monkeypatch.setattr("ibench.serving.launch.free_port", lambda: next(given))
        with launch_anywhere(
            folder,
            model_dir=model,
            model_id="name",
            log_path=tmp_path / "server.log",
            ready_timeout_s=20.0,
            sandbox_kind="bwrap",
        ) as server:
            assert server.launch.outcome == LaunchOutcome.READY
            assert server.port != port
    assert list(given) == []


def test_ignoring_term_ends_in_kill(tmp_path: Path, kind: SandboxKind) -> None:
    script = "trap '' TERM\npython stub.py 200 $PORT ignore-term"
    with launched(tmp_path, script, kind) as server:
        assert server.launch.outcome == LaunchOutcome.READY


def test_a_server_that_dies_is_noticed(tmp_path: Path, kind: SandboxKind) -> None:
    with launched(tmp_path, SERVE, kind) as server:
        for pid in server.pids():
            os.kill(pid, 9)
        time.sleep(0.2)
        with pytest.raises(LaunchError) as raised:
            server.check_alive()
        assert raised.value.outcome == LaunchOutcome.DIED


def test_a_polite_server_gets_its_grace_time(tmp_path: Path, kind: SandboxKind) -> None:
    script = "trap 'echo bye; exit 0' TERM\npython stub.py 200 $PORT &\nwait $!"
    with launched(tmp_path, script, kind) as server:
        assert server.launch.outcome == LaunchOutcome.READY
    assert "bye" in (tmp_path / "server.log").read_text()


def test_process_stop_takes_orphans_along(tmp_path: Path, kind: SandboxKind) -> None:
    script = "setsid sh -c 'sleep 61 & exit 0'; exec sleep 62"
    log = tmp_path / "log"
    sandbox = Sandbox(workdir=tmp_path)
    with Process(["sh", "-c", script], sandbox=sandbox, kind=kind, log_path=log) as run:
        time.sleep(0.3)
        assert len(run.members()) >= 2
        assert run.stop(grace_s=0.2) == ()
        assert run.poll() is not None
    assert run.members() == ()


def test_process_exit_code_and_log(tmp_path: Path, kind: SandboxKind) -> None:
    log = tmp_path / "log"
    sandbox = Sandbox(workdir=tmp_path)
    argv = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    with Process(argv, sandbox=sandbox, kind=kind, log_path=log) as run:
        assert run.wait(5) == 3
    assert log.read_text() == "out\nerr\n"


def test_wait_gives_up(tmp_path: Path) -> None:
    log = tmp_path / "log"
    sandbox = Sandbox(workdir=tmp_path)
    argv = ["sleep", "60"]
    with Process(argv, sandbox=sandbox, kind="process_group", log_path=log) as run:
        assert run.wait(0.05) is None


def test_descendants_and_ports_of_this_process() -> None:
    assert isinstance(descendants(os.getpid()), tuple)
    port = free_port()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))
        sock.listen()
        assert port in listening_ports([os.getpid()])
    assert port not in listening_ports([os.getpid()])


# The first thread ends alone (exit, not exit_group); another holds the port.
HEADLESS = """
import ctypes, platform, socket, threading, time
sock = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=time.sleep, args=(30,)).start()
print(sock.getsockname()[1], flush=True)
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""


def test_a_process_whose_first_thread_has_ended_is_still_there() -> None:
    argv = [sys.executable, "-c", HEADLESS]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        time.sleep(0.2)
        assert child.pid in descendants(os.getpid())
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            child.kill()
    assert child.pid not in descendants(os.getpid())
