"""``params/data.lock``: size and SHA-256 of every file that a study takes from a hub.

The lock is tracked. The first fetch of a source writes its entry; every later one, on
any machine, is held against it. No entry is ever replaced here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from ibench.errors import DataError, OfflineError
from ibench.files import write_atomic
from ibench.params.data_lock import Lock, LockedFile
from ibench.workloads.hub.sources import Source, place

__all__ = [
    "add_to_lock",
    "file_entry",
    "locked_place",
    "read_lock",
    "wrong_files",
]

LOCK = "data.lock"


def read_lock(params: Path) -> Lock:
    """Read the lock of a parameter folder; empty where there is none.

    Raises:
        DataError: the file is not a lock.
    """
    path = params / LOCK
    try:
        return Lock.model_validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return Lock(sources={})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(str(part) for part in first["loc"]) or "-"
        raise DataError(
            f"{path}: {at}: {first['msg']}: restore the tracked file"
        ) from error


def add_to_lock(params: Path, source: Source, files: Mapping[str, LockedFile]) -> None:
    """Write the entry of a source that has none; written beside, then renamed."""
    lock = read_lock(params)
    if source.key in lock.sources:
        return
    entries = {**lock.sources, source.key: dict(files)}
    made = Lock(sources={key: entries[key] for key in sorted(entries)})
    text = json.dumps(made.model_dump(mode="json"), indent=2, sort_keys=True)
    write_atomic(params / LOCK, text + "\n")


def file_entry(path: Path) -> LockedFile:
    """Size and hash of a file on disk."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return LockedFile(sha256=digest.hexdigest(), bytes=path.stat().st_size)


def wrong_files(folder: Path, files: Mapping[str, LockedFile]) -> list[str]:
    """Locked files that are missing or of another size: seen without reading them."""
    wrong = []
    for name, entry in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry.bytes:
            wrong.append(name)
    return sorted(wrong)


def locked_place(source: Source, cache: Path, params: Path, profile: str) -> Path:
    """Folder of a source that was fetched, without network and without reading it.

    Raises:
        OfflineError: it was not fetched, or files are missing or cut short; one line
            with the command that mends it.
    """
    folder = place(source, cache)
    remedy = f"run `make data PROFILE={profile}` once with network access"
    if not folder.is_dir():
        raise OfflineError(f"{source.key}: not fetched: {remedy}")
    files = read_lock(params).sources.get(source.key)
    if files is None:
        raise OfflineError(f"{source.key}: not in {params / LOCK}: {remedy}")
    if wrong := wrong_files(folder, files):
        raise OfflineError(
            f"{folder}: {len(wrong)} of {len(files)} files missing or cut short "
            f"({wrong[0]}): {remedy}"
        )
    return folder
