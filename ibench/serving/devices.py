"""GPUs of this host that a sandbox shows, by the names a scheduler gave them.

``CUDA_VISIBLE_DEVICES`` holds numbers or UUIDs (HTCondor). Numbers mean the host's
cards, or, where the scheduler locks the other cards' device files away (Slurm with
constrained devices), those that are left, counted from 0. Which of the two it is can
be seen: by the files that this process may open.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ibench.errors import SandboxError

__all__ = ["gpu_nodes", "visible_gpus"]


def visible_gpus(variable: str | None) -> tuple[str, ...] | None:
    """Names in ``CUDA_VISIBLE_DEVICES``; None where nobody chose."""
    if variable is None:
        return None
    return tuple(name for part in variable.split(",") if (name := part.strip()))


def _can_open(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError:
        return False
    return True


def gpu_nodes(
    gpus: tuple[str, ...] | None,
    dev: Path = Path("/dev"),
    can_open: Callable[[Path], bool] = _can_open,
) -> list[Path]:
    """Device files to show: the driver's own, and those of the chosen cards.

    A card that is named in a way no file shows (a UUID, a number among those that a
    scheduler left) is one of those that can be opened: all of these are shown, and the
    variable chooses among them.

    Args:
        gpus: names of the cards; None is every one, empty is none.
        dev: folder of the device files.
        can_open: whether this process may use a device file.

    Raises:
        SandboxError: cards were chosen, and not one of the host's can be opened.
    """
    nodes = sorted(dev.glob("nvidia*"))
    cards = {n: p for p in nodes if (n := p.name.removeprefix("nvidia")).isdecimal()}
    others = [p for p in nodes if p not in cards.values()]
    if gpus == ():
        return others
    usable = {name: path for name, path in cards.items() if can_open(path)}
    if gpus and cards and not usable:
        raise SandboxError(
            f"CUDA_VISIBLE_DEVICES: {','.join(gpus)}: none of {len(cards)} GPUs of "
            "this host can be opened: ask the scheduler for one, or the host's owner"
        )
    if gpus is None or not set(gpus) <= usable.keys():
        return [*others, *usable.values()]
    return [*others, *(usable[name] for name in gpus)]
