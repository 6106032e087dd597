"""Reservoir sampling as the published harness does it (reference 3.1 and 5)."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TypeVar

__all__ = ["reservoir"]

Item = TypeVar("Item")


def reservoir(items: Iterable[Item], n: int, seed: int) -> list[Item]:
    """Choose ``n`` items in one pass; all of them, in order, where there are no more.

    An integer seed and no name: the published choice of rows is what makes accuracies
    and request sets comparable. The choice for a smaller ``n`` is no part of the one
    for a larger.
    """
    generator = random.Random(seed)  # noqa: S311
    kept: list[Item] = []
    for seen, item in enumerate(items, start=1):
        if len(kept) < n:
            kept.append(item)
        elif (slot := generator.randrange(seen)) < n:
            kept[slot] = item
    return kept
