"""The process that runs Harbor, as the library sees it: JSON lines in and out."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ibench.errors import StageError

__all__ = ["Worker", "WorkerError"]

WORKER = Path(__file__).parent / "worker" / "worker.py"


class WorkerError(StageError):
    """Harbor's worker gave no usable answer; says nothing about the agent."""


class Worker:
    """The worker process; answers are read by a thread, so that waiting can end.

    Args:
        python: Harbor's interpreter.
        env: the whole environment of the process.
        log: what it writes to standard error.
        channel: descriptor that it inherits.
    """

    def __init__(
        self, python: Path, env: Mapping[str, str], log: Path, channel: int | None
    ) -> None:
        """Start it."""
        with log.open("ab") as stream:
            self._popen = subprocess.Popen(
                [str(python), "-u", "-W", "ignore", str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env=dict(env),
                pass_fds=() if channel is None else (channel,),
                start_new_session=True,
            )
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._popen.stdout is not None  # noqa: S101 (it is a pipe)
        for line in self._popen.stdout:
            self._answers.put(json.loads(line))
        self._answers.put(
            {"ok": False, "error": "WorkerError", "detail": "Harbor's worker ended"}
        )

    def send(self, operation: str, **values: Any) -> None:  # noqa: ANN401 (JSON)
        """Send a request."""
        assert self._popen.stdin is not None  # noqa: S101 (it is a pipe)
        try:
            line = json.dumps({"op": operation, **values})
            self._popen.stdin.write(line.encode() + b"\n")
            self._popen.stdin.flush()
        except BrokenPipeError as error:
            raise WorkerError("Harbor's worker has ended") from error

    def answer(self, timeout_s: float) -> dict[str, Any] | None:
        """Next answer within the limit, else None."""
        try:
            return self._answers.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def ask(
        self,
        operation: str,
        limit_s: float,
        **values: Any,  # noqa: ANN401 (JSON)
    ) -> dict[str, Any]:
        """Send a request and wait.

        Raises:
            WorkerError: no answer within the limit.
        """
        self.send(operation, **values)
        reply = self.answer(limit_s)
        if reply is None:
            raise WorkerError(f"Harbor: {operation} took longer than {limit_s:g} s")
        return reply

    def end(self) -> None:
        """End the process; it holds nothing that matters any more."""
        self._popen.kill()
        self._popen.wait()
