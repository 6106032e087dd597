"""Fetch one source from its hub, verify it, and only then give it its place.

A download lies in ``<place>.partial`` until every file is there and has the hash of
the hub's listing and of the lock. A later try keeps the files that came whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from ibench.errors import DataError
from ibench.params.data_lock import LockedFile
from ibench.workloads.hub.hub import (
    HUB_NOTES,
    HubFile,
    download,
    explained,
    is_as_listed,
    listing,
)
from ibench.workloads.hub.lock import (
    LOCK,
    add_to_lock,
    file_entry,
    read_lock,
    wrong_files,
)
from ibench.workloads.hub.sources import Source, place

__all__ = ["fetch"]

_SPARE_BYTES = 64 * 1024 * 1024
Files = Mapping[str, LockedFile]


def fetch(
    source: Source,
    cache: Path,
    params: Path,
    *,
    endpoint: str | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Return the folder of a source, complete and verified by content.

    Args:
        source: what to fetch.
        cache: the cache folder; the source's place is below it.
        params: folder of ``data.lock``; the first fetch of a source adds its entry.
        endpoint: address of the hub; by default the public one, or ``HF_ENDPOINT``.
        say: takes one line of progress.

    Raises:
        DataError: gated, no such repository or commit, no room, or a file that is not
            what the lock or the hub says.
        OfflineError: the hub is out of reach; files that came whole are kept.
    """
    folder = place(source, cache)
    locked = read_lock(params).sources.get(source.key)
    if folder.is_dir() and locked and not wrong_files(folder, locked):
        _verify(folder, locked)
        say(f"{source.key}: verified, {_size(locked)}")
        return folder
    partial = folder.with_name(folder.name + ".partial")
    if folder.is_dir():
        say(f"{source.key}: incomplete, fetching what is missing")
        folder.replace(partial)
    with explained(source, partial):
        partial.mkdir(parents=True, exist_ok=True)
        for stray in (partial / HUB_NOTES).rglob("*.incomplete"):
            stray.unlink()  # of a killed run: the hub's library never goes on with it
        listed = listing(source, endpoint)
        _check_room(source, partial, listed)
        download(source, partial, endpoint)
    found = {name: file_entry(partial / name) for name in listed}
    _compare_with_hub(partial, listed, found)
    _compare_with_lock(source, params, locked, found)
    state = "as locked"
    if locked is None:
        add_to_lock(params, source, found)
        state = f"first fetch, added to {params / LOCK}"
    shutil.rmtree(partial / HUB_NOTES, ignore_errors=True)
    partial.replace(folder)
    say(f"{source.key}: fetched, {_size(found)}, {state}")
    return folder


def _check_room(source: Source, partial: Path, listed: Mapping[str, HubFile]) -> None:
    """Refuse before the first byte what cannot end well; quotas show only later."""
    there = sum(p.stat().st_size for p in partial.rglob("*") if p.is_file())
    missing = max(0, sum(entry.bytes for entry in listed.values()) - there)
    free = shutil.disk_usage(partial).free
    if missing and missing + _SPARE_BYTES > free:
        raise DataError(
            f"{partial}: no room for {source.key}: {_gib(missing)} to fetch, "
            f"{_gib(free)} free: make room or put the cache on another disk; files "
            "that came whole are kept"
        )


def _verify(folder: Path, locked: Files) -> None:
    for name, entry in locked.items():
        found = file_entry(folder / name)
        if found != entry:
            raise DataError(
                f"{folder / name}: sha256 is {found.sha256}, locked is {entry.sha256}: "
                "changed on this disk; remove this file and run `make data` again"
            )


def _compare_with_hub(
    partial: Path, listed: Mapping[str, HubFile], found: Files
) -> None:
    for name, entry in listed.items():
        path = partial / name
        if not is_as_listed(path, entry, found[name].sha256):
            expected = entry.sha256 or f"Git id {entry.git_id}"
            path.unlink()  # so that the next try brings it anew
            raise DataError(
                f"{path}: sha256 is {found[name].sha256}, the hub lists {expected}: "
                "damaged on the way and removed; run `make data` again"
            )


def _compare_with_lock(
    source: Source, params: Path, locked: Files | None, found: Files
) -> None:
    if locked is None:
        return
    for name in sorted({*locked, *found}):
        if found.get(name) != locked.get(name):
            have, want = (
                f[name].sha256 if name in f else "none" for f in (found, locked)
            )
            raise DataError(
                f"{source.key}: {name}: the hub's file has sha256 {have}, locked is "
                f"{want}: the source changed; if that is meant, remove its entry from "
                f"{params / LOCK}"
            )


def _size(files: Files) -> str:
    return f"{len(files)} files, {_gib(sum(f.bytes for f in files.values()))}"


def _gib(size: int) -> str:
    return f"{size / 2**30:.3f} GiB"
