"""The process that runs Harbor, as the library sees it: JSON lines in and out."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ibench.errors import InfrastructureError, StageError

__all__ = ["LOST", "WorkerError", "WorkerProcess"]

WORKER = Path(__file__).parent / "worker" / "worker.py"


class WorkerError(StageError):
    """Harbor refuses what it was asked."""


# A worker that died, or is stuck, is the machine's failure: named by what it is there.
LOST = InfrastructureError.__name__
_ENDED = "Harbor's worker has ended"


class WorkerProcess:
    """The worker process; answers are read by a thread, so that waiting can end.

    Requests are numbered and answered in order, so that an answer which comes after its
    time is not taken for the next one.

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
        self._sent = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._popen.stdout is not None  # noqa: S101 (it is a pipe)
        for line in self._popen.stdout:
            with suppress(ValueError):  # the last words of one that was killed
                self._answers.put(json.loads(line))
        self._answers.put(_lost())

    def send(self, operation: str, **values: Any) -> None:  # noqa: ANN401 (JSON)
        """Send a request.

        Raises:
            InfrastructureError: there is nobody to send it to.
        """
        assert self._popen.stdin is not None  # noqa: S101 (it is a pipe)
        self._sent += 1
        try:
            line = json.dumps({"id": self._sent, "op": operation, **values})
            self._popen.stdin.write(line.encode() + b"\n")
            self._popen.stdin.flush()
        except OSError as error:
            raise InfrastructureError(_ENDED) from error

    def answer(self, timeout_s: float) -> dict[str, Any] | None:
        """Answer to the last request within the limit, else None; others are dropped.

        That of a worker which has ended says so, each time it is asked for.
        """
        end = time.monotonic() + timeout_s
        while True:
            try:
                left_s = max(0.0, end - time.monotonic())
                reply = self._answers.get(timeout=left_s)
            except queue.Empty:
                return None
            if reply.get("error") == LOST:
                self._answers.put(_lost())
                return reply
            if reply.get("id") == self._sent:
                return reply

    def ask(
        self,
        operation: str,
        limit_s: float,
        **values: Any,  # noqa: ANN401 (JSON)
    ) -> dict[str, Any]:
        """Send a request and wait.

        Raises:
            InfrastructureError: no answer within the limit, or nobody to give one.
        """
        self.send(operation, **values)
        reply = self.answer(limit_s)
        if reply is None:
            text = f"Harbor: {operation} took longer than {limit_s:g} s"
            raise InfrastructureError(text)
        if reply.get("error") == LOST:
            raise InfrastructureError(f"Harbor: {operation}: {reply['detail']}")
        return reply

    def end(self) -> None:
        """End the process; it holds nothing that matters any more."""
        self._popen.kill()
        self._popen.wait()


def _lost() -> dict[str, Any]:
    return {"ok": False, "error": LOST, "detail": _ENDED}
