"""Every run in one table, and one run's requests: TTFT of each, gaps between tokens.

Published numbers hold no single runs: the table is then one row a method and scenario,
and the picture shows where a row stands among all methods.
"""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ibench.analysis.explore.data import PanelData
from ibench.analysis.paper.data import Published, cells_of, rows_of
from ibench.analysis.style import COLOURS, KIND_COLOURS, house_style, titles
from ibench.errors import UserError
from ibench.gates.bench import read_bench
from ibench.metrics.requests import is_completed, itl_s, ttft_s
from ibench.records import RequestResult

__all__ = [
    "Requests",
    "RunsView",
    "cells_frame",
    "request_figure",
    "requests_of",
    "static_figure",
]

MS = 1e3
BINS = 40


@dataclass(frozen=True)
class Requests:
    """One run's measured requests.

    ``each`` has phase, at_s (sent, since the phase began), ttft_ms (NaN: failed) and
    why; ``gaps`` has phase and itl_ms.
    """

    each: pd.DataFrame
    gaps: pd.DataFrame


def requests_of(results: tuple[RequestResult, ...]) -> Requests:
    """TTFT of every request and every inter-token latency of the completed ones."""
    begun: dict[str, int] = {}
    for r in results:
        begun[r.phase] = min(begun.get(r.phase, r.scheduled_ns), r.scheduled_ns)
    each, gaps = [], []
    for r in results:
        done = is_completed(r)
        at = r.scheduled_ns if r.sent_ns is None else r.sent_ns
        each.append(
            {
                "phase": r.phase,
                "at_s": (at - begun[r.phase]) / 1e9,
                "ttft_ms": ttft_s(r) * MS if done else np.nan,
                "why": "" if done else str(r.failure or "no token"),
            }
        )
        gaps += [
            {"phase": r.phase, "itl_ms": x * MS} for x in (itl_s(r) if done else ())
        ]
    return Requests(
        pd.DataFrame(each, columns=["phase", "at_s", "ttft_ms", "why"]),
        pd.DataFrame(gaps, columns=["phase", "itl_ms"]),
    )


def request_figure(requests: Requests, title: str) -> Figure:
    """Left: TTFT of each request over its send time. Right: inter-token latencies."""
    phases = list(dict.fromkeys(requests.each.phase))
    height = 3.2 + 0.2 * len(phases)
    with house_style():
        figure, axes = plt.subplots(1, 2, figsize=(9.2, height), layout="constrained")
        for colour, phase in zip(COLOURS, phases, strict=False):
            own = requests.each[requests.each.phase == phase]
            _first_tokens(axes[0], own, colour, phase)
        _gaps(axes[1], requests.gaps, phases)
        axes[0].set(xlabel="sent, since the phase began (s)", ylabel="TTFT (ms)")
        axes[0].set_ylim(bottom=0)
        for axis in axes:
            if axis.get_legend_handles_labels()[0]:
                axis.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.16))
        figure.suptitle(title, fontsize=10, weight="bold", x=0.01, ha="left")
        plt.close(figure)
        return figure


def _first_tokens(axis: Axes, own: pd.DataFrame, colour: str, phase: str) -> None:
    good, bad = own[own.why == ""], own[own.why != ""]
    middle = good.ttft_ms.median()
    label = f"{phase}, p50 {middle:.3g} ms" if len(good) else phase
    axis.plot(good.at_s, good.ttft_ms, "o", color=colour, ms=4.5, label=label)
    if len(good):
        axis.axhline(middle, color=colour, lw=0.9, ls="--")
    if len(bad):
        text = f"{phase}, {len(bad)} failed: {', '.join(sorted(set(bad.why)))}"
        axis.plot(bad.at_s, [0.0] * len(bad), "x", color="#D55E00", ms=6, label=text)


def _gaps(axis: Axes, gaps: pd.DataFrame, phases: list[str]) -> None:
    axis.set(xlabel="inter-token latency (ms)", ylabel="tokens")
    positive = gaps[gaps.itl_ms > 0]
    if positive.empty:
        axis.text(0.5, 0.5, "no inter-token latency", transform=axis.transAxes,
                  ha="center", color="0.35")  # fmt: skip
        return
    low, high = positive.itl_ms.min(), positive.itl_ms.max()
    bins = np.geomspace(low * 0.98, high * 1.02, BINS).tolist()
    for colour, phase in zip(COLOURS, phases, strict=False):
        own = positive[positive.phase == phase].itl_ms
        if len(own):
            p50, p99 = own.quantile([0.5, 0.99])
            label = f"{phase}, p50 {p50:.3g}, p99 {p99:.3g} ms"
            axis.hist(own, bins, histtype="step", lw=1.4, color=colour, label=label)
    axis.set_xscale("log")
    axis.set_yscale("log")


def cells_frame(data: Published) -> pd.DataFrame:
    """Published cells, one row a method and scenario, in the paper and on the site."""
    paper = cells_of(data("paper_table02_leaderboard")).assign(source="paper, Table 2")
    frame = data("site_v1_0_5_leaderboard")
    site = cells_of(frame.assign(method=frame.model, kind="agent"))
    site = site.assign(source="site, September 2026")
    both = pd.concat([paper[paper.kind != "baseline"], site], ignore_index=True)
    return both[["source", "method", "kind", "scenario", "mean", "sem"]]


class RunsView:
    """The table to filter and the picture of the row that was clicked."""

    def __init__(self, source: PanelData) -> None:
        """Read the runs, or the published cells."""
        self.source = source
        published = source.study is None
        self.rows = cells_frame(source.published) if published else source.frame()

    def table(self) -> pd.DataFrame:
        """What is shown: readable headings with units, rounded; same row order."""
        rows = self.rows
        if self.source.study is None:
            shown = rows.assign(
                scenario=rows.scenario.str.upper(), mean=rows["mean"].round(2)
            )
            return shown.rename(columns={"mean": "speedup (x)", "sem": "SEM"})
        return pd.DataFrame(
            {
                "scenario": rows.scenario.str.upper(),
                "method": rows.method,
                "kind": rows.kind,
                "seeds": rows.seeds,
                "outcome": rows.outcome,
                "speedup (x)": rows.speedup.round(3),
                "TTFT p50 (ms)": (rows.ttft_p50_s.astype(float) * MS).round(2),
                "TPOT p50 (ms)": (rows.tpot_p50_s.astype(float) * MS).round(3),
                "req/s": rows.request_rate_per_s.astype(float).round(2),
                "failed (%)": (rows.failure_rate.astype(float) * 100).round(1),
                "accuracy (%)": (rows.accuracy.astype(float) * 100).round(1),
            }
        )

    def text(self, row: int) -> str:
        """The row in one line, as HTML."""
        own = self.rows.iloc[row]
        if self.source.study is None:
            return (
                f"<b>{own.method}</b>, scenario {str(own.scenario).upper()}, "
                f"{own.source}: {own['mean']:.2f}x. Requests are not published; the "
                "picture shows the row among all methods."
            )
        return (
            f"<b>{own.method}</b>, scenario {str(own.scenario).upper()}, seeds "
            f"{own.seeds}: {own.outcome} ({own.reason})."
        )

    def figure(self, row: int) -> Figure:
        """The clicked run's requests, or a published row among its scenario."""
        own = self.rows.iloc[row]
        if self.source.study is None:
            return _field(self.rows, row)
        cell, run = self.source.finished[row]
        folder = self.source.study.root / cell.path / "relaunch"
        title = (
            f"{run.method}, {titles(run.scenario)}, seeds {run.seeds}: {own.outcome}"
        )
        try:
            results = read_bench(folder, run.evidence).results
        except UserError as error:
            return _nothing(str(error).rpartition("/")[2], title)
        if not results:
            return _nothing("the server was not reached: no request was sent", title)
        return request_figure(requests_of(results), title)


def _field(rows: pd.DataFrame, row: int) -> Figure:
    """All methods of the row's source and scenario, best first, the row marked."""
    own = rows.iloc[row]
    same = (rows.source == own.source) & (rows.scenario == own.scenario)
    field = rows[same].sort_values("mean", ascending=False)
    with house_style():
        figure, axis = plt.subplots(figsize=(9.2, 3.4), layout="constrained")
        for i, (index, r) in enumerate(zip(field.index, rows_of(field), strict=True)):
            mean, chosen = field["mean"].iloc[i], index == rows.index[row]
            axis.bar(i, mean, color=KIND_COLOURS[r.kind], alpha=1 if chosen else 0.35)
            if chosen:
                axis.annotate(f"{own.method}: {mean:.2f}x", (i, mean), xytext=(0, 3),
                              textcoords="offset points", fontsize=8.5)  # fmt: skip
        axis.axhline(1.0, color="0.35", linewidth=0.9, linestyle="--")
        axis.set_xticks([])
        axis.margins(y=0.12)
        axis.set(xlabel="methods, best first", ylabel="speedup (x)")
        axis.set_title(f"{titles(own.scenario)}, {own.source}")
        plt.close(figure)
        return figure


def _nothing(why: str, title: str) -> Figure:
    with house_style():
        figure, axis = plt.subplots(figsize=(9.2, 1.2), layout="constrained")
        axis.set_axis_off()
        axis.set_title(title)
        axis.text(0.5, 0.5, why, ha="center", va="center", fontsize=9, wrap=True)
        plt.close(figure)
        return figure


def static_figure(source: PanelData) -> Figure:
    """The picture of the notebook: the run with the most phases, or the first row."""
    view = RunsView(source)
    phases = [len(run.evidence.phases) for run in source.runs]
    return view.figure(int(np.argmax(phases)) if phases else 0)
