"""Leaderboards, scenarios and conditions: frames in, figures out.

The frames may hold published rows or our own runs; nothing here knows which.
"""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from ibench.analysis.paper.data import rows_of
from ibench.analysis.style import COLOURS, KIND_COLOURS, house_style, titles

__all__ = [
    "aggregate_bars",
    "condition_panels",
    "dumbbells",
    "grid_heatmaps",
    "label_end",
    "scenario_panels",
    "stage_bars",
]

KIND_NAMES = {
    "agent": "agent",
    "search": "hyperparameter search",
    "default": "engine default",
    "baseline": "PyTorch baseline",
}
# Below so many bars there is no room for a legend beside the short ones.
SHORT = 12
BASE = "speedup over the PyTorch baseline (x)"


def label_end(axis: Axes, x: float, y: float, text: str, *, pad: float = 4) -> None:
    """Write a small label right of a point."""
    axis.annotate(
        text, (x, y), xytext=(pad, 0), textcoords="offset points", va="center",
        fontsize=7.5, bbox={"fc": "white", "ec": "none", "pad": 0.4, "alpha": 0.8},
    )  # fmt: skip


def aggregate_bars(table: pd.DataFrame, title: str) -> Figure:
    """Horizontal bars with whiskers, best first, coloured by kind of method.

    Args:
        table: columns label, kind, aggregate, low, high; an unknown whisker is NaN.
        title: of the figure.
    """
    rows = table.sort_values("aggregate", ascending=False, kind="stable")
    with house_style():
        figure, axis = plt.subplots(figsize=(6.4, 0.215 * len(rows) + 1.0))
        for i, row in enumerate(rows_of(rows)):
            colour = KIND_COLOURS[str(row.kind)]
            axis.barh(i, row.aggregate, color=colour, height=0.68, alpha=0.85)
            high = row.aggregate
            if not math.isnan(row.low) and row.high > row.low:
                axis.plot([row.low, row.high], [i, i], color="0.1", linewidth=1.1)
                high = max(row.high, row.aggregate)
            label_end(axis, high, i, f"{row.aggregate:.2f}")
        axis.set_yticks(range(len(rows)), list(rows.label))
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.axvline(1.0, color="0.35", linewidth=0.9, linestyle="--", zorder=1)
        axis.set_xlim(0, np.nanmax([rows.high.max(), rows["aggregate"].max()]) * 1.1)
        axis.set(xlabel=f"aggregate {BASE}", title=title)
        axis.grid(visible=False, axis="y")
        kinds = [k for k in KIND_NAMES if k in set(rows.kind)]
        handles = [Patch(color=KIND_COLOURS[k], label=KIND_NAMES[k]) for k in kinds]
        if len(rows) < SHORT:
            axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1))
        else:
            axis.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 0.02))
        sns.despine(left=True)
        plt.close(figure)
        return figure


def scenario_panels(cells: pd.DataFrame) -> Figure:
    """Per scenario and kind: every method a dot, range a line, median a tick."""
    scenarios = sorted(cells.scenario.unique())
    kinds = [k for k in ("agent", "search", "default") if k in set(cells.kind)]
    with house_style():
        figure, axes = plt.subplots(
            2,
            2,
            figsize=(7.2, 0.52 * len(kinds) * 2 + 1.5),
            squeeze=False,
            layout="constrained",
        )
        for axis, scenario in zip(axes.flat, scenarios, strict=False):
            panel = cells[cells.scenario == scenario]
            axis.set_xlim(0, panel["mean"].max() * 1.12)
            for i, kind in enumerate(kinds):
                _kind_strip(axis, i, panel[panel.kind == kind]["mean"], kind)
            axis.axvline(1.0, color="0.35", linewidth=0.9, linestyle="--", zorder=1)
            names = [f"{k}  (n={len(panel[panel.kind == k])})" for k in kinds]
            axis.set_yticks(range(len(kinds)), names)
            axis.set_ylim(len(kinds) - 0.6, -0.75)
            axis.grid(visible=False, axis="y")
            axis.set_title(titles(scenario), fontsize=9)
        figure.supxlabel(BASE, fontsize=9)
        plt.close(figure)
        return figure


def _kind_strip(axis: Axes, y: int, values: pd.Series, kind: str) -> None:
    colour = KIND_COLOURS[kind]
    low, middle, high = values.min(), values.median(), values.max()
    axis.plot([low, high], [y, y], color=colour, linewidth=5, alpha=0.25)
    axis.plot(values, [y] * len(values), "o", color=colour, markersize=3.2)
    axis.plot([middle] * 2, [y - 0.14, y + 0.14], color="0.1", linewidth=1.8)
    left = middle < axis.get_xlim()[1] / 2
    axis.annotate(
        f"median {middle:.2f}, best {high:.2f}",
        (low if left else high, y),
        xytext=(0, 8),
        textcoords="offset points",
        fontsize=7,
        ha="left" if left else "right",
    )


def condition_panels(
    cells: pd.DataFrame, title: str, *, colours: int = len(COLOURS), log: bool = False
) -> Figure:
    """Per scenario: one point with whisker a condition, in the order given.

    Args:
        cells: columns method (the condition), scenario, mean, low, high.
        title: of the figure.
        colours: how many alternate from row to row.
        log: whether speedups stand on a logarithmic axis.
    """
    scenarios = sorted(cells.scenario.unique())
    methods = list(dict.fromkeys(cells.method))
    with house_style():
        figure, axes = plt.subplots(
            1,
            len(scenarios),
            figsize=(1.75 * len(scenarios) + 1.4, 0.3 * len(methods) + 1.35),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for axis, scenario in zip(axes[0], scenarios, strict=True):
            panel = cells[cells.scenario == scenario].set_index("method")
            for i, method in enumerate(m for m in methods if m in panel.index):
                row, colour = panel.loc[method], COLOURS[i % colours]
                axis.plot([row.low, row.high], [i, i], color=colour, linewidth=1.4)
                axis.plot(row["mean"], i, "o", color=colour, markersize=4.5)
                text = f"{row['mean']:.2f}"
                axis.annotate(
                    text, (row["mean"], i), xytext=(0, 4.5),
                    textcoords="offset points", fontsize=6.8, ha="center",
                    bbox={"fc": "white", "ec": "none", "pad": 0.3, "alpha": 0.8},
                )  # fmt: skip
            axis.axvline(1.0, color="0.35", linewidth=0.9, linestyle="--", zorder=1)
            top = np.nanmax([panel.high.max(), panel["mean"].max()])
            if log:
                _log_axis(axis, float(panel["mean"].min()), float(panel["mean"].max()))
            else:
                axis.set_xlim(min(0.0, float(panel.low.min()) * 1.1), float(top) * 1.12)
                axis.xaxis.set_major_locator(MaxNLocator(4))
            axis.grid(visible=False, axis="y")
            axis.set_title(titles(scenario).replace("  ", "\n", 1), fontsize=8.5)
        axes[0][0].set_yticks(range(len(methods)), methods)
        axes[0][0].set_ylim(len(methods) - 0.5, -0.8)
        figure.supxlabel(BASE, fontsize=9)
        figure.suptitle(title, fontsize=10, weight="bold", x=0.02, ha="left")
        plt.close(figure)
        return figure


def _log_axis(axis: Axes, low: float, high: float) -> None:
    """A factor of two beyond the means; whiskers of two seeds may go on for ever."""
    axis.set_xscale("log")
    axis.set_xlim(low / 2, high * 2)
    ticks = [t for t in (0.1, 0.3, 1, 3, 10, 30, 100) if low / 2 <= t <= high * 2]
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.xaxis.set_minor_locator(NullLocator())


def stage_bars(stages: pd.DataFrame) -> Figure:
    """Found against submitted: one panel a source, one bar a stage, gaps between.

    Args:
        stages: columns source, stage, aggregate, gap (to the next stage or NaN).
    """
    sources = list(dict.fromkeys(stages.source))
    colours = (COLOURS[0], COLOURS[4], COLOURS[1])
    with house_style():
        figure, axes = plt.subplots(
            1, len(sources), figsize=(3.4 * len(sources) + 0.4, 2.9), sharey=True,
            squeeze=False,
        )  # fmt: skip
        for axis, source in zip(axes[0], sources, strict=True):
            panel = stages[stages.source == source].reset_index(drop=True)
            for i, row in enumerate(rows_of(panel)):
                axis.bar(i, row.aggregate, color=colours[i % 3], width=0.62)
                axis.annotate(
                    f"{row.aggregate:.2f}x", (i, row.aggregate), xytext=(0, 3),
                    textcoords="offset points", ha="center", fontsize=8.5,
                )  # fmt: skip
                if not math.isnan(row.gap):
                    _gap(axis, i, row.aggregate, row.gap)
            axis.set_xticks(range(len(panel)), list(panel.stage))
            axis.set_ylim(0, stages["aggregate"].max() * 1.16)
            axis.grid(visible=False, axis="x")
            axis.set_title(source, fontsize=9)
        axes[0][0].set_ylabel("geometric mean of the\nbest per scenario (x)")
        sns.despine()
        figure.tight_layout()
        plt.close(figure)
        return figure


def _gap(axis: Axes, i: int, level: float, gap: float) -> None:
    """A bracket from one bar's top to the next one's, with the difference."""
    x = i + 0.5
    axis.plot([i + 0.31, x + 0.19], [level, level], color="0.4", lw=0.8, ls=":")
    axis.annotate(
        f"+{gap:.2f}", (x - 0.02, level + max(gap / 2, 0.75)), fontsize=7.5,
        ha="center", va="center", color="0.2",
        bbox={"fc": "white", "ec": "none", "pad": 0.6},
    )  # fmt: skip


def dumbbells(
    table: pd.DataFrame, first: str, second: str, title: str, axis_label: str
) -> Figure:
    """Two values a row joined by a line, largest second value first.

    Args:
        table: columns label, first, second.
        first: what the first value is.
        second: what the second value is.
        title: of the figure.
        axis_label: with the unit.
    """
    rows = table.sort_values("second", ascending=False, kind="stable")
    with house_style():
        figure, axis = plt.subplots(figsize=(6.4, 0.25 * len(rows) + 1.2))
        y = np.arange(len(rows))
        axis.hlines(y, rows["first"], rows.second, color="0.6", linewidth=1.3)
        axis.plot(rows["first"], y, "D", color=COLOURS[0], label=first, markersize=4.5)
        axis.plot(rows.second, y, "o", color=COLOURS[1], label=second, markersize=5)
        for i, (a, b) in enumerate(zip(rows["first"], rows.second, strict=True)):
            label_end(axis, max(a, b), i, f"{b / a:.2f} times", pad=7)
        axis.set_yticks(y, list(rows.label))
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.set_xlim(0, float(rows[["first", "second"]].max().max()) * 1.14)
        axis.set(xlabel=axis_label)
        axis.set_title(title, pad=22)
        axis.grid(visible=False, axis="y")
        axis.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2)
        sns.despine(left=True)
        plt.close(figure)
        return figure


def grid_heatmaps(grid: pd.DataFrame) -> Figure:
    """One 3 x 3 table in colours for the aggregate and for each scenario.

    Args:
        grid: columns optimizer, engine, panel, value.
    """
    panels = list(dict.fromkeys(grid.panel))
    with house_style():
        figure, axes = plt.subplots(1, len(panels), figsize=(9.0, 2.1), sharey=True)
        for axis, name in zip(axes, panels, strict=True):
            own = grid[grid.panel == name]
            wide = own.pivot_table(index="optimizer", columns="engine", values="value")
            sns.heatmap(
                wide, ax=axis, annot=True, fmt=".2f", cmap="Blues", cbar=False,
                annot_kws={"fontsize": 8}, linewidths=0.6, square=False,
            )  # fmt: skip
            axis.set(xlabel="", ylabel="")
            axis.set_title(name, fontsize=8.5)
            axis.tick_params(rotation=0)
        figure.tight_layout()
        plt.close(figure)
        return figure
