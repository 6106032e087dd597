"""What the report shows: its tables, and one entry a figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from ibench.analysis import text
from ibench.analysis.figures import (
    aggregate_figure,
    convergence_figure,
    found_figure,
    outcome_figure,
    scenario_figure,
)
from ibench.analysis.scores import competitors
from ibench.params import Stat

__all__ = ["FIGURES", "SECTIONS", "ReportFigure", "Tables", "drawn"]

SECTIONS = ("Result", "Scenarios", "Outcomes", "What measuring pays", "More figures")
"""Places of the report's notebook that show figures."""


@dataclass(frozen=True)
class Tables:
    """What the report shows."""

    runs: pd.DataFrame
    cells: pd.DataFrame
    aggregate: pd.DataFrame
    comparison: pd.DataFrame
    control: pd.DataFrame
    other_floor: pd.DataFrame
    outcomes: pd.DataFrame
    trials: pd.DataFrame
    progress: pd.DataFrame
    found: pd.DataFrame
    baselines: pd.DataFrame
    timing: pd.DataFrame
    lives: pd.DataFrame
    costs: pd.DataFrame
    cost_text: str
    host: dict[str, str]
    choices: Stat
    budget_s: float

    @property
    def competing(self) -> pd.DataFrame:
        """The runs of methods that compete; the control's are in ``runs`` only."""
        return competitors(self.runs)


class ReportFigure(NamedTuple):
    """One figure of the report.

    Attributes:
        name: of its files in ``aggregation/figures``.
        section: one of ``SECTIONS``.
        data: what is drawn; an empty table is not drawn.
        draw: makes the figure.
        caption: Markdown below it.
        width: on the page, pixels.
    """

    name: str
    section: str
    data: Callable[[Tables], pd.DataFrame]
    draw: Callable[[Tables], Figure]
    caption: Callable[[Tables], str]
    width: int = 820


def drawn(tables: Tables) -> tuple[ReportFigure, ...]:
    """Figures that there is something to draw for."""
    return tuple(figure for figure in FIGURES if not figure.data(tables).empty)


FIGURES = (
    ReportFigure(
        "aggregate",
        "Result",
        lambda t: t.aggregate,
        lambda t: aggregate_figure(t.aggregate, t.cells),
        lambda t: text.aggregate_caption(t.competing, t.choices),
    ),
    ReportFigure(
        "scenarios",
        "Scenarios",
        lambda t: t.competing,
        lambda t: scenario_figure(t.competing),
        lambda t: text.scenario_caption(t.competing),
        width=980,
    ),
    ReportFigure(
        "outcomes",
        "Outcomes",
        lambda t: t.outcomes,
        lambda t: outcome_figure(t.outcomes),
        lambda t: text.not_run_paragraph(t.runs),
        width=680,
    ),
    ReportFigure(
        "convergence",
        "What measuring pays",
        lambda t: t.progress,
        lambda t: convergence_figure(t.progress, t.budget_s),
        lambda _: text.CAPTIONS["convergence"],
        width=900,
    ),
    ReportFigure(
        "found_vs_submitted",
        "What measuring pays",
        lambda t: t.found,
        lambda t: found_figure(t.found),
        lambda _: text.CAPTIONS["found_vs_submitted"],
        width=900,
    ),
)
"""Every figure of the report; a new one is added here."""
