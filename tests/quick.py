"""A test that is not marked slow must start nothing dear: it fails instead."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

__all__ = ["DearError", "nothing_dear"]

PROGRAMS = {"chromium", "chromium-browser", "jupyter", "jupyter-lab", "slurmctld"}
MODULES = {"ipykernel", "ipykernel_launcher", "jupyterlab", "ibench.study.notebook",
           "ibench.serving.reference"}  # fmt: skip
# Commands of ours that start such things in processes of their own.
COMMANDS = {"stage", "pool", "gpu-check", "score", "search"}

_watched: list[str] = []


class DearError(AssertionError):
    """A test that is not marked slow starts something that is."""


def _is_dear(words: list[str]) -> bool:
    if PurePath(words[0]).name in PROGRAMS:
        return True
    if words[1:2] != ["-m"] or len(words) < 3:
        return False
    module, *rest = words[2:]
    return module in MODULES or (module == "ibench" and bool(COMMANDS & {*rest[:1]}))


def _look(event: str, arguments: tuple[object, ...]) -> None:
    if event == "subprocess.Popen" and _watched:
        given = arguments[1]
        if isinstance(given, list | tuple) and given and _is_dear([*map(str, given)]):
            words = " ".join(map(str, given))[:120]
            raise DearError(f"{_watched[-1]} starts {words}: mark it slow")


sys.addaudithook(_look)


@contextmanager
def nothing_dear(test: str) -> Iterator[None]:
    """Refuse to start anything dear meanwhile, in this process."""
    _watched.append(test)
    try:
        yield
    finally:
        _watched.remove(test)
