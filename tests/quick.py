"""A test that is not marked slow must start nothing dear: it fails instead."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["nothing_dear"]

# Kernels, browsers, engines and clusters by a word of their command lines.
DEAR = ("ipykernel", "study.notebook", "jupyterlab", "chromium", "slurmctld",
        "serving.reference", "node_modules")  # fmt: skip
# Commands of ours that start such things in processes of their own.
COMMANDS = {"stage", "pool", "gpu-check", "score", "search"}

_watched: list[str] = []


class DearError(AssertionError):
    """A test that is not marked slow starts something that is."""


def _look(event: str, arguments: tuple[object, ...]) -> None:
    if event != "subprocess.Popen" or not _watched:
        return
    given = arguments[1]
    words = [str(w) for w in given] if isinstance(given, list | tuple) else [str(given)]
    ours = "ibench" in words and COMMANDS.intersection(words)
    if ours or any(dear in word for dear in DEAR for word in words[:8]):
        raise DearError(f"{_watched[-1]} starts {' '.join(words)[:120]}: mark it slow")


sys.addaudithook(_look)


@contextmanager
def nothing_dear(test: str) -> Iterator[None]:
    """Refuse to start anything dear meanwhile, in this process."""
    _watched.append(test)
    try:
        yield
    finally:
        _watched.remove(test)
