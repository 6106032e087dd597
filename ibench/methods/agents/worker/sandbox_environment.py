"""Our sandbox as a Harbor environment: commands go to the exec server inside it.

Runs in Harbor's own virtual environment and knows nothing of the rest of the library.
The sandbox is started and ended by the library; ``start`` and ``stop`` only open and
close the channel.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shlex
import socket
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from harbor.environments.base import BaseEnvironment, ExecResult

__all__ = ["DryEnvironment", "SandboxEnvironment"]

LINE_LIMIT_BYTES = 64 * 2**20
GONE_CODE = 137  # what a command killed with its sandbox would have answered


class SandboxEnvironment(BaseEnvironment):
    """One sandbox of the library.

    Args:
        channel: file descriptor of the socket to the exec server.
    """

    def __init__(self, *args: Any, channel: int, **kwargs: Any) -> None:
        """Keep the descriptor."""
        self._fd = channel
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._gone = False
        super().__init__(*args, **kwargs)

    @staticmethod
    def type() -> str:
        """Name of this kind of environment."""
        return "ibench-sandbox"

    def _validate_definition(self) -> None:
        """There is no image to look for: the sandbox shows this host's files."""

    async def start(self, force_build: bool) -> None:
        """Open the channel."""
        channel = socket.socket(fileno=self._fd)
        self._reader, self._writer = await asyncio.open_connection(
            sock=channel, limit=LINE_LIMIT_BYTES
        )
        self._task = asyncio.create_task(self._listen())

    async def stop(self, delete: bool) -> None:
        """Close the channel."""
        self._task.cancel()
        self._writer.close()

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                reply = json.loads(line)
                if waiting := self._waiting.pop(reply.get("id"), None):
                    waiting.set_result(reply)
        except (OSError, ValueError):
            pass
        self._gone = True
        for waiting in self._waiting.values():
            waiting.set_result({"code": GONE_CODE, "stderr": "the sandbox has ended"})
        self._waiting.clear()

    async def _ask(self, **request: Any) -> dict[str, Any]:
        if self._gone:
            return {"code": GONE_CODE, "stderr": "the sandbox has ended"}
        number = next(self._ids)
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        self._writer.write(json.dumps({"id": number, **request}).encode() + b"\n")
        reply = await waiting
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:
        """Run a command; the sandbox has one user, whoever is asked for."""
        reply = await self._ask(
            op="exec",
            command=command,
            cwd=cwd,
            env=self._merge_env(env),
            timeout_s=timeout_sec,
        )
        return ExecResult(
            stdout=reply.get("stdout"),
            stderr=reply.get("stderr"),
            return_code=reply["code"],
        )

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        """Copy a file of the host into the sandbox, for its owner's eyes only."""
        data = base64.b64encode(Path(source_path).read_bytes()).decode()
        await self._ask(op="put", path=str(target_path), data=data)

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        """Copy a file out of the sandbox."""
        reply = await self._ask(op="get", path=str(source_path))
        Path(target_path).write_bytes(base64.b64decode(reply["data"]))

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        """Copy a folder into the sandbox."""
        with tempfile.NamedTemporaryFile(suffix=".tar") as packed:
            with tarfile.open(packed.name, "w") as tar:
                tar.add(source_dir, arcname=".")
            inside = f"/tmp/upload-{next(self._ids)}.tar"
            await self.upload_file(packed.name, inside)
        where = shlex.quote(str(target_dir))
        await self.exec(f"mkdir -p {where} && tar xf {inside} -C {where}; rm {inside}")

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        """Copy a folder out of the sandbox."""
        inside = f"/tmp/download-{next(self._ids)}.tar"
        await self.exec(f"tar cf {inside} -C {shlex.quote(str(source_dir))} .")
        with tempfile.NamedTemporaryFile(suffix=".tar") as packed:
            await self.download_file(inside, packed.name)
            with tarfile.open(packed.name) as tar:
                tar.extractall(target_dir, filter="data")


class DryEnvironment(SandboxEnvironment):
    """Notes commands instead of running them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start with an empty list."""
        self.commands: list[dict[str, Any]] = []
        super().__init__(*args, channel=-1, **kwargs)

    async def start(self, force_build: bool) -> None:
        """Nothing to open."""

    async def stop(self, delete: bool) -> None:
        """Nothing to close."""

    async def _ask(self, **request: Any) -> dict[str, Any]:
        self.commands.append(request)
        return {"code": 0, "stdout": "", "stderr": "", "data": ""}
