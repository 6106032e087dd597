"""What other gates would do to leaderboard and outcomes, as far as the data knows."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ibench.analysis.explore.data import PanelData
from ibench.analysis.explore.rejudge import Rejudged, open_rejudged
from ibench.analysis.paper.data import Published, cells_of, rows_of
from ibench.analysis.paper.derive import aggregate_cells
from ibench.analysis.scores import FAILED_SCORE
from ibench.analysis.style import COLOURS, OUTCOME_COLOURS, house_style

__all__ = [
    "ThresholdRules",
    "Thresholds",
    "published_board",
    "published_outcomes",
    "static_figure",
]

# The paper's rule; a profile brings its own.
TAU = 0.95
UNDECIDED = "undecided"
COLOUR = OUTCOME_COLOURS | {UNDECIDED: "#CC79A7"}


@dataclass(frozen=True)
class ThresholdRules:
    """One setting of the three things that can be turned."""

    tau: float
    floor: bool
    judge: bool


def published_board(data: Published, *, floor: bool) -> pd.DataFrame:
    """Table 2's agents; the floor lifts scenario means below 1.00, not single runs.

    Returns:
        Columns method, aggregate, low, high (one SEM), best first.
    """
    cells = cells_of(data("paper_table02_leaderboard"))
    cells = cells[cells.kind == "agent"]
    if floor:
        cells = cells.assign(mean=cells["mean"].clip(lower=FAILED_SCORE))
    board = aggregate_cells(cells)
    board["low"] = board["aggregate"] - board["sem"]
    board["high"] = board["aggregate"] + board["sem"]
    board = board.sort_values("aggregate", ascending=False, ignore_index=True)
    return board[["method", "aggregate", "low", "high"]]


def published_outcomes(data: Published, tau: float, *, judge: bool) -> pd.DataFrame:
    """Counts over all 180 runs: Table 3, moved by what Table 9 prints for a tau.

    Without the judge the flagged runs are undecided: their scores and the rules that
    caught them are not published.
    """
    table = data("paper_table03_outcomes").drop_duplicates("outcome")
    counts = table.set_index("outcome").runs
    printed = data("paper_table09_tau_sensitivity").set_index("tau").ok_runs
    ok, flagged = int(printed.loc[tau]), int(counts["integrity_flagged"])
    failed = int(counts["failed_or_incomplete_quality_gate"])
    row = {
        "method": "all agents",
        "ok": ok,
        "quality": failed + int(counts["passed_both_gates"]) - ok,
        "integrity": flagged if judge else 0,
        "unreachable": int(counts["server_or_runtime_failure"]),
        UNDECIDED: 0 if judge else flagged,
    }
    return pd.DataFrame([row])


class Thresholds:
    """Leaderboard and outcomes under any rules, from records or published numbers."""

    def __init__(self, source: PanelData) -> None:
        """Judge the profile's runs again, once; fall back to the published numbers."""
        opened = open_rejudged(source)
        self.data = source.published
        self.runs: Rejudged | None = opened if isinstance(opened, Rejudged) else None
        self.why = opened if isinstance(opened, str) else ""
        self.name = source.name if self.runs else "published numbers"
        if self.runs:
            floor = self.runs.statistics.floor_below_baseline
            self.usual = ThresholdRules(self.runs.tau, floor, self.runs.judge)
        else:
            self.usual = ThresholdRules(TAU, floor=False, judge=True)
        self.order = list(self.board(self.usual).method)

    def taus(self) -> list[float]:
        """What the slider offers: every hundredth, or what Table 9 prints."""
        if self.runs is None:
            return [float(t) for t in self.data("paper_table09_tau_sensitivity").tau]
        return sorted({round(0.5 + i / 100, 2) for i in range(51)} | {self.usual.tau})

    def board(self, rules: ThresholdRules) -> pd.DataFrame:
        """Aggregate by method under the rules."""
        if self.runs is None:
            return published_board(self.data, floor=rules.floor)
        return self.runs.board(self._frame(rules))

    def outcomes(self, rules: ThresholdRules) -> pd.DataFrame:
        """Outcome counts under the rules."""
        if self.runs is None:
            return published_outcomes(self.data, rules.tau, judge=rules.judge)
        return self.runs.outcomes(self._frame(rules))

    def _frame(self, rules: ThresholdRules) -> pd.DataFrame:
        if self.runs is None:
            raise TypeError("published numbers have no runs")
        return self.runs.frame(rules.tau, floor=rules.floor, judge=rules.judge)

    def text(self, rules: ThresholdRules) -> str:
        """Outcome counts, and how far the order moved, as HTML."""
        counts = self.outcomes(rules).drop(columns="method").sum()
        shown = ", ".join(f"{k} <b>{int(n)}</b>" for k, n in counts.items() if n)
        return f"Outcomes: {shown}.<br>{self._moves(rules)} {self._limits(rules)}"

    def _moves(self, rules: ThresholdRules) -> str:
        usual, now = (self.board(r).method.tolist() for r in (self.usual, rules))
        both = [m for m in usual if m in now]
        if not both:
            return "No method has a score under these rules."
        moved = max(
            abs(both.index(m) - [x for x in now if x in both].index(m)) for m in both
        )
        lost = len(usual) - len(both)
        gone = f", {lost} without a score" if lost else ""
        return f"Largest change of rank against the usual rules: {moved}{gone}."

    def _limits(self, rules: ThresholdRules) -> str:
        """What these rules mean for this data."""
        if self.runs is None:
            row = self.data("paper_table09_tau_sensitivity").set_index("tau")
            change = row.max_rank_change_vs_tau_0_95.loc[rules.tau]
            return (
                f"Table 9 prints a change of {change} at this tau; scores of single "
                "runs are not published, so the bars follow the floor rule only."
            )
        unasked = sum(j.run.verdict.judge == "not_run" for j in self.runs.runs[True])
        if rules.judge and unasked:
            return f"The judge was not run for {unasked} runs: no score with it on."
        return ""

    def _bars(self, rules: ThresholdRules) -> pd.DataFrame:
        """Outcomes in the board's order; of published numbers, one row a tau."""
        if self.runs is None:
            taus = {f"tau {tau:.2f}": tau for tau in self.taus()}
            marked = {n + (" >" if t == rules.tau else ""): t for n, t in taus.items()}
            parts = [
                published_outcomes(self.data, tau, judge=rules.judge).assign(method=n)
                for n, tau in marked.items()
            ]
            return pd.concat(parts, ignore_index=True)
        table = self.outcomes(rules).set_index("method")
        rest = [m for m in table.index if m not in self.order]
        return table.loc[[*self.order, *rest]].reset_index()

    def figure(self, rules: ThresholdRules) -> Figure:
        """Left: aggregates now and by the usual rules. Right: outcomes."""
        outcomes = self._bars(rules)
        rows = max(len(self.order), len(outcomes))
        with house_style():
            figure, axes = plt.subplots(
                1, 2, figsize=(9.4, 0.27 * rows + 1.7), layout="constrained"
            )  # fmt: skip
            _board(axes[0], self.order, self.board(self.usual), self.board(rules))
            _outcomes(axes[1], outcomes)
            floor = "floored at 1.00x" if rules.floor else "not floored"
            judge = "judge on" if rules.judge else "judge off"
            figure.suptitle(
                f"tau {rules.tau:.2f}, {floor}, {judge}  ({self.name})",
                fontsize=10, weight="bold", x=0.01, ha="left",
            )  # fmt: skip
            plt.close(figure)
            return figure


def _board(
    axis: Axes, order: list[str], usual: pd.DataFrame, now: pd.DataFrame
) -> None:
    place = {method: i for i, method in enumerate(order)}
    for row in rows_of(now):
        i = place.setdefault(row.method, len(place))
        axis.plot([row.low, row.high], [i, i], color=COLOURS[0], lw=1.2)
        axis.plot(row.aggregate, i, "o", color=COLOURS[0], ms=5.5)
    for row in rows_of(usual):
        axis.plot(row.aggregate, place[row.method], "o", color="0.35", ms=9, mfc="none")
    axis.plot([], [], "o", color=COLOURS[0], ms=5.5, label="under these rules")
    axis.plot([], [], "o", color="0.35", ms=9, mfc="none", label="usual rules")
    axis.axvline(1.0, color="0.35", linewidth=0.9, linestyle="--", zorder=1)
    axis.set_yticks(range(len(place)), [_name(method, now) for method in place])
    axis.set_ylim(len(place) - 0.4, -0.6)
    top = np.nanmax([1.1, usual.high.max(), now.high.max() if len(now) else 0])
    axis.set_xlim(0, float(top) * 1.06)
    axis.set(xlabel="aggregate speedup (x)")
    axis.grid(visible=False, axis="y")
    axis.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=2)


def _name(method: str, board: pd.DataFrame) -> str:
    """A method's name, and of how many runs its aggregate is where some have none."""
    own = board[board.method == method]
    if "scored" not in board or own.empty or (own.scored == own.runs).all():
        return method
    return f"{method} ({own.scored.iloc[0]} of {own.runs.iloc[0]} runs)"


def _outcomes(axis: Axes, rows: pd.DataFrame) -> None:
    left = np.zeros(len(rows))
    for name in [n for n in COLOUR if n in rows and rows[n].any()]:
        counts = rows[name].to_numpy(float)
        axis.barh(rows.method, counts, left=left, color=COLOUR[name], label=name)
        for i, count in enumerate(counts):
            if count:
                dark = name in ("quality", "incomplete")
                axis.text(
                    left[i] + count / 2, i, f"{count:.0f}", ha="center", va="center",
                    fontsize=8, color="black" if dark else "white",
                )  # fmt: skip
        left += counts
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.grid(visible=False, axis="y")
    axis.set(xlabel="runs")
    axis.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=5, columnspacing=0.9,
        handlelength=1.0, handletextpad=0.4,
    )  # fmt: skip


def static_figure(source: PanelData) -> Figure:
    """The picture of the notebook: a tau of 1, where noise already fails runs."""
    view = Thresholds(source)
    tau = max(view.taus())
    return view.figure(ThresholdRules(tau, view.usual.floor, view.usual.judge))
