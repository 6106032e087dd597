"""Who runs a cell: one file an attempt, made by a link that only one can make.

``<n>.json`` is the n-th attempt. It is linked into place, so that of two jobs that
start at once one wins, on NFS too; its holder touches it while it lives and writes at
its end how it ended. A file without an end whose holder is gone is an attempt that
died. Nothing is ever taken away from a living holder, and the number of failures is
the number of such files: no counter can disagree with them.

The age of a heartbeat is the difference of two times that the same file server wrote;
clocks of hosts are not compared.
"""

from __future__ import annotations

import getpass
import os
import signal
import socket
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self, TypeAlias

from pydantic import Field, ValidationError

from ibench.errors import IbenchError
from ibench.files import disk_errors, write_atomic
from ibench.records import Closed
from ibench.serving.linux import kernel_id, started_ticks

__all__ = [
    "BEAT_S", "STALE_S", "Attempt", "CellClaim", "Ending", "HeldError", "Owner",
    "attempts", "is_alive", "latest", "process_here",
]  # fmt: skip

BEAT_S, STALE_S = 10.0, 90.0
Ending: TypeAlias = Literal[
    "done",
    "failed",  # the stage failed: never tried again by itself
    "blocked",  # a person has to mend something first
    "infrastructure",
    "killed",  # by a scheduler: its time limit, its node
    "preempted",
    "cancelled",
    "died",  # never written: what an attempt without an end and holder is
]


class Owner(Closed):
    """A process, told apart from every other one on every host."""

    user: str
    host: str
    kernel: str = Field(description="boot and PID namespace: where a pid means this")
    pid: int
    started: str = Field(description="ticks since boot: pids come again")
    job: str | None = Field(default=None, description="the scheduler's id")
    gpus: str | None = None

    @classmethod
    def this(cls, job: str | None = None, gpus: str | None = None) -> Owner:
        """Describe this process."""
        return cls(
            user=_user(),
            host=socket.gethostname(),
            kernel=kernel_id(),
            pid=os.getpid(),
            started=started_ticks(os.getpid()) or "",
            job=job,
            gpus=gpus,
        )


class Attempt(Closed):
    """One attempt at a cell."""

    number: int = Field(ge=1)
    key: str = Field(description="of the parameters: others' failures do not count")
    owner: Owner
    begun_utc: str
    ended: Ending | None = None
    detail: str = ""

    @property
    def who(self) -> str:
        """Name the holder, for people."""
        job = f", job {self.owner.job}" if self.owner.job else ""
        return f"{self.owner.user} on {self.owner.host}{job}, since {self.begun_utc}"


class HeldError(IbenchError):
    """Somebody else runs this now; not a failure.

    Args:
        attempt: theirs.
    """

    exit_code = 0

    def __init__(self, attempt: Attempt | None) -> None:
        """Keep whose it is."""
        self.attempt = attempt
        super().__init__(f"run by {attempt.who}" if attempt else "being claimed")


def attempts(folder: Path) -> list[Attempt]:
    """Read every attempt, oldest first; the ones that died are marked so."""
    read = (_read(folder / f"{n}.json") for n in _numbers(folder))
    found = [a for a in read if a is not None]
    return [
        a
        if a.ended or (a is found[-1] and is_alive(folder, a))
        else a.model_copy(update={"ended": "died", "detail": "its process is gone"})
        for a in found
    ]


def latest(folder: Path) -> Attempt | None:
    """Return the newest attempt as it stands in its file."""
    numbers = _numbers(folder)
    return _read(folder / f"{numbers[-1]}.json") if numbers else None


def _numbers(folder: Path) -> list[int]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 (a hundred thousand of them)
    except FileNotFoundError:
        return []
    return sorted(int(n[:-5]) for n in names if n[0].isdigit() and n.endswith(".json"))


def process_here(attempt: Attempt) -> int | None:
    """Pid of a holder that lives on this host; None: ended, gone or elsewhere."""
    owner = attempt.owner
    here = attempt.ended is None and owner.kernel == kernel_id()
    return owner.pid if here and started_ticks(owner.pid) == owner.started else None


def is_alive(folder: Path, attempt: Attempt) -> bool:
    """Whether the holder of an unfinished attempt still lives."""
    if attempt.ended:
        return False
    if attempt.owner.kernel == kernel_id():
        return process_here(attempt) is not None
    try:
        return _age_s(folder, folder / f"{attempt.number}.json") < STALE_S
    except OSError:
        return True  # unknown is not dead


class CellClaim:
    """Holds a folder for one process; a context manager.

    Args:
        folder: of the attempts of one cell.
        key: hash of what is to be run.
        owner: this process.
        utc: the time for people.
        beat_s: seconds between heartbeats.

    Raises:
        HeldError: a living process holds it.
        DiskFullError: no room for the claim; nothing has started.
    """

    def __init__(
        self, folder: Path, key: str, owner: Owner, utc: str, beat_s: float = BEAT_S
    ) -> None:
        """Claim, or say who was first."""
        numbers = _numbers(folder)
        last = _read(folder / f"{numbers[-1]}.json") if numbers else None
        if last is not None and is_alive(folder, last):
            raise HeldError(last)
        self.folder, self._beat_s = folder, beat_s
        number = numbers[-1] + 1 if numbers else 1
        self.attempt = Attempt(number=number, key=key, owner=owner, begun_utc=utc)
        self.path = folder / f"{self.attempt.number}.json"
        self._next = folder / f"{self.attempt.number + 1}.json"
        _link(self.path, self.attempt)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        """Start the heartbeat."""
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        """End the heartbeat; an end that nobody wrote is a failure."""
        self._stop.set()
        self._thread.join()
        if self.attempt.ended is None:
            detail = f"{type(error).__name__}: {error}" if error else "no end was given"
            self.end("failed", detail)

    def end(self, ended: Ending, detail: str = "") -> None:
        """Write how it ended; the claim is free afterwards."""
        line = " ".join(detail.split())
        self.attempt = self.attempt.model_copy(update={"ended": ended, "detail": line})
        write_atomic(self.path, self.attempt.model_dump_json(indent=1).encode())

    def _beat(self) -> None:
        while not self._stop.wait(self._beat_s):
            with suppress(OSError):  # a file server that is away comes back
                os.utime(self.path)
            if self._next.exists():
                # Taken for dead and replaced: whatever this process still wrote would
                # land in the other's run. Its children die with it.
                os.kill(os.getpid(), signal.SIGKILL)


def _link(path: Path, attempt: Attempt) -> None:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        side = path.with_name(f".{uuid.uuid4().hex}")
        try:
            side.write_text(attempt.model_dump_json(indent=1))
            os.link(side, path)
        except FileExistsError:
            raise HeldError(_read(path)) from None
        finally:
            side.unlink(missing_ok=True)


def _read(path: Path) -> Attempt | None:
    try:
        return Attempt.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _age_s(folder: Path, path: Path) -> float:
    """Seconds since a heartbeat, by the file server's own clock."""
    now = folder / f".{uuid.uuid4().hex}"
    try:
        now.touch()
        return now.stat().st_mtime - path.stat().st_mtime
    finally:
        now.unlink(missing_ok=True)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()}"
