"""What ships: the best trials at full evaluation, the next where one fails a gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ibench.records import Confirmation, Trial

__all__ = ["Choice", "Leaders", "choose", "confirm"]

LATE = "late"
"""Outcome of a full evaluation that the budget cut: it says nothing else."""


class Choice(NamedTuple):
    """The trial that ships, and whether a full evaluation confirmed it."""

    trial: Trial | None
    confirmation: Confirmation | None

    @property
    def confirmed(self) -> bool:
        """Whether the gates were passed at full evaluation."""
        return self.confirmation is not None


class Leaders:
    """Who would be among the best so far; only they are worth the gate's time.

    Whoever is among the best in the end was so when it was evaluated, so that no
    leader goes unasked.

    Args:
        top: how many lead.
    """

    def __init__(self, top: int) -> None:
        """Nobody leads yet."""
        self._top, self._found = top, list[tuple[int, float]]()

    def has_room(self, requests: int, objective: float) -> bool:
        """Say whether this would lead, ranked as ``ranked`` does."""
        key = (requests, objective)
        return sum(other > key for other in self._found) < self._top

    def add(self, requests: int, objective: float) -> None:
        """Add one that passed, or was not asked."""
        self._found.append((requests, objective))


def confirm(
    ranking: Sequence[Trial],
    check: Callable[[Trial], Confirmation | None],
    top: int,
) -> tuple[Confirmation, ...]:
    """Evaluate trials in full, the best first, until ``top`` of them have passed.

    Args:
        ranking: trials, the best first.
        check: runs one to what came, or None if the time left is too short.
        top: how many have to pass; nothing is evaluated for 0.
    """
    rows: list[Confirmation] = []
    for trial in ranking:
        if sum(row.outcome == "ok" for row in rows) >= top:
            break
        row = check(trial)
        if row is None:
            break
        rows.append(row)
    return tuple(rows)


def choose(ranking: Sequence[Trial], rows: Sequence[Confirmation]) -> Choice:
    """Choose the confirmed trial with the largest full objective.

    Without one: the best trial that did not fail. If all of them failed, the best; it
    will fail again, and the record says so.
    """
    by_index: dict[int | None, Trial] = {t.index: t for t in ranking}
    passed = [r for r in rows if r.outcome == "ok"]
    if passed:
        best = max(passed, key=lambda r: r.objective or 0.0)
        return Choice(by_index[best.trial], best)
    failed = {r.trial for r in rows if r.outcome != LATE}
    unharmed = [t for t in ranking if t.index not in failed]
    return Choice(next(iter([*unharmed, *ranking]), None), None)
