"""Checks of ISO-Bench: its quadrants, its labels, what its raw numbers show.

Rules and findings: ISO-Bench (arXiv 2602.19594), its site, and its per-task labels. A
percentage is (human - agent) / human for TTFT and (agent - human) / human for
throughput, so that positive is faster than the human patch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ibench.analysis.paper.data import rows_of
from ibench.analysis.paper.selecting import CheckedNumber, Context

__all__ = ["ISOBENCH"]

AGENT = ["engine", "agent", "model"]
QUADRANTS = {
    "Q1": "q1_true_success", "Q2": "q2_good_intent", "Q3": "q3_lucky_win",
    "Q4": "q4_failure",
}  # fmt: skip
# Which quadrants a printed rate counts, in percent of the tasks.
RATES = {
    "hard_success_pct": ("Q1", "Q3"), "true_success_pct": ("Q1",), "gap_pp": ("Q3",),
    "derived_correct_target_pct": ("Q1", "Q2"),
}  # fmt: skip
BAND = 5.0  # percent: the half width of "similar"
TARGETS = ("same_target", "related_target")
PASSES = ("beats", "similar")


def quadrant_sums(context: Context) -> CheckedNumber:
    """Agents whose four quadrants are not the engine's tasks together."""
    frame = context.data("isobench_results")
    off = frame[frame[list(QUADRANTS.values())].sum(axis=1) != frame.tasks]
    return CheckedNumber(0.0, float(len(off)), f"{len(frame)} rows")


def quadrant_rates(context: Context) -> CheckedNumber:
    """Printed rates that are not those of their quadrants, to one decimal."""
    frame = context.data("isobench_results")
    wrong = []
    for column, quadrants in RATES.items():
        counted = frame[[QUADRANTS[q] for q in quadrants]].sum(axis=1)
        off = (frame[column] - 100 * counted / frame.tasks).abs() > 0.05 + 1e-9
        wrong += [f"{column} of {r.agent} on {r.engine}" for r in rows_of(frame[off])]
    total = f"of {len(RATES) * len(frame)}"
    return CheckedNumber(0.0, float(len(wrong)), f"{total}{_list(wrong)}")


def labels_give_quadrants(context: Context) -> CheckedNumber:
    """Counts of the site that the labels do not give: quadrants of eight agents."""
    labels = context.data("isobench_labels")
    counts = labels.groupby([*AGENT, "quadrant"]).size().unstack(fill_value=0)
    printed = context.data("isobench_results").set_index(AGENT)
    off = sum(
        int((counts[q].reindex(printed.index) != printed[column]).sum())
        for q, column in QUADRANTS.items()
    )
    return CheckedNumber(0.0, float(off), f"{len(labels)} labels")


def labels_give_approaches(context: Context) -> CheckedNumber:
    """Approach counts of the site that the labels do not give."""
    labels = context.data("isobench_labels")
    counts = labels.groupby([*AGENT, "approach_comparison"]).size()
    printed = context.data("isobench_approach_counts").set_index(AGENT)
    again = counts.unstack(fill_value=0).reindex(
        index=printed.index, columns=printed.columns, fill_value=0
    )
    off = int((again != printed).to_numpy().sum())
    return CheckedNumber(0.0, float(off), f"of {printed.size}")


def quadrant_rule(context: Context) -> CheckedNumber:
    """Labels whose quadrant is not hard pass (beats, similar) times soft pass."""
    labels = context.data("isobench_labels")
    hard = labels.hard_classification.isin(PASSES)
    soft = labels.bottleneck_target.isin(TARGETS)
    again = np.select(
        [hard & soft, ~hard & soft, hard & ~soft], ["Q1", "Q2", "Q3"], "Q4"
    )
    off = int((labels.quadrant != again).sum())
    return CheckedNumber(0.0, float(off), f"of {len(labels)}")


def hard_rule(context: Context) -> CheckedNumber:
    """Hard labels that a band of 5 % around the human number does not give."""
    labels = _with_difference(context)
    again = np.select(
        [labels.difference > BAND, labels.difference < -BAND],
        ["beats", "worse"],
        "similar",
    )
    off = int((labels.hard_classification != again).sum())
    return CheckedNumber(0.0, float(off), f"of {len(labels)} with a number")


def success_without_gain(context: Context) -> CheckedNumber:
    """Hard passes whose primary number is no 5 % better than the human patch's."""
    labels = context.data("isobench_labels")
    passed = labels[labels.hard_classification.isin(PASSES)]
    similar = int((passed.hard_classification == "similar").sum())
    return CheckedNumber(0.0, float(similar), f"of {len(passed)} hard passes")


def encodings(context: Context, *, engine: str) -> CheckedNumber:
    """How many encodings the primary percentages of an engine mix; one is right."""
    labels = context.data("isobench_labels")
    if engine not in set(labels.engine):
        raise context.unknown("engine", engine, sorted(set(labels.engine)))
    counts = labels[labels.engine == engine].pct_encoding.value_counts()
    note = ", ".join(f"{n} {name}" for name, n in counts.items())
    return CheckedNumber(1.0, float(len(counts)), note)


def shared_human_numbers(context: Context) -> CheckedNumber:
    """Tasks whose agents are held against more than one measured human number."""
    labels = context.data("isobench_labels")
    columns = ["human_ttft_ms", "human_throughput"]
    distinct = labels.groupby("commit8")[columns].nunique()
    known = int((distinct.max(axis=1) > 0).sum())
    return CheckedNumber(
        0.0, float((distinct.max(axis=1) > 1).sum()), f"of {known} with a human number"
    )


def leads_both(context: Context) -> CheckedNumber:
    """Agents with the largest true success on both engines."""
    frame = context.data("isobench_results")
    best = frame[
        frame.true_success_pct
        == frame.groupby("engine").true_success_pct.transform("max")
    ]
    names = best.agent + " (" + best.model + ")"
    first = {
        str(engine): set(names[group.index]) for engine, group in best.groupby("engine")
    }
    note = "; ".join(f"{e}: {', '.join(sorted(n))}" for e, n in first.items())
    return CheckedNumber(0.0, float(len(set.intersection(*first.values()))), note)


def offsets(context: Context, *, published: float, points: float) -> CheckedNumber:
    """Tasks of vLLM whose Codex and TRAE percentages agree, whatever the patches do.

    Args:
        context: what may be read.
        published: how many tasks the source names.
        points: largest distance of two values that counts as agreement.
    """
    labels = _with_difference(context)
    others = labels[(labels.engine == "vllm") & (labels.agent != "Claude Code")]
    spread = others.groupby("commit8").difference.agg(["count", "min", "max"])
    spread = spread[spread["count"] >= 2]
    same = int(((spread["max"] - spread["min"]) <= points + 1e-9).sum())
    return CheckedNumber(
        published, float(same), f"of {len(spread)} tasks with two values or more"
    )


def parent_passes(context: Context, *, published: float) -> CheckedNumber:
    """Tasks whose unmodified parent passes the hard rule: at most 5 % slower."""
    gains = _parent_over_human(context)
    return CheckedNumber(
        published, float((gains >= -BAND).sum()), f"of {len(gains)} with both numbers"
    )


def human_is_slower(context: Context, *, published: float) -> CheckedNumber:
    """Tasks in which the human patch is slower than its parent."""
    gains = _parent_over_human(context)
    return CheckedNumber(
        published, float((gains > 0).sum()), f"of {len(gains)} with both numbers"
    )


def _with_difference(context: Context) -> pd.DataFrame:
    """Labels with a primary percentage, as a difference whatever its encoding."""
    labels = context.data("isobench_labels").dropna(subset=["primary_pct"])
    is_ratio = labels.pct_encoding == "ratio_x100"
    return labels.assign(difference=labels.primary_pct - 100.0 * is_ratio)


def _parent_over_human(context: Context) -> pd.Series:
    """By how many percent the parent is faster than the human patch, task by task."""
    labels = context.data("isobench_labels")
    columns = [
        f"{s}_{m}" for m in ("ttft_ms", "throughput") for s in ("baseline", "human")
    ]
    tasks = labels.groupby("commit8")[columns].first()
    ttft = 1 - tasks.baseline_ttft_ms / tasks.human_ttft_ms
    throughput = tasks.baseline_throughput / tasks.human_throughput - 1
    return 100 * ttft.fillna(throughput).dropna()


def _list(names: list[str]) -> str:
    return f"; wrong: {', '.join(names[:3])}" if names else ""


ISOBENCH: tuple[Callable[..., CheckedNumber], ...] = (
    quadrant_sums,
    quadrant_rates,
    labels_give_quadrants,
    labels_give_approaches,
    quadrant_rule,
    hard_rule,
    success_without_gain,
    encodings,
    shared_human_numbers,
    leads_both,
    offsets,
    parent_passes,
    human_is_slower,
)
