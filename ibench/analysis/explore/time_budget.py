"""What a run had found by a time, beside real runs that were given that budget.

An anytime curve cuts one run at a time; a real run knows its budget beforehand and
paces itself. The two are drawn with different marks and never joined.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from ibench.analysis.explore.data import PanelData
from ibench.analysis.frames import Run
from ibench.analysis.paper.data import Published, rows_of
from ibench.analysis.scores import FAILED_SCORE
from ibench.analysis.style import COLOURS, house_style

__all__ = [
    "Budgets",
    "anytime",
    "best_at",
    "real_at",
    "real_runs",
    "static_figure",
    "time_text",
]

HOUR_S = 3600.0
# Shorter budgets read better in seconds.
IN_HOURS_FROM_S = 1800.0
STEPS = 40


def anytime(runs: tuple[Run, ...]) -> pd.DataFrame:
    """Valid evaluations of every run that had a budget, and the best so far.

    Valid: a search trial that ended ok; an agent's evaluation without a failed
    request, quick ones only where a run has no full one. The objective on development
    requests is divided by the baseline's on evaluation requests, as in the report. A
    run without one keeps a row without time.

    Returns:
        Columns method, kind, scenario, seeds, t_s, best; t_s NaN: nothing was valid.
    """
    rows = []
    for run in runs:
        base = run.verdict.baseline_objective
        if run.submission.budget_s is None or not base:
            continue
        where = {"method": run.method, "kind": run.kind, "scenario": run.scenario}
        where["seeds"] = run.seeds
        best, steps = 0.0, []
        for t_s, objective in _valid(run):
            best = max(best, objective / base)
            steps.append({**where, "t_s": t_s, "best": best})
        rows += steps or [{**where, "t_s": np.nan, "best": np.nan}]
    columns = ["method", "kind", "scenario", "seeds", "t_s", "best"]
    return pd.DataFrame(rows, columns=columns)


def _valid(run: Run) -> list[tuple[float, float]]:
    trials = [
        (t.started_s + t.launch_s + t.evaluate_s, t.objective)
        for t in run.submission.trials
        if t.outcome == "ok"
    ]
    clean = [e for e in run.submission.evaluations if e.completed == e.requests]
    full = [e for e in clean if not e.quick] or clean
    evaluations = [(e.t_s, e.objective) for e in full]
    known = [(t, x) for t, x in trials + evaluations if x is not None]
    return sorted(known)


def best_at(steps: pd.DataFrame, t_s: float) -> pd.DataFrame:
    """Aggregate of the best valid evaluation by a time, per method.

    Mean over seed pairs, geometric mean over scenarios. A run counts as the better of
    1.00 and its best valid evaluation by then: before the first one there is only the
    baseline, and a worse server than that takes nothing away. So no curve falls.

    Returns:
        Columns method, value, valid (runs with an evaluation by then), runs.
    """
    keys = ["method", "scenario", "seeds"]
    every = steps[keys].drop_duplicates()
    done = steps[steps.t_s <= t_s].groupby(keys, sort=False).best.max()
    found = every.merge(done.reset_index(), on=keys, how="left")
    best = found.best.fillna(FAILED_SCORE).clip(lower=FAILED_SCORE)
    scores = found.assign(score=best)
    rows = []
    for method, own in scores.groupby("method", sort=False):
        means = own.groupby("scenario").score.mean()
        value = float(np.exp(np.log(means).mean()))
        rows.append((method, value, int(own.best.notna().sum()), len(own)))
    return pd.DataFrame(rows, columns=["method", "value", "valid", "runs"])


def real_runs(data: Published) -> pd.DataFrame:
    """Published runs that were given 1, 2, 4 or 8 h: columns model, hours, value, mark.

    The site marks most of its points as estimated; only the others are taken.
    """
    paper = data("paper_figure02_time_budget").assign(mark="paper")
    site = data("site_time_budget")
    later = site[site.site_version != "first"]
    later = later[~later.marked_estimated.astype(bool)].assign(mark="site")
    both = pd.concat([paper, later], ignore_index=True)
    return pd.DataFrame(
        {
            "model": both.model,
            "hours": both.budget_hours.astype(float),
            "value": both.aggregate_speedup.astype(float),
            "mark": both.mark,
        }
    )


def real_at(real: pd.DataFrame, t_s: float) -> pd.DataFrame:
    """Of each model, the paper's run with the largest budget not beyond a time."""
    own = real[(real.mark == "paper") & (real.hours * HOUR_S <= t_s + 1e-6)]
    return own.sort_values("hours").groupby("model", sort=False).tail(1)


def time_text(t_s: float, limit_s: float) -> str:
    """A time with its unit, in the unit that the axis has."""
    if limit_s < IN_HOURS_FROM_S:
        return f"{t_s:g} s"
    return f"{t_s / HOUR_S:.3g} h"


class Budgets:
    """Anytime curves and real runs of a source, ready to be cut anywhere."""

    def __init__(self, source: PanelData) -> None:
        """Read both once."""
        self.name = source.name
        self.steps = anytime(source.runs)
        self.real = real_runs(source.published)
        given = [run.submission.budget_s or 0.0 for run in source.runs]
        # Without curves the slider goes over the budgets of the real runs.
        self.limit_s = 8 * HOUR_S if self.steps.empty else max(given)

    def choices(self) -> list[tuple[str, float]]:
        """The slider's positions: their text and the time in seconds."""
        count = 16 if self.steps.empty else STEPS
        first = 2 if self.steps.empty else 0
        times = [self.limit_s * i / count for i in range(first, count + 1)]
        return [(time_text(t, self.limit_s), t) for t in times]

    def text(self, t_s: float) -> str:
        """The values at a time, as HTML; cut runs and real runs apart."""
        lines = []
        if not self.steps.empty:
            values = ", ".join(
                f"{r.method} <b>{r.value:.2f}x</b> ({r.valid} of {r.runs} runs valid)"
                for r in rows_of(best_at(self.steps, t_s))
            )
            cut = time_text(t_s, self.limit_s)
            lines.append(f"One run, cut at {cut}: {values}.")
        values = ", ".join(
            f"{r.model} <b>{r.value:.2f}x</b> (given {r.hours:g} h)"
            for r in rows_of(real_at(self.real, t_s))
        )
        none = "none was given a budget this short"
        lines.append(f"Real runs (paper, Figure 2): {values or none}.")
        return "<br>".join(lines)

    def figure(self, t_s: float) -> Figure:
        """Left: anytime curves and their values at a time. Right: real runs."""
        columns = 1 if self.steps.empty else 2
        with house_style():
            figure, axes = plt.subplots(
                1, columns, figsize=(1.6 + 3.9 * columns, 3.7), squeeze=False,
                layout="constrained",
            )  # fmt: skip
            if not self.steps.empty:
                _curves(axes[0][0], self.steps, t_s, self.limit_s)
                axes[0][0].set_title(f"One run, cut early\n{self.name}")
            _real(axes[0][-1], self.real, t_s)
            plt.close(figure)
            return figure


def _curves(axis: Axes, steps: pd.DataFrame, t_s: float, limit_s: float) -> None:
    hours = limit_s >= IN_HOURS_FROM_S
    unit = HOUR_S if hours else 1.0
    times = np.unique([0.0, *steps.t_s.dropna(), limit_s])
    times = times[times <= limit_s]
    curves = pd.concat([best_at(steps, t).assign(t_s=t) for t in times])
    now = best_at(steps, t_s).set_index("method")
    for colour, (method, own) in zip(
        COLOURS, curves.groupby("method", sort=False), strict=False
    ):
        value = now.value[method]
        label = f"{method}: {value:.2f}x"
        axis.step(own.t_s / unit, own.value, where="post", color=colour, lw=1.5)
        axis.plot(t_s / unit, value, "o", color=colour, ms=6, label=label)
    _cut(axis, t_s / unit)
    axis.axhline(1.0, color="0.35", linewidth=0.9, linestyle="--")
    axis.set(
        xlabel=f"time in the session ({'h' if hours else 's'})",
        ylabel="best valid so far / baseline (at least 1.00)",
        xlim=(0, limit_s / unit),
    )
    low, high = curves.value.min(), curves.value.max()
    axis.set_ylim(min(0.9, low - 0.05), max(1.1, high + 0.05))
    axis.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.16), ncols=2)


def _real(axis: Axes, real: pd.DataFrame, t_s: float) -> None:
    chosen = real_at(real, t_s)
    for colour, (model, own) in zip(
        COLOURS[::-1], real.groupby("model", sort=False), strict=False
    ):
        paper, site = (own[own.mark == m] for m in ("paper", "site"))
        axis.plot(paper.hours, paper.value, ":", color=colour, lw=0.9)
        axis.plot(paper.hours, paper.value, "D", color=colour, ms=5, label=str(model))
        axis.plot(site.hours, site.value, "s", color=colour, ms=6, mfc="none")
        at = chosen[chosen.model == model]
        axis.plot(at.hours, at.value, "D", color=colour, ms=10, mfc="none", mew=1.4)
    axis.plot([], [], "s", color="0.3", ms=6, mfc="none", label="site, re-scored")
    axis.set_xscale("log")
    axis.set_xlim(0.85, 9.4)
    if t_s >= HOUR_S:
        _cut(axis, t_s / HOUR_S)
    axis.axhline(1.0, color="0.35", linewidth=0.9, linestyle="--")
    axis.xaxis.set_major_locator(FixedLocator([1, 2, 4, 8]))
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_ylim(0, real.value.max() * 1.1)
    axis.set(xlabel="budget given (h)", ylabel="aggregate speedup (x)")
    axis.set_title("Real runs given 1, 2, 4, 8 h\npaper, Figure 2")
    axis.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.16), ncols=2)


def _cut(axis: Axes, x: float) -> None:
    axis.axvline(x, color="0.2", linewidth=1.1, zorder=1)


def static_figure(source: PanelData) -> Figure:
    """The picture of the notebook: half of the budget."""
    budgets = Budgets(source)
    return budgets.figure(budgets.limit_s / 2)
