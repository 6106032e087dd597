"""Files on disk: hashes, atomic replacement, locks. The one place for each."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ibench.errors import DiskFullError
from ibench.records import sha256_of

__all__ = [
    "disk_errors",
    "file_sha256",
    "locked",
    "replacing",
    "tree_sha256",
    "try_lock",
    "write_atomic",
]


def file_sha256(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_sha256(folder: Path) -> str:
    """Hash a folder: relative names, executable bits, link targets and contents."""
    entries: dict[str, list[object]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            entries[name] = ["link", str(path.readlink())]
        elif path.is_file():
            entries[name] = [os.access(path, os.X_OK), file_sha256(path)]
    return sha256_of(entries)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or quota into one line; nothing published is touched.

    Raises:
        DiskFullError: no space, or no quota.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"{path}: no space left on the disk: free some and run the same "
                "command again; finished stages are kept"
            ) from error
        raise


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside a file; what is written there takes its place at the end.

    Readers see the old or the new file, never a part, and after an error the old one.

    Raises:
        DiskFullError: the previous file is untouched.
    """
    side = path.with_name(f".{path.name}.partial")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield side
            side.replace(path)
        finally:
            side.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that readers see the old or the new one, never a part.

    Raises:
        DiskFullError: the previous file is untouched.
    """
    with replacing(path) as side, side.open("wb") as stream:
        stream.write(data.encode() if isinstance(data, str) else data)
        stream.flush()
        os.fsync(stream.fileno())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file while the block runs; others who ask for it wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def try_lock(stream: IO[str], *, shared: bool) -> bool:
    """Take a lock on an open file if nobody is in its way; whether it was taken."""
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(stream, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
