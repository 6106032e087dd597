"""Uncertainty and power: frames in, figures out."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, ScalarFormatter

from ibench.analysis.paper.figures import BASE
from ibench.analysis.style import COLOURS, house_style

__all__ = [
    "coverage_figure",
    "gate_figure",
    "improvement_figure",
    "interval_figure",
    "profile_figure",
    "resolution_figure",
]


def interval_figure(
    table: pd.DataFrame, title: str, xlabel: str, printed: str
) -> Figure:
    """A point and an interval a row, in the order given; the printed value hollow.

    Args:
        table: columns label, middle, low, high, printed.
        title: of the figure.
        xlabel: with the unit.
        printed: what the hollow mark is.
    """
    with house_style():
        figure, axis = plt.subplots(figsize=(6.4, 0.24 * len(table) + 1.3))
        rows = range(len(table))
        axis.hlines(rows, table.low, table.high, color=COLOURS[0], linewidth=1.8)
        axis.plot(
            table.middle, rows, "o", color=COLOURS[0], markersize=5, label="drawn seeds"
        )
        axis.plot(
            table.printed, rows, "D", color=COLOURS[5], markerfacecolor="none",
            markersize=6, label=printed,
        )  # fmt: skip
        axis.set_yticks(rows, list(table.label))
        axis.set_ylim(len(table) - 0.4, -0.6)
        axis.set_xlabel(xlabel)
        axis.set_title(title, pad=24)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(visible=False, axis="y")
        axis.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2)
        sns.despine(left=True)
        plt.close(figure)
        return figure


def improvement_figure(pairs: pd.DataFrame) -> Figure:
    """Probability that a run of the row's method beats one of the column's.

    Args:
        pairs: columns x, y, probability, low, high; order of appearance is kept.
    """
    names = list(dict.fromkeys(pairs.x))
    wide = pairs.pivot_table(index="x", columns="y", values="probability")
    wide = wide.loc[names, names]
    sure = pairs.assign(sure=(pairs.low > 0.5) | (pairs.high < 0.5))
    marks = sure.pivot_table(index="x", columns="y", values="sure", aggfunc="first")
    marks = marks.loc[names, names]
    text = [
        ["" if x == y else f"{100 * wide[y][x]:.0f}{'' if marks[y][x] else '·'}"
         for y in names]
        for x in names
    ]  # fmt: skip
    with house_style():
        figure, axis = plt.subplots(figsize=(7.2, 5.4))
        sns.heatmap(
            100 * wide, ax=axis, cmap="PuOr_r", center=50, vmin=0, vmax=100,
            annot=pd.DataFrame(text, index=names, columns=names), fmt="",
            annot_kws={"fontsize": 7}, linewidths=0.4,
            cbar_kws={"label": "P(row beats column) in percent", "shrink": 0.8},
        )  # fmt: skip
        axis.set(xlabel="", ylabel="")
        axis.set_title("Probability of improvement")
        axis.tick_params(axis="x", rotation=90)
        axis.tick_params(axis="y", rotation=0)
        plt.close(figure)
        return figure


def profile_figure(profiles: pd.DataFrame, named: tuple[str, ...]) -> Figure:
    """Share of runs that reach a speedup; named methods in colour, others in grey.

    Args:
        profiles: columns method, speedup, share, low, high.
        named: the methods to tell apart.
    """
    with house_style():
        figure, axis = plt.subplots(figsize=(6.4, 3.4))
        for method, curve in profiles.groupby("method", sort=False):
            if method in named:
                colour = COLOURS[named.index(str(method)) % len(COLOURS)]
                axis.fill_between(
                    curve.speedup, 100 * curve.low, 100 * curve.high, color=colour,
                    alpha=0.13, linewidth=0,
                )  # fmt: skip
                axis.plot(
                    curve.speedup, 100 * curve.share, color=colour, label=method, lw=1.6
                )
            else:
                axis.plot(
                    curve.speedup, 100 * curve.share, color="0.75", lw=0.8, zorder=1
                )
        axis.plot([], [], color="0.75", lw=0.8, label="other agents")
        _log2(axis, (1, 2, 4, 8, 16, 32, 64))
        axis.set_ylim(0, 102)
        axis.set(xlabel=BASE, ylabel="runs that reach it (percent)")
        axis.set_title("Performance profiles")
        axis.legend(loc="upper right")
        sns.despine()
        plt.close(figure)
        return figure


def _log2(axis: Axes, ticks: tuple[int, ...]) -> None:
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(ticks[0], ticks[-1])


def coverage_figure(table: pd.DataFrame) -> Figure:
    """How often an interval covers the truth, over the number of seeds.

    Args:
        table: columns seeds, interval, coverage.
    """
    with house_style():
        figure, axis = plt.subplots(figsize=(5.6, 3.0))
        for colour, (name, line) in zip(
            COLOURS, table.groupby("interval", sort=False), strict=False
        ):
            axis.plot(
                line.seeds, 100 * line.coverage, "o-", color=colour, markersize=4,
                linewidth=1.3, label=name,
            )  # fmt: skip
        axis.axhline(68.27, color="0.35", linewidth=0.9, linestyle="--", zorder=1)
        axis.annotate("68.3 % nominal", (30, 68.8), fontsize=7.5, ha="right")
        three = table[(table.seeds == 3)].iloc[0]
        axis.annotate(
            f"{100 * three.coverage:.1f} %", (3, 100 * three.coverage), xytext=(7, -9),
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
        _log2(axis, (2, 3, 5, 10, 20, 30))
        axis.set_xlim(1.85, 32)
        axis.set(xlabel="seeds per mean", ylabel="means covered (percent)")
        axis.set_title("Coverage of mean ± SEM")
        axis.legend(loc="lower right")
        sns.despine()
        plt.close(figure)
        return figure


def gate_figure(table: pd.DataFrame, tau: float) -> Figure:
    """Probability to pass the quality gate over the true accuracy ratio.

    Args:
        table: columns case, ratio, passed.
        tau: the gate.
    """
    with house_style():
        figure, axis = plt.subplots(figsize=(6.4, 3.2))
        for colour, (name, line) in zip(
            COLOURS, table.groupby("case", sort=False), strict=False
        ):
            axis.plot(
                line.ratio, 100 * line.passed, color=colour, linewidth=1.6, label=name,
                linestyle="--" if "paired" in str(name) else "-",
            )  # fmt: skip
        axis.axvline(tau, color="0.35", linewidth=0.9, linestyle="--", zorder=1)
        axis.annotate(
            f"gate {tau:g}", (tau, 2), xytext=(-3, 0), ha="right", fontsize=7.5,
            textcoords="offset points",
        )  # fmt: skip
        axis.set_ylim(0, 102)
        axis.set_xlim(table.ratio.min(), table.ratio.max())
        axis.set(
            xlabel="true accuracy of the server / baseline",
            ylabel="servers that pass (percent)",
        )
        axis.set_title("What the quality gate decides")
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title="questions")
        sns.despine()
        plt.close(figure)
        return figure


def resolution_figure(table: pd.DataFrame) -> Figure:
    """Share of agent pairs that a number of seed pairs puts in order.

    Args:
        table: columns seed_pairs, all_pairs, adjacent_pairs.
    """
    names = {"all_pairs": "all pairs of agents", "adjacent_pairs": "neighbours in rank"}
    with house_style():
        figure, axis = plt.subplots(figsize=(5.6, 3.0))
        for colour, (column, name) in zip(COLOURS, names.items(), strict=False):
            axis.plot(
                table.seed_pairs, 100 * table[column], "o-", color=colour, markersize=4,
                linewidth=1.4, label=name,
            )  # fmt: skip
        axis.axvline(3, color="0.35", linewidth=0.9, linestyle="--", zorder=1)
        axis.annotate("the paper: 3", (3, 96), xytext=(3, 0), fontsize=7.5,
                      textcoords="offset points")  # fmt: skip
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(FixedLocator([2, 3, 5, 10, 30, 100, 300, 1000]))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_ylim(0, 102)
        axis.set(xlabel="seed pairs per scenario", ylabel="pairs resolved (percent)")
        axis.set_title("Seed pairs that would order the leaderboard")
        axis.legend(loc="lower right")
        sns.despine()
        plt.close(figure)
        return figure
