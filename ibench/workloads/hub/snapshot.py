"""The base model's folder, held against what it was: a changed one is never measured.

A sandbox shows it read-only. Where namespaces are forbidden, and for everybody else on
the host, it is an ordinary folder, and weights that one agent has replaced would be
served by every run after it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from ibench.errors import DataError
from ibench.workloads.hub.lock import file_entry

__all__ = [
    "FileState",
    "Snapshot",
    "changed_files",
    "check_snapshot",
    "hashes",
    "take_snapshot",
]


class FileState(NamedTuple):
    """One file; while the first four stand still, so does its content.

    The change time is the kernel's: no program can set it back.
    """

    inode: int
    bytes: int
    mtime_ns: int
    ctime_ns: int
    sha256: str


Snapshot: TypeAlias = dict[str, FileState]


def take_snapshot(
    folder: Path, known: Mapping[str, FileState] | None = None
) -> Snapshot:
    """Hash every file of a folder; what stands as it is known to is not read again."""
    found: Snapshot = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name, now = path.relative_to(folder).as_posix(), path.stat()
        outside = (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
        before = (known or {}).get(name)
        if before is not None and before[:4] == outside:
            found[name] = before
        else:
            found[name] = FileState(*outside, file_entry(path).sha256)
    return found


def changed_files(
    before: Mapping[str, str], after: Mapping[str, str]
) -> dict[str, str]:
    """Files that differ, came or went, with their present hash or ``missing``."""
    names = sorted({*before, *after})
    return {
        name: after.get(name, "missing")
        for name in names
        if before.get(name) != after.get(name)
    }


def check_snapshot(folder: Path, locked: Mapping[str, str] | None) -> Snapshot:
    """Make sure that a model is what was fetched, or made here; return its files.

    The first look at a folder that no lock describes is what later ones are held
    against; it is kept beside the folder, with the states that spare a second reading.

    Args:
        folder: of the model.
        locked: hash of each file that the lock names; others are left alone.

    Raises:
        DataError: a file is not what it was.
    """
    beside = folder.with_name(f".{folder.name}.snapshot.json")
    known = _read(beside)
    found = take_snapshot(folder, known)
    expected, present = hashes(known or found), hashes(found)
    remedy = f"remove the folder and {beside.name} beside it; it is then made anew"
    if locked is not None:
        expected = dict(locked)
        present = {name: present[name] for name in present if name in locked}
        remedy = "remove this file and run `make data` again"
    changed = changed_files(expected, present)
    if changed:
        name, sha256 = next(iter(changed.items()))
        before = expected.get(name, "no such file")
        raise DataError(
            f"{folder / name}: sha256 is {sha256[:16]}, was {before[:16]}: the base "
            f"model was changed, nothing is measured with it: {remedy}"
        )
    if found != known:
        side = beside.with_name(f"{beside.name}.{os.getpid()}")
        side.write_text(json.dumps(found))
        side.replace(beside)
    return found


def hashes(snapshot: Mapping[str, FileState]) -> dict[str, str]:
    """Content only."""
    return {name: state.sha256 for name, state in snapshot.items()}


def _read(path: Path) -> Snapshot:
    try:
        rows = json.loads(path.read_text())
        return {name: FileState(*row) for name, row in rows.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a snapshot: remove it") from error
