"""Two boards side by side: a profile, the paper's table, the site's versions."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ibench.analysis.explore.data import PanelData
from ibench.analysis.paper.compare import compare_cells, kind_estimates
from ibench.analysis.paper.data import Published, cells_of, rows_of
from ibench.analysis.paper.derive import aggregate_cells
from ibench.analysis.paper.runs import cells_of_runs
from ibench.analysis.scores import competitors
from ibench.analysis.style import COLOURS, house_style, titles

__all__ = ["Boards", "boards_of", "methods_of", "static_figure"]

PAPER = "paper, Table 2"
SITES = {
    "site, June 2026": ("site_v1_0_2_leaderboard", "v1.0.5"),
    "site, September 2026": ("site_v1_0_5_leaderboard", "v1.0.5"),
}
REFERENCES = {
    "hyperparameter_search": ("best search", "search"),
    "vllm_default": ("vLLM default", "default"),
}
AGGREGATE = "aggregate"
KINDS = ("search", "agent", "default")
SHARED_ROWS = 25
RANGE = ("value", "low", "high")


def boards_of(source: PanelData) -> dict[str, pd.DataFrame]:
    """Cells frames by name: the profile's first, then what is published."""
    boards = {}
    if source.study is not None:
        rows = competitors(source.frame())
        boards[f"profile {source.profile}"] = cells_of_runs(rows[rows.speedup.notna()])
    paper = cells_of(source.published("paper_table02_leaderboard"))
    boards[PAPER] = paper[paper.kind != "baseline"]
    for name, (file, version) in SITES.items():
        boards[name] = _site(source.published, file, version)
    return boards


def _site(data: Published, file: str, version: str) -> pd.DataFrame:
    frame = data(file)
    variant = frame.variant_row.astype(bool)
    # A second row of a model is told from the first by the site's own key.
    method = frame.model.where(~variant, frame.model + " [" + frame.row_key + "]")
    agents = cells_of(frame.assign(method=method, kind="agent"))
    rows = data("site_references")
    rows = rows[(rows.site_version == version) & rows.reference.isin(REFERENCES)]
    names = [REFERENCES[r] for r in rows.reference]
    rows = rows.assign(method=[n for n, _ in names], kind=[k for _, k in names])
    return pd.concat([agents, cells_of(rows)], ignore_index=True)


def methods_of(cells: pd.DataFrame, scenario: str) -> pd.DataFrame:
    """Columns method, kind, value of one scenario, or of the aggregate over all."""
    if scenario == AGGREGATE:
        table = aggregate_cells(cells).rename(columns={"aggregate": "value"})
    else:
        own = cells[cells.scenario == scenario]
        table = own.rename(columns={"mean": "value"})
    return table[["method", "kind", "value"]].reset_index(drop=True)


class Boards:
    """Any two boards of a source, by scenario."""

    def __init__(self, source: PanelData) -> None:
        """Read every board once."""
        self.all = boards_of(source)

    def names(self) -> list[str]:
        """The boards on offer."""
        return list(self.all)

    def scenarios(self) -> list[str]:
        """What can be looked at: the aggregate and single scenarios."""
        return [AGGREGATE, "a", "b", "c", "d"]

    def _pair(self, left: str, right: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Both boards with the scenarios that both have."""
        shared = set(self.all[left].scenario) & set(self.all[right].scenario)
        a, b = (self.all[n][self.all[n].scenario.isin(shared)] for n in (left, right))
        return a, b

    def text(self, left: str, right: str, scenario: str) -> str:
        """Kinds on both sides with the verdict on their difference, as HTML."""
        table = compare_cells(*self._pair(left, right))
        rows = table[table.scenario == scenario]
        if rows.empty:
            return f"{titles_of(scenario)}: not in both boards."
        lines = [
            f"{r.kind}: <b>{r.value_ours:.2f}x</b> and <b>{r.value_paper:.2f}x</b> "
            f"(ratio {r.ratio:.2f}; {r.difference})"
            for r in rows_of(rows)
        ]
        shared = sorted(set(self._pair(left, right)[0].scenario))
        over = f" over {', '.join(shared).upper()}" if scenario == AGGREGATE else ""
        head = f"{titles_of(scenario)}{over}: {left} and {right}, geometric means."
        return "<br>".join([head, *lines])

    def figure(self, left: str, right: str, scenario: str) -> Figure:
        """Left: kinds with intervals and methods. Right: methods both boards name."""
        sides = list(zip((left, right), self._pair(left, right), strict=True))
        tables = [methods_of(cells, scenario) for _, cells in sides]
        both = tables[0].merge(tables[1], on="method", suffixes=("_left", "_right"))
        both = both.sort_values("value_left", ascending=False).head(SHARED_ROWS)
        columns = 1 if both.empty or left == right else 2
        height = max(3.2, 0.22 * len(both) + 1.3) if columns == 2 else 3.2
        with house_style():
            figure, axes = plt.subplots(
                1, columns, figsize=(1.6 + 3.9 * columns, height), squeeze=False,
                layout="constrained",
            )  # fmt: skip
            _kinds(axes[0][0], sides, scenario)
            if columns == 2:
                _shared(axes[0][1], both, (left, right))
            figure.suptitle(
                f"{titles_of(scenario)}: {left} and {right}", fontsize=10,
                weight="bold", x=0.01, ha="left",
            )  # fmt: skip
            plt.close(figure)
            return figure


def titles_of(scenario: str) -> str:
    """A scenario's title, or the aggregate's."""
    return "Aggregate" if scenario == AGGREGATE else titles(scenario)


def _kinds(axis: Axes, sides: list[tuple[str, pd.DataFrame]], scenario: str) -> None:
    values: list[float] = [1.0]
    for j, (name, cells) in enumerate(sides):
        found = kind_estimates(cells)
        found = found[found.scenario == scenario].set_index("kind")
        methods = methods_of(cells, scenario)
        for i, kind in enumerate(KINDS):
            y = i + (j - 0.5) * 0.36
            own = methods[methods.kind == kind].value
            axis.plot(own, [y] * len(own), "o", color=COLOURS[j], ms=4, alpha=0.45)
            values += list(own)
            if kind in found.index:
                value, low, high = found.loc[[kind], list(RANGE)].to_numpy(float)[0]
                axis.plot(value, y, "|", color=COLOURS[j], ms=17, mew=2.2)
                # An unknown range is NaN and draws nothing.
                axis.plot([low, high], [y, y], color=COLOURS[j], lw=1.6)
        axis.plot([], [], "o", color=COLOURS[j], ms=5, label=name)
    axis.axvline(1.0, color="0.35", linewidth=0.9, linestyle="--", zorder=1)
    axis.set_yticks(range(len(KINDS)), KINDS)
    axis.set_ylim(len(KINDS) - 0.5, -0.5)
    _log(axis, min(values), max(values))
    axis.grid(visible=False, axis="y")
    axis.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=2)


def _shared(axis: Axes, both: pd.DataFrame, names: tuple[str, str]) -> None:
    y = np.arange(len(both))
    axis.hlines(y, both.value_left, both.value_right, color="0.6", linewidth=1.2)
    axis.plot(both.value_left, y, "o", color=COLOURS[0], ms=5, label=names[0])
    axis.plot(both.value_right, y, "D", color=COLOURS[1], ms=4.5, label=names[1])
    axis.axvline(1.0, color="0.35", linewidth=0.9, linestyle="--", zorder=1)
    axis.set_yticks(y, list(both.method))
    axis.set_ylim(len(both) - 0.4, -0.6)
    sides = both[["value_left", "value_right"]].to_numpy(float)
    _log(axis, min(1.0, float(sides.min())), float(sides.max()))
    axis.grid(visible=False, axis="y")
    axis.set_title("named on both", fontsize=9)


def _log(axis: Axes, low: float, high: float) -> None:
    axis.set_xscale("log")
    axis.set_xlim(low / 1.25, high * 1.25)
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= t <= high]
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set(xlabel="speedup over the PyTorch baseline (x)")


def static_figure(source: PanelData) -> Figure:
    """The picture of the notebook: the first two boards, aggregated."""
    boards = Boards(source)
    left, right = boards.names()[:2]
    return boards.figure(left, right, AGGREGATE)
