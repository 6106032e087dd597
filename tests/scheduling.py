"""Who runs which test when several processes of pytest share the work.

Tests of a file stay together, for its fixtures; those of a file that is marked
``spread`` go one by one to whoever is free, and an ``xdist_group`` is kept together
across files. What is marked ``measures`` begins when every other worker has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadGroupScheduling

if TYPE_CHECKING:
    import pytest

__all__ = ["MEASURES", "SPREAD", "MeasuresLast", "group_of", "weight_of"]

MEASURES, SPREAD = "measures", "spread"


def group_of(item: pytest.Item) -> str | None:
    """The group of a test that does not simply stay with its file."""
    if item.get_closest_marker(MEASURES):
        return MEASURES
    if item.get_closest_marker("xdist_group"):
        return None  # named already
    return SPREAD if item.get_closest_marker(SPREAD) else None


def weight_of(item: pytest.Item) -> int:
    """Minutes begin first; what takes moments fills the gaps at the end."""
    marks = ("long", "slow")
    return next((i for i, m in enumerate(marks) if item.get_closest_marker(m)), 2)


class MeasuresLast(LoadGroupScheduling):  # type: ignore[misc]
    """Like ``loadgroup``, by file, and with one group that is given the machine alone.

    A worker begins its last test only when it knows what comes then. So each is told
    that nothing does as soon as only that group is left, but for one of them: it is
    given the group when all others have run what they had.
    """

    def _split_scope(self, nodeid: str) -> str:
        name, at, group = nodeid.rpartition("@")
        if not at or "]" in group:
            return nodeid.rpartition("::")[0]
        return name if group == SPREAD else group

    def _assign_work_unit(self, node: Any) -> None:
        if self._is_theirs(node):
            super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        if node.shutting_down:
            return
        is_last = not any(not n.shutting_down for n in self.nodes if n is not node)
        if not self.workqueue or not (self._is_theirs(node) or is_last):
            node.shutdown()
        elif self._pending_of(self.assigned_work[node]) <= 1:
            self._assign_work_unit(node)

    def mark_test_complete(
        self, node: Any, item_index: int, duration: float = 0
    ) -> None:
        super().mark_test_complete(node, item_index, duration)
        for other in self.nodes:
            if other is not node:
                self._reschedule(other)

    def remove_node(self, node: Any) -> str | None:
        crashed: str | None = super().remove_node(node)
        if MEASURES in self.workqueue:  # what is given back stands before it
            self.workqueue.move_to_end(MEASURES)
        for other in self.nodes:
            self._reschedule(other)
        return crashed

    def _is_theirs(self, node: Any) -> bool:
        """Whether what is next in the queue may be given to a worker now."""
        if next(iter(self.workqueue), None) != MEASURES:
            return True
        others = [n for n in self.nodes if n is not node]
        return not any(
            not n.shutting_down or self._pending_of(self.assigned_work[n])
            for n in others
        )
