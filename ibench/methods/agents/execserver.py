"""Runs shell commands inside a sandbox for somebody outside it.

One sandbox lasts a whole session, so that a server which one command started is still
there for the next. This process is the sandbox's first command. Requests and answers
are JSON lines on descriptor 0, one end of a socket pair without a name, which no
process of the agent inherits. Everything that commands print also goes to standard
output, the session's raw transcript.

Environment variables of a command come in its request and are seen in the environment
of that command only, never on a command line.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

__all__ = ["main"]

HEAD_BYTES = 64 * 1024
TAIL_BYTES = 1024 * 1024
DRAIN_S = 0.3
# A command may hold a key; an environment is less public than a command line.
_RUN = 'command=$IBENCH_COMMAND; unset IBENCH_COMMAND; eval "$command"'
IDLE_S = 0.7
_CUT = b"\n[... cut ...]\n"


class Tail:
    """Copies a stream to the transcript and keeps its two ends."""

    def __init__(self, source: int) -> None:
        """Start reading."""
        self._source, self._head, self._tail = source, b"", b""
        self._cut = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._source, 65536)
            except OSError:
                return
            if not chunk:
                return
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            room = HEAD_BYTES - len(self._head)
            self._head += chunk[:room]
            self._tail += chunk[room:] if room > 0 else chunk
            if len(self._tail) > 2 * TAIL_BYTES:
                self._tail, self._cut = self._tail[-TAIL_BYTES:], True

    def text(self) -> str:
        """What came, without waiting for daemons that hold the stream open."""
        self._thread.join(DRAIN_S)
        parts = (self._head, _CUT if self._cut else b"", self._tail)
        return b"".join(parts).decode(errors="replace")


class ExecServer:
    """Answers requests until its peer goes away or it is told to end."""

    def __init__(self, channel: socket.socket) -> None:
        """Keep the channel; ``serve`` does the work."""
        self._channel, self._lock = channel, threading.Lock()
        self._busy, self._idle_since = 0, time.monotonic()
        self.ending = False

    def serve(self) -> None:
        """Read requests; one thread each, so that a slow one holds nobody up."""
        threading.Thread(target=self._end_when_idle, daemon=True).start()
        with self._channel.makefile("rb") as lines:
            for line in lines:
                with self._lock:
                    self._busy += 1
                work = threading.Thread(target=self._answer, args=(line,), daemon=True)
                work.start()

    def _end_when_idle(self) -> None:
        # Told to end, it still answers: the driver of an agent copies the agent's
        # own records once the agent is gone.
        while True:
            time.sleep(0.1)
            quiet = time.monotonic() - self._idle_since > IDLE_S
            if self.ending and not self._busy and quiet:
                os._exit(0)

    def _answer(self, line: bytes) -> None:
        reply: dict[str, Any] = {}
        try:
            request = json.loads(line)
            reply["id"] = request["id"]
            reply |= _OPERATIONS[request["op"]](request)
        except (OSError, ValueError, KeyError) as error:
            reply["error"] = f"{type(error).__name__}: {error}"
        with self._lock:
            self._busy -= 1
            self._idle_since = time.monotonic()
            self._channel.sendall(json.dumps(reply).encode() + b"\n")


def _exec(request: dict[str, Any]) -> dict[str, Any]:
    """Run a command in a session of its own; an expired one is killed with it."""
    process = subprocess.Popen(
        ["bash", "-c", _RUN],  # noqa: S607 (the sandbox's PATH)
        cwd=request.get("cwd") or None,
        env={
            **os.environ,
            **(request.get("env") or {}),
            "IBENCH_COMMAND": request["command"],
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 (for the type checker)
    assert process.stderr is not None  # noqa: S101
    out, err = Tail(process.stdout.fileno()), Tail(process.stderr.fileno())
    try:
        code = process.wait(request.get("timeout_s"))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        code = 124
    return {"code": code, "stdout": out.text(), "stderr": err.text()}


def _put(request: dict[str, Any]) -> dict[str, Any]:
    """Write a file that only its owner reads: it may hold a login."""
    path = Path(request["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(request["data"]))
    return {"code": 0}


def _get(request: dict[str, Any]) -> dict[str, Any]:
    data = Path(request["path"]).read_bytes()
    return {"code": 0, "data": base64.b64encode(data).decode()}


_OPERATIONS = {"exec": _exec, "put": _put, "get": _get}


def main() -> int:
    """Serve on descriptor 0."""
    server = ExecServer(socket.socket(fileno=0))

    def end(*_: object) -> None:
        server.ending = True

    signal.signal(signal.SIGTERM, end)
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
