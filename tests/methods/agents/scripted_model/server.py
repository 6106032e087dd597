"""A model that plays a scenario behind a provider's API, on a loopback port.

Run as a program it serves one scenario until it is stopped:
``python -m tests.methods.agents.scripted_model SCENARIO.yaml [PORT]``.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.methods.agents.scripted_model.scenario import Failure, Scenario, Step
from tests.methods.agents.scripted_model.wire import (
    DIALECTS,
    Answer,
    Dialect,
    shell_call,
    stop_call,
)

__all__ = ["ScriptedModel", "main"]


class ScriptedModel:
    """A server on a free loopback port; a context manager.

    Args:
        scenario: what it plays.
        key: the only key it takes; None takes any.
        port: 0 for a free one.
    """

    def __init__(
        self, scenario: Scenario, key: str | None = None, port: int = 0
    ) -> None:
        self._scenario, self._key = scenario, key
        self._lock, self._next, self._failed = threading.Lock(), 0, 0
        self.requests: list[tuple[str, dict[str, Any]]] = []
        model = self

        class Handler(_Handler):
            owner = model

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def played(self) -> int:
        """Steps of the scenario that were asked for."""
        return self._next

    def takes(self, headers: Any) -> bool:
        """Whether a request's key is the right one."""
        sent = headers.get("x-api-key") or headers.get("authorization", "")
        return self._key is None or sent.removeprefix("Bearer ") == self._key

    def next_step(self) -> Step:
        """The step to play now; a failing one as often as it says."""
        with self._lock:
            index = min(self._next, len(self._scenario.steps) - 1)
            step = self._scenario.steps[index]
            if step.fail and self._failed + 1 < step.fail.times:
                self._failed += 1
            else:
                self._next, self._failed = self._next + 1, 0
            return step


class _Handler(BaseHTTPRequestHandler):
    owner: ScriptedModel
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._send({})

    def do_GET(self) -> None:
        if self.headers.get("upgrade"):
            # A client that tries a web socket first is told to speak HTTP.
            self._send({"error": {"message": "HTTP only"}}, 426)
            return
        model = {"id": "scripted", "object": "model", "type": "model"}
        self._send({"object": "list", "data": [model]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        if not path.startswith("/v1/"):
            path = f"/v1{path}"
        dialect = DIALECTS.get(path)
        if path.endswith("/count_tokens"):
            self._send({"input_tokens": 100})
        elif dialect is None:
            self._send({"error": {"message": f"no {path}"}}, 404)
        elif not self.owner.takes(self.headers):
            kind = (
                "invalid_api_key" if "messages" not in path else "authentication_error"
            )
            self._fail(
                dialect, Failure(status=401, kind=kind, message="invalid x-api-key")
            )
        else:
            self._play(dialect, json.loads(body))

    def _play(self, dialect: Dialect, request: dict[str, Any]) -> None:
        self.owner.requests.append((dialect.path, request))
        tools = dialect.tools(request)
        try:
            shell_call(tools, "")
        except LookupError:
            self._answer(dialect, request, Answer("Scripted"))
            return
        step = self.owner.next_step()
        time.sleep(step.wait_s)
        if step.fail:
            self._fail(dialect, step.fail)
            return
        call = shell_call(tools, step.run) if step.run is not None else stop_call(tools)
        self._answer(dialect, request, Answer(step.say, call))

    def _answer(
        self, dialect: Dialect, request: dict[str, Any], answer: Answer
    ) -> None:
        reply = dialect.reply(request, answer)
        if not request.get("stream"):
            self._send(reply)
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for name, data in dialect.events(reply):
            text = data if isinstance(data, str) else json.dumps(data)
            lead = f"event: {name}\n" if name else ""
            self.wfile.write(f"{lead}data: {text}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True

    def _fail(self, dialect: Dialect, failure: Failure) -> None:
        self._send(dialect.error(failure.kind, failure.message), failure.status)

    def _send(self, document: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def main(argv: list[str]) -> int:
    """Serve one scenario until stopped."""
    port = int(argv[1]) if len(argv) > 1 else 0
    with ScriptedModel(Scenario.read(Path(argv[0])), port=port) as model:
        sys.stdout.write(f"{model.url}\n")
        sys.stdout.flush()
        threading.Event().wait()
    return 0
