"""Which weights a server uses: what its processes opened, cached and were told.

An engine that copied its weights to a GPU has closed their files, so three witnesses
are asked: files that are open or mapped, models in the hub cache that the processes
were given, and words of their command lines that are folders beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ibench.serving.linux import command_line, mapped_files, open_files, variable

__all__ = ["CACHED", "LOCAL", "OPENED", "opened_by"]

OPENED, CACHED, LOCAL = "file", "hub", "local"
"""Kinds of an entry: a weight file, a model of the hub cache, a folder that is told."""

_KEPT = 256
_WEIGHTS = re.compile(
    r"\.(?:safetensors|gguf|ggml|bin|pt|pth|ckpt|onnx|engine|npz|msgpack|h5)$", re.I
)
_IN_CACHE = re.compile(r"/models--([^/]+?)--([^/]+)/")
_FOLDER = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)+")


def opened_by(pids: Iterable[int]) -> tuple[str, ...]:
    """Entries ``<kind> <what>`` for the weights of these processes, at most 256.

    ``file PATH``: a weight file that is open or mapped. ``hub OWNER/NAME``: a model
    with files in a hub cache that a process was given or reads from. ``local PATH``: a
    relative path on a command line that is a folder below that process's own.

    Args:
        pids: processes of one server, while it runs.
    """
    found: dict[str, None] = {}
    for pid in pids:
        found |= dict.fromkeys(_of(pid))
    return tuple(sorted(found))[:_KEPT]


def _of(pid: int) -> Iterator[str]:
    for path in sorted(mapped_files(pid) | open_files(pid)):
        if match := _IN_CACHE.search(path):
            yield f"{CACHED} {match[1]}/{match[2]}"
        if _WEIGHTS.search(path):
            yield f"{OPENED} {path}"
    for cache in _caches(pid):
        for owner, name in _cached(cache):
            yield f"{CACHED} {owner}/{name}"
    folder = Path(f"/proc/{pid}/cwd")
    for word in _FOLDER.findall(command_line(pid)):
        if _is_folder(folder / word):
            yield f"{LOCAL} {word}"


def _caches(pid: int) -> Iterator[Path]:
    """Hub caches as the process sees them, below its own root."""
    root = f"/proc/{pid}/root"
    places = (
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "/hub"),
        ("HOME", "/.cache/huggingface/hub"),
    )
    for name, below in places:
        value = variable(pid, name)
        if value:
            yield Path(f"{root}{value}{below}")


def _cached(cache: Path) -> Iterator[tuple[str, str]]:
    """Models with a file among their blobs; an empty folder was only asked for."""
    try:
        folders = sorted(cache.glob("models--*--*"))
        for folder in folders:
            if any((folder / "blobs").iterdir()):
                owner, _, name = folder.name.removeprefix("models--").partition("--")
                yield owner, name
    except OSError:  # gone, or not ours to read
        return


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
