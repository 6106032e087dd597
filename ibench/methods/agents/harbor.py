"""Drives an agent through Harbor: its worker outside the sandbox, commands inside.

One sandbox lasts the whole session. Its first process is the exec server; the worker,
a process of Harbor's own Python environment, sends it commands over a socket pair.
The worker holds the keys in its environment and passes each to the command that needs
it, in the environment again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from ibench.errors import AccessError, InfrastructureError
from ibench.files import write_atomic
from ibench.methods.agents.access import Access
from ibench.methods.agents.continuation import (
    INFRASTRUCTURE,
    Turn,
    classify,
    needs_a_person,
)
from ibench.methods.agents.driver import Usage
from ibench.methods.agents.install import Installed
from ibench.methods.agents.links import own_path
from ibench.methods.agents.places import Places, open_request, with_agent, worker_env
from ibench.methods.agents.worker_process import Worker, WorkerError
from ibench.params import HarborAgent
from ibench.serving.limits import LimitWatch
from ibench.serving.processes import Process
from ibench.serving.sandbox import Sandbox, SandboxKind

__all__ = ["HarborDriver"]

SETUP_LIMIT_S = 600.0
REPLY_LIMIT_S = 60.0


class HarborDriver:
    """One Harbor agent in one sandbox.

    Args:
        agent: what to drive.
        installed: Harbor and the agent's program on this host.
        access: keys and logins.
        sandbox: what the agent may see beside its program, home and logs.
        kind: how that is enforced.
        places: folders on the host.
        session_id: names the session to the agent's provider, where it takes a name.
        clock: monotonic seconds.
    """

    restartable = True

    def __init__(
        self,
        agent: HarborAgent,
        installed: Installed,
        access: Access,
        sandbox: Sandbox,
        kind: SandboxKind,
        places: Places,
        session_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the parts; ``setup`` starts processes."""
        self.agent, self._installed, self._access = agent, installed, access
        self._kind, self._places, self._clock = kind, places, clock
        self._session_id = session_id
        self._state = {
            place: places.home.parent / "state" / str(number)
            for number, place in enumerate(agent.state)
        }
        self._sandbox = with_agent(sandbox, installed, places, self._state)
        self._process: Process | None = None
        self._worker: Worker | None = None
        self._watch: LimitWatch | None = None
        self._started, self._running, self._ready = 0.0, False, False
        self._close_s: float | None = None
        addresses = (urlsplit(value).netloc for value in agent.env.values())
        self._provider = tuple(address for address in addresses if address)
        self.resumable = False

    def setup(self) -> None:
        """Start sandbox and worker, and install the agent or find it.

        Raises:
            InfrastructureError: Harbor or the provider is not there.
            AccessError: somebody must log in, pay or install.
            WorkerError: the agent could not be made ready; the message says why.
        """
        self._places.transcript.touch()  # there, however early the session ends
        self._rescue()
        self._lay_out_home()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._process = Process(
                ["python", "-m", "ibench.methods.agents.execserver"],
                sandbox=self._sandbox,
                kind=self._kind,
                log_path=self._places.transcript,
                stdin=theirs.fileno(),
            )
            self._watch = self._watch_own_folders(self._process)
            self._worker = Worker(
                self._installed.python,
                worker_env(self._access, self._places),
                self._places.logs / "worker.log",
                ours.fileno(),
            )
            request = open_request(self.agent, self._places, self._session_id)
            request |= {"channel": ours.fileno(), "check": self._installed.check}
            if self.agent.cli.place is not None and self._installed.root is not None:
                request["links"] = {self.agent.cli.place: str(self._installed.root)}
            self._need("open", REPLY_LIMIT_S, **request)
        self.resumable = bool(self._need("setup", SETUP_LIMIT_S)["resume"])
        self._ready = True

    def _watch_own_folders(self, process: Process) -> LimitWatch:
        """Home and logs count like the workspace, which the process watches."""

        def end() -> None:
            for pid in process.members():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        return LimitWatch(
            self._places.logs.parent,
            memory_mib=None,
            disk_mib=self._sandbox.disk_mib,
            members=process.members,
            end=end,
        )

    def _need(self, operation: str, limit_s: float, **values: Any) -> dict[str, Any]:  # noqa: ANN401
        assert self._worker is not None  # noqa: S101 (set by setup)
        reply = self._worker.ask(operation, limit_s, **values)
        if not reply["ok"]:
            turn = Turn(0.0, reply["error"], tuple(reply.get("family", ())))
            text = f"{self.agent.agent}: {reply['error']}: {reply['detail'][:500]}"
            if needs_a_person(turn):
                raise AccessError(text)
            if classify(turn) in INFRASTRUCTURE:
                raise InfrastructureError(text)
            raise WorkerError(text)
        return reply

    def _rescue(self) -> None:
        """Copy what Harbor could not: the agent was killed, or its machine was."""
        for place, name in self.agent.state.items():
            found = self._state[place] / name
            if found.is_dir():
                kept = own_path(self._places.shown, f"agent/{name}")
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(found, kept, symlinks=True)
            shutil.rmtree(self._state[place], ignore_errors=True)
            self._state[place].mkdir(parents=True)

    def _lay_out_home(self) -> None:
        # Some agents give commands to a login shell, which would forget the path.
        path = self._sandbox.env.get("PATH", self._installed.path)
        home = self._places.home
        own_path(home, ".profile").write_text(f'export PATH="{path}"\n')
        for target, source in self._access.files.items():
            login = own_path(home, target)
            login.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, login)
            login.chmod(0o600)

    def begin(self, instruction: str, *, resume: bool) -> None:
        """Give the agent an instruction."""
        assert self._worker is not None  # noqa: S101 (set by setup)
        self._started, self._running = self._clock(), True
        with suppress(InfrastructureError):  # the answer will say so
            self._worker.send("run", instruction=instruction, resume=resume)

    def wait(self, timeout_s: float) -> Turn | None:
        """Wait for the agent's program to end."""
        assert self._worker is not None  # noqa: S101 (set by setup)
        reply = self._worker.answer(timeout_s)
        if reply is None:
            return None
        self._running = False
        self._note(reply.get("usage"))
        return Turn(
            self._clock() - self._started,
            reply.get("error"),
            tuple(reply.get("family", ())),
            reply.get("detail", ""),
            provider=self._provider,
        )

    def _note(self, usage: dict[str, Any] | None) -> None:
        """Say what it cost so far, where the agent cannot write, for who looks on."""
        if usage is not None:
            path = self._places.logs.parent / "usage.json"
            write_atomic(path, json.dumps(usage))

    def over_limit(self) -> str | None:
        """Which limit the sandbox was ended for."""
        reasons = [self._watch.reason if self._watch else None]
        reasons += [self._process.over_limit() if self._process else None]
        return next((r for r in reasons if r is not None), None)

    def stop(self, grace_s: float) -> tuple[str, ...]:
        """End the sandbox; within the grace Harbor copies what the agent wrote."""
        if self._watch is not None:
            self._watch.stop()
        return self._process.stop(grace_s=grace_s) if self._process else ()

    def hurry(self, limit_s: float) -> None:
        """Let ``close`` take this long at most."""
        self._close_s = limit_s

    def close(self) -> Usage:
        """Have the trajectory written, end the worker, take the logins away.

        One that was not made ready has no trajectory, and may be in another thread's
        hands: it is ended.
        """
        try:
            if self._worker is None or not self._ready:
                return Usage()
            return self._usage(self._worker)
        except InfrastructureError as error:
            return Usage(problems=(str(error),))
        finally:
            if self._worker is not None:
                self._worker.end()
            for target in self._access.files:
                (self._places.home / target).unlink(missing_ok=True)

    def _usage(self, worker: Worker) -> Usage:
        end = self._clock() + (self._close_s or float("inf"))

        def limit_s() -> float:
            return max(0.0, min(REPLY_LIMIT_S, end - self._clock()))

        interrupted = self.wait(limit_s()) if self._running else None
        self._rescue()
        notes = {"session": self._session_id}
        found = worker.ask("trajectory", limit_s(), notes=notes)
        if not found["ok"]:
            return Usage(problems=(f"{found['error']}: {found['detail'][:300]}",))
        return Usage(
            found["n_input_tokens"],
            found["n_cache_tokens"],
            found["n_output_tokens"],
            found["cost_usd"],
            found["steps"],
            found["answered"],
            tuple(found["problems"]),
            interrupted,
        )
