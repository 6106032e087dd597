"""Folders that an agent could write, in the host's hands again.

For the time between two lives of a session and after the last: none of its processes
runs. Nothing here follows a link of the agent's, asks for a permission that it took
away, or recurses: folders may be nested deeper than Python goes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = [
    "HOLES_FROM_BYTES", "drop_links", "entries", "folders", "is_utf8", "leaves",
    "own_path", "printable", "read_head", "remove", "reopen",
]  # fmt: skip

HOLES_FROM_BYTES = 2**30


def own_path(folder: Path, name: str) -> Path:
    """Path below a folder that an agent could write; links on the way are removed."""
    path = folder
    for part in Path(name).parts:
        path = path / part
        if path.is_symlink():
            path.unlink()
    return path


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name; nothing where it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []


def folders(root: Path) -> Iterator[Path]:
    """A folder and all below it; each is looked into after it was handed out."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        yield folder
        found = (e for e in entries(folder) if e.is_dir(follow_symlinks=False))
        waiting += [Path(entry.path) for entry in found]


def reopen(root: Path) -> None:
    """Give the owner back what an agent took away: to read, write and look into."""
    for folder in folders(root):
        _allow(folder, stat.S_IRWXU)
        for entry in entries(folder):
            if entry.is_file(follow_symlinks=False):
                _allow(Path(entry.path), stat.S_IRUSR | stat.S_IWUSR)


def _allow(path: Path, bits: int) -> None:
    with suppress(OSError):  # somebody else's, or gone
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & bits != bits:
            path.chmod(mode | bits)


def remove(root: Path) -> None:
    """Remove a folder; what cannot be removed stays, and nothing is raised."""
    if root.is_symlink():
        with suppress(OSError):
            root.unlink()
        return
    reopen(root)
    for folder in reversed(list(folders(root))):
        for entry in entries(folder):
            if not entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    Path(entry.path).unlink()
        with suppress(OSError):
            folder.rmdir()


def leaves(link: Path, root: Path) -> bool:
    """Whether a link leads out of a folder; one that leads nowhere does not.

    Args:
        link: it.
        root: the folder, resolved.
    """
    # Path.resolve raises where links lead in a circle.
    return not Path(os.path.realpath(link)).is_relative_to(root)


def drop_links(root: Path) -> list[str]:
    """Remove every link that leads out of a folder; name them."""
    dropped, resolved = [], root.resolve()
    for folder in folders(root):
        for entry in entries(folder):
            link = Path(entry.path)
            if entry.is_symlink() and leaves(link, resolved):
                link.unlink()
                dropped.append(printable(link.relative_to(root).as_posix()))
    return dropped


def read_head(path: Path, limit_bytes: int) -> bytes | None:
    """Read the beginning of a plain file; None if there is none, or only a link."""
    try:
        # Opened without following a link and without waiting for a pipe, then asked.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        with os.fdopen(handle, "rb", closefd=False) as stream:
            return stream.read(limit_bytes)
    finally:
        os.close(handle)


def is_utf8(name: str) -> bool:
    """Whether a name, or a line with one, can be written into a record."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    """Write a name for people and records; bytes that are no text as escapes."""
    return name if is_utf8(name) else ascii(name)
