from __future__ import annotations

from collections.abc import Callable

import pytest

from ibench.analysis.explore.data import PanelData
from ibench.analysis.explore.panels import (
    Panel,
    compare_panel,
    runs_panel,
    threshold_panel,
    time_budget_panel,
)
from ibench.errors import CorruptResultError

pytestmark = pytest.mark.slow

# A control and another value for it, for runs of our own and for published numbers.
MOVES: list[tuple[Callable[[PanelData], Panel], str, object, object]] = [
    (time_budget_panel, "t_s", 7200.0, 7200.0),
    (threshold_panel, "tau", 0.5, 0.97),
    (threshold_panel, "judge", True, False),
    (compare_panel, "scenario", "c", "c"),
    (runs_panel, "rows", [5], [5]),
]


@pytest.mark.parametrize("which", [0, 1], ids=["own", "printed"])
@pytest.mark.parametrize("move", MOVES, ids=lambda m: f"{m[0].__name__}-{m[1]}")
def test_a_moved_control_changes_text_and_picture(
    move: tuple[Callable[[PanelData], Panel], str, object, object],
    which: int,
    own: PanelData,
    printed: PanelData,
) -> None:
    make, name, *values = move
    panel = make((own, printed)[which])
    before = panel.text.value, bytes(panel.picture.value)
    setattr(panel.controls[name], panel.read, values[which])
    assert panel.text.value != before[0]
    assert bytes(panel.picture.value) != before[1]
    assert bytes(panel.picture.value).startswith(b"\x89PNG")


def test_the_box_holds_controls_text_and_picture(printed: PanelData) -> None:
    panel = threshold_panel(printed)
    assert list(panel.box.children) == [
        *panel.controls.values(), panel.text, panel.picture,
    ]  # fmt: skip


def test_a_refusal_is_a_text_and_not_a_traceback() -> None:
    def refuse() -> None:
        raise CorruptResultError("edited")

    panel = Panel({}, refuse)  # type: ignore[arg-type]
    assert panel.text.value == "<b>edited</b>"
    assert bytes(panel.picture.value) == b""


def test_a_filter_that_hides_the_chosen_run_keeps_its_picture(own: PanelData) -> None:
    panel = runs_panel(own)
    table = panel.controls["rows"]
    table.selected_rows = [5]
    text = panel.text.value
    table.selected_rows = []
    assert panel.text.value == text
