"""The study's figures: frames in, figures out; no file is read here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ibench.analysis.style import COLOURS, OUTCOME_COLOURS, house_style, titles

__all__ = [
    "aggregate_figure",
    "convergence_figure",
    "found_figure",
    "outcome_figure",
    "scenario_figure",
]


def _unit_line(axis: Axes, label: str = "baseline 1.00x") -> None:
    axis.axvline(1.0, color="0.35", linewidth=0.9, linestyle="--", zorder=1)
    axis.annotate(
        label,
        (1.0, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(2, 3),
        textcoords="offset points",
        fontsize=7,
        color="0.35",
    )


def aggregate_figure(aggregate: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Bars: aggregate speedup. Whiskers: its interval. Dots: scenario means.

    What is unknown is not drawn: a method without a score has its name and says so, one
    with runs that have none says of how many it is.
    """
    with house_style():
        figure, axis = plt.subplots(figsize=(6.4, 0.55 * len(aggregate) + 1.1))
        sns.barplot(
            aggregate, y="method", x="aggregate", color=COLOURS[4], ax=axis, width=0.62
        )
        rows: Iterator[Any] = aggregate.itertuples()
        for i, row in enumerate(rows):
            axis.plot([row.low, row.high], [i, i], color="0.15", linewidth=1.4)
            means = cells[cells.method == row.method]["mean"]
            right = np.nanmax([row.high, row.aggregate, *means, 0.0])
            axis.annotate(
                _aggregate_label(row),
                (right, i),
                xytext=(12, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        _scenario_dots(axis, aggregate, cells)
        _unit_line(axis)
        axis.set(xlabel="speedup over the PyTorch baseline", ylabel="")
        axis.set_xlim(0, axis.get_xlim()[1] * 1.08)
        axis.set_title("Aggregate speedup", pad=14)
        sns.despine(left=True)
        plt.close(figure)
        return figure


def _aggregate_label(row: Any) -> str:  # noqa: ANN401 (a row of a table)
    if not row.scored:
        return "no score"
    part = f" ({row.scored} of {row.runs} runs)" if row.scored < row.runs else ""
    return f"{row.aggregate:.2f}x{part}"


def _scenario_dots(axis: Axes, aggregate: pd.DataFrame, cells: pd.DataFrame) -> None:
    """One lettered dot a scenario; letters may overlap, dots still show the spread."""
    for i, method in enumerate(aggregate.method):
        own = cells[cells.method == method].sort_values("scenario")
        offsets = np.linspace(-0.2, 0.2, len(own)) if len(own) > 1 else [0.0]
        for mean, name, offset in zip(own["mean"], own.scenario, offsets, strict=True):
            axis.plot(mean, i + offset, "o", color=COLOURS[0], markersize=3.5)
            axis.annotate(
                str(name).upper(),
                (mean, i + offset),
                xytext=(3, 0),
                textcoords="offset points",
                fontsize=6.5,
                va="center",
                color=COLOURS[0],
            )


def scenario_figure(runs: pd.DataFrame) -> Figure:
    """Per scenario: each seed pair as a dot, the mean as a bar, failures hollow."""
    scenarios = sorted(runs.scenario.unique())
    methods = list(dict.fromkeys(runs.method))
    with house_style():
        figure, axes = plt.subplots(
            1,
            len(scenarios),
            figsize=(2.3 * len(scenarios) + 1.4, 0.42 * len(methods) + 1.2),
            sharey=True,
            squeeze=False,
        )
        for axis, scenario in zip(axes[0], scenarios, strict=True):
            _scenario_panel(axis, runs[runs.scenario == scenario], methods)
            axis.set_title(titles(scenario), fontsize=9, pad=12)
        axes[0][0].set_yticks(range(len(methods)), methods)
        axes[0][0].set_ylim(len(methods) - 0.5, -0.5)
        figure.supxlabel("speedup over the PyTorch baseline", fontsize=9)
        figure.tight_layout()
        plt.close(figure)
        return figure


def _scenario_panel(axis: Axes, runs: pd.DataFrame, methods: list[str]) -> None:
    for i, method in enumerate(methods):
        own = runs[runs.method == method]
        axis.plot(
            [own.speedup.mean()] * 2, [i - 0.28, i + 0.28], color="0.2", linewidth=1.6
        )
        for j, (speedup, outcome) in enumerate(
            zip(own.speedup, own.outcome, strict=True)
        ):
            good = outcome == "ok"
            axis.plot(
                speedup,
                i + 0.14 * (j - (len(own) - 1) / 2),
                "o",
                color=COLOURS[0],
                markerfacecolor=COLOURS[0] if good else "white",
                markersize=5,
            )
    _unit_line(axis, "")
    axis.grid(visible=False, axis="y")
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.set_xlim(0, np.nanmax([1.25, runs.speedup.max() * 1.1]))


def outcome_figure(outcomes: pd.DataFrame) -> Figure:
    """Stacked counts of outcomes per method."""
    with house_style():
        figure, axis = plt.subplots(figsize=(6.4, 0.42 * len(outcomes) + 1.2))
        left = np.zeros(len(outcomes))
        for name, colour in OUTCOME_COLOURS.items():
            counts = outcomes[name].to_numpy()
            if not counts.any():
                continue
            axis.barh(outcomes.method, counts, left=left, color=colour, label=name)
            for i, count in enumerate(counts):
                if count:
                    axis.text(
                        left[i] + count / 2,
                        i,
                        str(count),
                        ha="center",
                        va="center",
                        fontsize=8,
                        color="white",
                    )
            left += counts
        axis.invert_yaxis()
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(visible=False, axis="y")
        axis.set(xlabel="runs")
        axis.set_title("Run outcomes")
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        sns.despine(left=True)
        plt.close(figure)
        return figure


def convergence_figure(progress: pd.DataFrame, budget_s: float) -> Figure:
    """Best development objective so far over the budget, relative to the baseline.

    Args:
        progress: columns scenario, method, seeds, t_s, best (ratio to the baseline).
        budget_s: right edge of the axis.
    """
    scenarios = sorted(progress.scenario.unique())
    methods = list(dict.fromkeys(progress.method))
    with house_style():
        figure, axes = plt.subplots(
            1, len(scenarios), figsize=(2.4 * len(scenarios) + 0.8, 2.7), squeeze=False
        )
        for axis, scenario in zip(axes[0], scenarios, strict=True):
            panel = progress[progress.scenario == scenario]
            for colour, method in zip(COLOURS, methods, strict=False):
                own = panel[panel.method == method]
                for k, (_, curve) in enumerate(own.groupby("seeds", sort=False)):
                    label = method if k == 0 else None
                    x = [*curve.t_s, budget_s]
                    y = [*curve.best, curve.best.iloc[-1]]
                    axis.step(x, y, where="post", color=colour, label=label, lw=1.3)
                    axis.plot(curve.t_s, curve.best, ".", color=colour, markersize=4)
            axis.axhline(1.0, color="0.35", linewidth=0.9, linestyle="--")
            axis.set_title(titles(scenario), fontsize=9)
            axis.set_xlim(0, budget_s)
            axis.set_ylim(0, None)
        figure.supxlabel("budget used (s)", fontsize=9)
        figure.supylabel("best so far / baseline", fontsize=9)
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="upper center",
            ncols=len(methods),
            bbox_to_anchor=(0.5, 1.1),
        )
        figure.tight_layout()
        plt.close(figure)
        return figure


def found_figure(found: pd.DataFrame) -> Figure:
    """Found against submitted: best seen in the session, and what the score saw.

    Args:
        found: columns scenario, method, seeds, best_seen, submitted (both relative
            to the baseline).
    """
    labels = [
        f"{r.method}  {str(r.scenario).upper()}  {r.seeds}" for r in found.itertuples()
    ]
    with house_style():
        figure, axis = plt.subplots(figsize=(6.4, 0.24 * len(found) + 1.2))
        rows = range(len(found))
        axis.hlines(rows, found.best_seen, found.submitted, color="0.6", linewidth=1.2)
        axis.plot(
            found.best_seen,
            rows,
            "o",
            color=COLOURS[1],
            label="best seen (development)",
            markersize=5,
        )
        axis.plot(
            found.submitted,
            rows,
            "D",
            color=COLOURS[0],
            label="submitted (evaluation)",
            markersize=4.5,
        )
        axis.set_yticks(rows, labels, fontsize=7)
        axis.invert_yaxis()
        _unit_line(axis, "")
        axis.set(xlabel="speedup over the PyTorch baseline")
        axis.set_title("Found and submitted", pad=24)
        axis.set_xlim(0, None)
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
        sns.despine(left=True)
        plt.close(figure)
        return figure
