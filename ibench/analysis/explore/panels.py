"""Widgets over the views: controls, a line of values, a picture. ipywidgets only here.

The picture is an image widget, so that a moved slider replaces bytes and leaves no
output behind. The panel of sessions looks again by itself: a task of the kernel's own
event loop reads files in a thread, so that cells run meanwhile.
"""

from __future__ import annotations

import asyncio
import html
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets
from itables.widget import ITable
from matplotlib.figure import Figure

from ibench.analysis.explore.compare import Boards
from ibench.analysis.explore.data import PanelData
from ibench.analysis.explore.runs import RunsView
from ibench.analysis.explore.sessions import (
    CONFIRM_UNTIL_S,
    STYLE,
    SecondClick,
    cards_html,
    end_session,
    headline,
    open_study,
    session_views,
)
from ibench.analysis.explore.threshold import ThresholdRules, Thresholds
from ibench.analysis.explore.time_budget import Budgets
from ibench.analysis.style import METADATA
from ibench.errors import IbenchError
from ibench.methods.agents.watch import View
from ibench.study.definition import Study

__all__ = [
    "Panel",
    "SessionsPanel",
    "compare_panel",
    "runs_panel",
    "sessions_panel",
    "threshold_panel",
    "time_budget_panel",
]

# Twice the pixels that are shown: sharp also on dense screens.
DPI, SHOWN_DPI = 200, 100
WIDE = widgets.Layout(width="640px")
LOOK_S = 3.0
END, CONFIRM = "end this session", "click again to end it"
# The panel of this kernel that looks again by itself: its cell may be run again.
_looking: list[SessionsPanel] = []


@dataclass
class Panel:
    """Controls above a line of values above a picture.

    Args:
        controls: widgets by the name of the argument they set.
        show: text and figure for the controls' values.
        read: the trait of each control that is its value.
    """

    controls: dict[str, Any]
    show: Callable[..., tuple[str, Figure]]
    read: str = "value"
    text: Any = field(default_factory=widgets.HTML)
    picture: Any = field(default_factory=lambda: widgets.Image(format="png"))

    def __post_init__(self) -> None:
        """Draw once, then whenever a control changes."""
        for control in self.controls.values():
            control.observe(self._changed, names=self.read)
        self.text.add_class("ibench-values")
        self.picture.add_class("ibench-picture")
        self.draw()

    def draw(self) -> None:
        """Show what the controls say."""
        values = {k: getattr(c, self.read) for k, c in self.controls.items()}
        try:
            text, figure = self.show(**values)
        except IbenchError as error:
            self.text.value = f"<b>{error}</b>"
            return
        self.text.value = text
        self.picture.value = _png(figure)
        self.picture.layout.width = f"{figure.get_figwidth() * SHOWN_DPI:.0f}px"
        self.picture.layout.max_width = "100%"

    def _changed(self, _: object) -> None:
        self.draw()

    @property
    def box(self) -> Any:  # noqa: ANN401 (ipywidgets is untyped)
        """Everything in one widget: what a cell shows."""
        return widgets.VBox([*self.controls.values(), self.text, self.picture])


def _png(figure: Figure) -> bytes:
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=DPI, metadata=METADATA["png"])
    return sink.getvalue()


def _slider(label: str, options: list[tuple[str, float]], value: float) -> Any:  # noqa: ANN401
    """A slider over named positions; it draws when it is let go."""
    return widgets.SelectionSlider(
        options=options, value=value, description=label, continuous_update=False,
        layout=WIDE, style={"description_width": "60px"},
    )  # fmt: skip


def time_budget_panel(source: PanelData) -> Panel:
    """A budget slider over anytime curves, real runs beside them."""
    budgets = Budgets(source)
    choices = budgets.choices()
    slider = _slider("budget", choices, choices[len(choices) // 2][1])
    return Panel({"t_s": slider}, lambda t_s: (budgets.text(t_s), budgets.figure(t_s)))


def threshold_panel(source: PanelData) -> Panel:
    """Tau, floor rule and judge over leaderboard and outcomes."""
    view = Thresholds(source)
    options = [(f"{tau:.2f}", tau) for tau in view.taus()]
    controls = {
        "tau": _slider("tau", options, view.usual.tau),
        "floor": widgets.Checkbox(
            view.usual.floor, description="floor at 1.00x", indent=False
        ),
        "judge": widgets.Checkbox(
            view.usual.judge, description="judge on", indent=False
        ),
    }

    def show(tau: float, *, floor: bool, judge: bool) -> tuple[str, Figure]:
        rules = ThresholdRules(tau, floor, judge)
        return view.text(rules), view.figure(rules)

    return Panel(controls, show)


def runs_panel(source: PanelData) -> Panel:
    """A table to filter and sort; a click on a row draws its requests."""
    view = RunsView(source)
    # Everything of itables is in the package: no page is fetched from elsewhere.
    rows = view.table()
    texts = [i for i, c in enumerate(rows) if isinstance(rows[c].iloc[0], str)]
    table = ITable(
        rows,
        select="single",
        selected_rows=[0],
        showIndex=False,
        columnDefs=[{"targets": texts, "columnControl": ["searchDropdown"]}],
        pageLength=8,
        lengthMenu=[8, 16, 32],
        scrollX=True,
        style="width:100%;font-size:12px;white-space:nowrap",
        classes="display compact",
    )

    last = [0]

    def show(rows: list[int]) -> tuple[str, Figure]:
        # A filter that hides the chosen row empties the choice: keep what is shown.
        last[:] = rows or last
        return view.text(last[0]), view.figure(last[0])

    return Panel({"rows": table}, show, read="selected_rows")


def compare_panel(source: PanelData) -> Panel:
    """Two boards to choose, by scenario."""
    boards = Boards(source)
    names = boards.names()
    controls = {
        "left": widgets.Dropdown(options=names, value=names[0], description="board"),
        "right": widgets.Dropdown(options=names, value=names[1], description="against"),
        "scenario": widgets.ToggleButtons(
            options=[(s.upper() if len(s) == 1 else s, s) for s in boards.scenarios()],
            style={"button_width": "90px"},
        ),
    }
    return Panel(
        controls,
        lambda left, right, scenario: (
            boards.text(left, right, scenario),
            boards.figure(left, right, scenario),
        ),
    )


def _html(name: str) -> Any:  # noqa: ANN401
    return widgets.HTML().add_class(f"ibench-sessions-{name}")


@dataclass
class SessionsPanel:
    """Cards of all sessions, a choice of the running ones, a button to end one.

    Args:
        study: the profile, or the line that says why it cannot be read.
        every_s: seconds between two looks.
        clock: monotonic seconds, for the second click.
    """

    study: Study | str
    every_s: float = LOOK_S
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        """Look once; ``start`` goes on looking."""
        self._task: asyncio.Task[None] | None = None
        self._second = SecondClick(self.clock)
        self.head, self.said, self.cards = map(_html, ("head", "said", "cards"))
        self.live = widgets.ToggleButton(
            description="live", icon="refresh", tooltip="look again every few seconds"
        )
        self.cell = widgets.Dropdown(description="session", layout={"width": "420px"})
        self.end = widgets.Button(description=END, layout={"width": "180px"})
        self.cell.disabled = self.end.disabled = True
        self.live.observe(self._toggled, names="value")
        self.cell.observe(self._chosen, names="value")
        self.end.on_click(self._clicked)
        self.show(session_views(self.study))

    @property
    def box(self) -> Any:  # noqa: ANN401 (ipywidgets is untyped)
        """Everything in one widget: what a cell shows."""
        style = widgets.HTML(STYLE, layout={"display": "contents"})
        controls = widgets.HBox([self.live, self.cell, self.end])
        return widgets.VBox([style, self.head, controls, self.said, self.cards])

    def start(self) -> None:
        """Look again and again; needs the running event loop that a kernel has."""
        self.live.value = True

    def stop(self) -> None:
        """Look no more; what stands there stays."""
        self.live.value = False

    def show(self, found: list[View] | str) -> None:
        """Put what was found into the widgets."""
        if isinstance(found, str) or isinstance(self.study, str):
            self.head.value = f"<b>{html.escape(str(found))}</b>"
            return
        self.head.value = headline(self.study, found)
        self.cards.value = cards_html(found, self.study.budget.agent_s)
        self._offer([v.cell for v in found if v.state == "running"])
        self._ask()

    def _toggled(self, change: dict[str, Any]) -> None:
        if change["new"]:
            self._task = asyncio.get_running_loop().create_task(self._follow())
            self._task.add_done_callback(self._ended)
        elif self._task is not None:
            self._task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task that failed looks no more, and the button says so."""
        if not task.cancelled():
            self.stop()

    async def _follow(self) -> None:
        while True:
            self.show(await asyncio.to_thread(session_views, self.study))
            await asyncio.sleep(self.every_s)

    def _offer(self, cells: list[str]) -> None:
        """Let one of the running sessions be chosen; a choice that still runs stays."""
        chosen = self.cell.value
        if list(self.cell.options) != cells:
            self.cell.options = cells
            self.cell.value = chosen if chosen in cells else next(iter(cells), None)
        self.cell.disabled = self.end.disabled = not cells

    def _ask(self) -> None:
        """Show whether a second click is waited for."""
        asked = self._second.is_asked
        if asked == (self.end.description == CONFIRM):
            return
        self.end.description = CONFIRM if asked else END
        self.end.button_style = "danger" if asked else ""
        self.said.value = (
            f"<b>{html.escape(str(self.cell.value))}</b> would end now; what is in its "
            "workspace becomes its submission. "
            f"Click again within {CONFIRM_UNTIL_S:.0f} s."
            if asked
            else ""
        )

    def _chosen(self, _: object) -> None:
        """Another session is another question."""
        self._second.asked_s = None
        self._ask()

    def _clicked(self, _: object) -> None:
        confirmed = self._second.click()
        self._ask()
        if confirmed:
            said = end_session(self.study, str(self.cell.value))
            self.show(session_views(self.study))
            self.said.value = f"<b>{html.escape(said)}</b>"


def sessions_panel(
    profile: str, *, params: str = "params", results: str = "results"
) -> SessionsPanel:
    """Look at a profile's sessions from now on; an earlier panel looks no more.

    Args:
        profile: name of a profile.
        params: parameter folder; relative paths are the repository's.
        results: results root.
    """
    while _looking:
        _looking.pop().stop()
    panel = SessionsPanel(open_study(profile, params, results))
    panel.start()
    _looking.append(panel)
    return panel
