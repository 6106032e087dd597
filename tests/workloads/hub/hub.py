"""A small hub on loopback: tree listings, files in pieces, and ways to go wrong."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_TREE = re.compile(r"/api/(model|dataset)s/([^/]+/[^/]+)/tree/([^/?]+)")
_FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass
class Hub:
    """Repositories as files by path; every one has the commit ``COMMIT`` only."""

    repositories: dict[str, dict[str, bytes]]
    gated: set[str] = field(default_factory=set)
    commit: str = COMMIT
    cuts: dict[str, int] = field(default_factory=dict)  # path: bodies to cut at half
    sent: dict[str, bytes] = field(default_factory=dict)  # path: not what is listed
    stall: set[str] = field(default_factory=set)  # path: half, then silence
    stalled: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""

    def gets(self, path: str) -> list[str | None]:
        """The ``Range`` header of every GET of a file."""
        return [r for verb, at, r in self.asked if verb == "GET" and at.endswith(path)]


def git_id(content: bytes) -> str:
    blob = b"blob %d\0" % len(content) + content
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def is_large(path: str) -> bool:
    return path.endswith((".safetensors", ".parquet", "data.json"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub = self.server.hub
        hub.asked.append((self.command, self.path, self.headers.get("Range")))
        tree, file = _TREE.match(self.path), _FILE.match(self.path)
        match = tree or file
        if match is None:
            self._send(404, b"", {})
            return
        name, commit = match[2], match[3]
        if name not in hub.repositories:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif name in hub.gated and not self.headers.get("Authorization"):
            self._send(403, b"", {"X-Error-Code": "GatedRepo"})
        elif commit != hub.commit:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif tree:
            self._send(200, _tree(hub.repositories[name]), {})
        else:
            self._file(hub, hub.repositories[name], match[4])

    def _file(self, hub: Hub, files: dict[str, bytes], path: str) -> None:
        content = files[path]
        sha = hashlib.sha256(content).hexdigest()
        etag = sha if is_large(path) else git_id(content)
        content = hub.sent.get(path, content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": hub.commit}
        start = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if start:
            first, size = int(start[1]), len(content)
            headers["Content-Range"] = f"bytes {first}-{size - 1}/{size}"
            content = content[first:]
        self._send(206 if start else 200, content, headers, path)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], path: str = ""
    ) -> None:
        hub = self.server.hub
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        half = len(body) // 2
        if hub.cuts.get(path, 0):
            hub.cuts[path] -= 1
            self.wfile.write(body[:half])
            self.close_connection = True
        elif path in hub.stall:
            self.wfile.write(body[:half])
            hub.stalled.set()
            hub.over.wait(30)
            self.close_connection = True
        else:
            self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub

    def handle_error(self, *_: Any) -> None:
        """A client that was killed is part of the tests."""


def _tree(files: dict[str, bytes]) -> bytes:
    entries = []
    for path, content in files.items():
        entry: dict[str, Any] = {
            "type": "file",
            "path": path,
            "size": len(content),
            "oid": git_id(content),
        }
        if is_large(path):
            sha = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": sha, "size": len(content), "pointerSize": 134}
        entries.append(entry)
    return json.dumps(entries).encode()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    server = _Server(hub)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
