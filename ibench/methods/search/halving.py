"""Successive halving over request counts, within one server life.

A launch costs minutes and a request seconds, so a configuration that does well is
measured on with more requests while its server still runs; none is launched twice for
it. This is the rule of Li et al. (2020, arXiv 1810.05934) in its stopping form: nothing
waits for the others of a rung. Optuna has it as ``SuccessiveHalvingPruner``, but only
for trials of its own studies, which random search and SMAC3 have none of.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Halving", "climb", "rungs"]


def rungs(first: int, full: int, eta: int) -> tuple[int, ...]:
    """Request counts from the quick evaluation's to the full one's.

    Args:
        first: requests of a quick evaluation.
        full: requests of the full one.
        eta: ratio of neighbours; the lowest step may be wider, never narrower.
    """
    if full <= first:
        return (full,)
    counts = [full]
    while counts[0] // eta >= first * eta:
        counts.insert(0, counts[0] // eta)
    return (first, *counts)


class Halving:
    """Who is measured on: the best ``1/eta`` of those that reached the same rung.

    Args:
        counts: requests a rung; a single one is a plain search.
        eta: one in how many goes on; the best so far always does.
    """

    def __init__(self, counts: tuple[int, ...], eta: int) -> None:
        """Nothing was measured yet."""
        self.counts, self._eta = counts, eta
        self._seen: list[list[float]] = [[] for _ in counts]

    def goes_on(self, rung: int, objective: float) -> bool:
        """Take an objective in; say whether its configuration is measured on."""
        seen = self._seen[rung]
        seen.append(objective)
        if rung + 1 == len(self.counts):
            return False
        places = max(1, len(seen) // self._eta)
        return sum(other > objective for other in seen) < places


def climb(
    halving: Halving, measure: Callable[[int], float | None]
) -> tuple[float, ...]:
    """Measure one configuration rung by rung for as long as it goes on.

    Args:
        halving: who goes on.
        measure: requests to objective; None is a failure or no time left.

    Returns:
        Its objective at each rung reached, the lowest first.
    """
    values: list[float] = []
    for rung, requests in enumerate(halving.counts):
        value = measure(requests)
        if value is None:
            break
        values.append(value)
        if not halving.goes_on(rung, value):
            break
    return tuple(values)
