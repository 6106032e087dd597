"""What is dear to make and only read: made once a run of pytest, whoever asks first."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

__all__ = ["made_once"]


def made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]
) -> Path:
    """The folder that ``make`` has filled; other processes of this run wait for it.

    A maker that fails leaves no mark, so whoever asks next tries again and fails with
    the reason in its own words.
    """
    base = factory.getbasetemp()
    # Each worker of xdist has a folder of its own below the run's.
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = root / name, root / f"{name}.made"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            done.touch()
    return folder
