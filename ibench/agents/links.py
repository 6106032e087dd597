"""Host files in folders that an agent could write: never through a link of its own."""

from __future__ import annotations

from pathlib import Path

__all__ = ["own_path"]


def own_path(folder: Path, name: str) -> Path:
    """Path below a folder that an agent could write; links on the way are removed.

    For the time between two lives of a session: none of its processes runs.
    """
    path = folder
    for part in Path(name).parts:
        path = path / part
        if path.is_symlink():
            path.unlink()
    return path
