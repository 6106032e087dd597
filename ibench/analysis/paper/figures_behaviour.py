"""Outcomes, behaviour, time and cost: frames in, figures out."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from ibench.analysis.paper.data import rows_of
from ibench.analysis.paper.figures import label_end
from ibench.analysis.style import COLOURS, OUTCOME_COLOURS, house_style

# So many points can each have a name beside them.
FEW = 20

__all__ = [
    "cost_figure",
    "family_bars",
    "grouped_bars",
    "outcome_shares",
    "time_budget_lines",
]


def outcome_shares(shares: pd.DataFrame) -> Figure:
    """Stacked shares of outcomes, one bar a source, numbers in the bars.

    Args:
        shares: columns source, outcome (a key of OUTCOME_COLOURS), percent, name.
    """
    sources = list(dict.fromkeys(shares.source))
    with house_style():
        figure, axis = plt.subplots(figsize=(6.8, 0.62 * len(sources) + 1.1))
        for i, source in enumerate(sources):
            left = 0.0
            for row in rows_of(shares[shares.source == source]):
                colour = OUTCOME_COLOURS[str(row.outcome)]
                label = row.name if i == 0 else None
                axis.barh(i, row.percent, left=left, color=colour, label=label)
                axis.text(
                    left + row.percent / 2, i, f"{row.percent:.1f}", ha="center",
                    va="center", fontsize=8,
                    color="black" if row.outcome == "quality" else "white",
                )  # fmt: skip
                left += row.percent
        axis.set_yticks(range(len(sources)), sources)
        axis.invert_yaxis()
        axis.set_xlim(0, 100)
        axis.set(xlabel="percent of runs")
        axis.grid(visible=False, axis="y")
        axis.set_title("Run outcomes", pad=24)
        axis.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=4, handlelength=1.0,
            columnspacing=1.2,
        )  # fmt: skip
        sns.despine(left=True)
        plt.close(figure)
        return figure


def grouped_bars(table: pd.DataFrame, title: str, xlabel: str) -> Figure:
    """Percentages of categories, one bar a group, every bar with its number.

    Args:
        table: columns category, group, percent.
        title: of the figure.
        xlabel: what a category is.
    """
    categories = list(dict.fromkeys(table.category))
    groups = list(dict.fromkeys(table.group))
    width = 0.8 / len(groups)
    with house_style():
        figure, axis = plt.subplots(figsize=(6.0, 2.7))
        for j, group in enumerate(groups):
            own = table[table.group == group].set_index("category").percent
            for i, category in enumerate(categories):
                if category not in own.index:
                    continue
                x = i + (j - (len(groups) - 1) / 2) * width
                first = category == own.index[0]
                axis.bar(
                    x, own[category], width * 0.92, color=COLOURS[j * 4 % 7],
                    label=group if first else None,
                )  # fmt: skip
                axis.annotate(
                    f"{own[category]:g}", (x, own[category]), xytext=(0, 2),
                    textcoords="offset points", ha="center", fontsize=7.5,
                )  # fmt: skip
        axis.set_xticks(range(len(categories)), categories)
        axis.set_ylim(0, max(table.percent) * 1.1)
        axis.grid(visible=False, axis="x")
        axis.set(xlabel=xlabel, ylabel="percent of runs")
        axis.set_title(title, pad=24 if len(groups) > 1 else 8)
        if len(groups) > 1:
            axis.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=3)
        sns.despine()
        plt.close(figure)
        return figure


def family_bars(families: pd.DataFrame) -> Figure:
    """Episodes by family, coloured by ring.

    Args:
        families: columns family, ring, episodes.
    """
    shown = families[families.episodes > 0].sort_values("episodes", ascending=False)
    rings = list(dict.fromkeys(families.ring))
    with house_style():
        figure, axis = plt.subplots(figsize=(6.4, 0.21 * len(shown) + 1.0))
        for i, row in enumerate(rows_of(shown)):
            colour = COLOURS[rings.index(row.ring) % len(COLOURS)]
            axis.barh(i, row.episodes, color=colour, height=0.7)
            label_end(axis, row.episodes, i, str(row.episodes))
        for j, ring in enumerate(rings):
            axis.barh(0, 0, color=COLOURS[j % len(COLOURS)], label=ring)
        names = [str(f).replace("_", " ") for f in shown.family]
        axis.set_yticks(range(len(shown)), names)
        axis.set_ylim(len(shown) - 0.4, -0.6)
        axis.set(xlabel="episodes", title="What agents spent episodes on")
        axis.grid(visible=False, axis="y")
        axis.legend(loc="lower right", title="ring", title_fontsize=8)
        sns.despine(left=True)
        plt.close(figure)
        return figure


def time_budget_lines(points: pd.DataFrame, title: str) -> Figure:
    """Aggregate over the time budget, one line a model, one panel a version.

    Args:
        points: columns panel, model, hours, aggregate, sem (or NaN), estimated.
        title: of the figure.
    """
    panels = list(dict.fromkeys(points.panel))
    with house_style():
        figure, axes = plt.subplots(
            1, len(panels), figsize=(3.7 * len(panels) + 0.3, 2.9), sharey=True,
            squeeze=False,
        )  # fmt: skip
        for axis, panel in zip(axes[0], panels, strict=True):
            own = points[points.panel == panel]
            for i, (model, line) in enumerate(own.groupby("model", sort=False)):
                # Side by side, so that whiskers do not hide each other.
                moved = line.assign(hours=line.hours * (0.97 + 0.03 * i))
                _budget_line(axis, str(model), moved, COLOURS[i])
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_locator(FixedLocator(sorted(own.hours.unique())))
            axis.xaxis.set_major_formatter(ScalarFormatter())
            axis.xaxis.set_minor_locator(NullLocator())
            axis.set_xlim(0.9, 20)
            axis.set_ylim(
                0, (points["aggregate"] + points["sem"].fillna(0)).max() * 1.08
            )
            axis.axhline(1.0, color="0.35", linewidth=0.9, linestyle="--", zorder=1)
            axis.set_xlabel("time budget (h)")
            axis.set_title(panel if len(panels) > 1 else title, fontsize=9.5)
        axes[0][0].set_ylabel("aggregate speedup (x)")
        if len(panels) > 1:
            figure.suptitle(title, fontsize=10, weight="bold", x=0.02, ha="left")
        sns.despine()
        figure.tight_layout()
        plt.close(figure)
        return figure


def _budget_line(axis: Axes, model: str, line: pd.DataFrame, colour: str) -> None:
    line = line.sort_values("hours")
    axis.plot(line.hours, line["aggregate"], color=colour, linewidth=1.4)
    for row in rows_of(line):
        face = "white" if row.estimated else colour
        axis.errorbar(
            row.hours, row.aggregate, yerr=row.sem, color=colour, marker="o",
            markersize=5, markerfacecolor=face, capsize=2, linewidth=1,
        )  # fmt: skip
    last = line.iloc[-1]
    axis.annotate(
        model.removeprefix("Claude "), (last.hours, last["aggregate"]), xytext=(8, 0),
        textcoords="offset points", va="center", fontsize=8, color=colour,
    )  # fmt: skip


def cost_figure(table: pd.DataFrame, title: str) -> Figure:
    """Cost against speedup on a logarithmic axis; the frontier is joined and named.

    Args:
        table: columns label, usd, low, high, aggregate.
        title: of the figure.
    """
    order = table.sort_values(["usd", "aggregate"], ascending=[True, False])
    front = order[
        order["aggregate"] > order["aggregate"].cummax().shift(fill_value=0.0)
    ]
    with house_style():
        figure, axis = plt.subplots(figsize=(6.4, 3.6))
        axis.hlines(
            table["aggregate"], table.low, table.high, color="0.75", linewidth=1.2
        )
        axis.plot(table.usd, table["aggregate"], "o", color=COLOURS[0], markersize=4.5)
        axis.step(
            front.usd, front["aggregate"], where="post", color=COLOURS[5], linewidth=1.0
        )
        axis.plot(front.usd, front["aggregate"], "o", color=COLOURS[5], markersize=5.5)
        _name_points(axis, front, table if len(table) <= FEW else front)
        axis.set_xscale("log")
        axis.set_xlim(float(table.low.min()) / 2.5, float(table.high.max()) * 1.6)
        axis.set_ylim(0, float(table["aggregate"].max()) * 1.12)
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.set(
            xlabel="cost of 12 runs (US dollars, logarithmic)",
            ylabel="aggregate speedup (x)",
            title=title,
        )
        sns.despine()
        plt.close(figure)
        return figure


def _name_points(axis: Axes, front: pd.DataFrame, named: pd.DataFrame) -> None:
    """Names left of a point of the frontier or of one with a neighbour to its right."""
    for i, row in enumerate(rows_of(named)):
        first = row.label in set(front.label)
        others = named.drop(index=named.index[i])
        close = (others["aggregate"] - row.aggregate).abs() < 0.6
        left = first or bool((close & (others.usd / row.usd).between(1, 1.7)).any())
        below = (others["aggregate"] - row.aggregate).between(0, 0.3)
        below &= (others.usd / row.usd).between(0.6, 1.4)
        axis.annotate(
            row.label, (row.usd, row.aggregate),
            xytext=(-5 if left else 5, -9 if below.any() else 4 if first else -2),
            ha="right" if left else "left", textcoords="offset points",
            fontsize=7.5 if first else 6.5, color="0.1" if first else "0.35",
        )  # fmt: skip
