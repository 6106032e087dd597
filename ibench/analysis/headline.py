"""The report's first paragraph: who is ahead, by how much, and how sure that is.

Methods are compared by the interval of their ratio, never by two intervals that overlap
or do not; and what is said of them is measured against the control.
"""

from __future__ import annotations

import math

import pandas as pd

from ibench.analysis.comparison import Comparison
from ibench.analysis.control import Control, read_control
from ibench.analysis.scores import competitors

__all__ = ["control_sentence", "headline"]

_NO_INTERVAL = "One seed pair gives no interval"


def headline(
    runs: pd.DataFrame,
    aggregate: pd.DataFrame,
    comparison: pd.DataFrame,
    control: pd.DataFrame,
) -> str:
    """One paragraph, in Markdown.

    Args:
        runs: one row a run, with scores.
        aggregate: of the methods that compete, best first (``scores``).
        comparison: the best against each other one (``comparison_table``).
        control: of ``control_table``; empty: the study has none.
    """
    competing, scored = competitors(runs), aggregate[aggregate.scored > 0]
    passed = int((competing.outcome == "ok").sum())
    text = f"**{passed} of {len(competing)} runs passed every required check.** "
    if scored.empty:
        return (
            f"{text}No run has a score, so no method is best: a required check was "
            "not run, or there is no baseline."
        )
    first = None
    if len(comparison):
        row = comparison.iloc[0]
        first = Comparison(*(row[name] for name in Comparison._fields))
    found = read_control(control)
    why = _why_no_order(found, first)
    sentences = [
        f"**This study cannot order these methods:** {why}." if why else "",
        _lead(scored.iloc[0], competing, has_order=not why),
        _next(scored, first, has_order=not why)
        if first
        else "It is the only method with a score.",
        "" if why else _others(comparison),
        _missing(aggregate),
        "" if why else control_sentence(found),
    ]
    return text + " ".join(filter(None, sentences))


def _why_no_order(control: Control | None, first: Comparison | None) -> str:
    """What is wrong with the control, or that it is no sharper than the difference."""
    if control is None:
        return ""
    if control.valid == 0:
        return f"none of the {control.runs} runs of its control is valid"
    if control.is_off:
        return (
            f"its control, the baseline's own launcher, measured {_of(control)} and "
            f"should measure 1.00x: it is off by {_off(control.ratio)}"
        )
    if first is None or math.isnan(first.ratio) or not control.hides(first.ratio):
        return ""
    return (
        f"its control, the baseline's own launcher, measured {_of(control)}, which is "
        f"off by {_off(control.ratio)} and no sharper than the {_off(first.ratio)} "
        "between the first two methods"
    )


def control_sentence(control: Control | None) -> str:
    """What the control measured; that there is none."""
    if control is None:
        return "No control was run: how far off this study is, is unknown."
    text = f"The control, whose speedup is 1.00x, measured {_of(control)}."
    if math.isnan(control.low):
        text += f" {_NO_INTERVAL} for it."
    if control.valid < control.runs:
        failed = control.runs - control.valid
        text += f" {failed} of its {control.runs} runs failed a required check."
    return text


def _of(control: Control) -> str:
    return f"{control.ratio:.2f}x{_between(control.low, control.high)}"


def _off(ratio: float) -> str:
    """How far a ratio is from 1.00, in percent."""
    percent = 100 * abs(ratio - 1)
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def _between(low: float, high: float) -> str:
    return "" if math.isnan(low) else f" ({low:.2f} to {high:.2f})"


def _lead(best: pd.Series, competing: pd.DataFrame, *, has_order: bool) -> str:
    role = "The best method is" if has_order else "The highest aggregate is that of"
    text = (
        f"{role} **{best.method}** with an aggregate speedup of "
        f"**{best['aggregate']:.2f}x** over the PyTorch baseline"
        f"{_between(best.low, best.high)}{_part(best, competing)}."
    )
    return text + f" {_NO_INTERVAL}." * bool(competing.seeds.nunique() == 1)


def _part(row: pd.Series, competing: pd.DataFrame) -> str:
    """Of what part of its runs an aggregate is; nothing where it is of all."""
    scenarios = competing.scenario.nunique()
    if row.scenarios < scenarios:
        return f", over {row.scenarios} of {scenarios} scenarios only"
    return f", over {row.scored} of {row.runs} runs" if row.scored < row.runs else ""


def _next(scored: pd.DataFrame, first: Comparison, *, has_order: bool) -> str:
    best, second = scored.iloc[0], scored.iloc[1]
    text = f"Next is {second.method} with {second['aggregate']:.2f}x"
    text += f"{_between(second.low, second.high)}"
    if not first.runs:
        return f"{text}; the two have no common run, so their ratio is unknown."
    text += f"; over their {first.runs} common runs {best.method} is"
    text += f" {first.ratio:.2f} times as fast{_between(first.low, first.high)}"
    if math.isnan(first.low):
        alone = first.seed_pairs == 1
        why = "one seed pair gives no interval" if alone else "all runs were alike"
        return f"{text}: {why}, so whether they differ is unknown."
    if not has_order:
        return f"{text}."
    if first.is_told_apart:
        return f"{text}: the two differ."
    return f"{text}: the study does not tell the two apart."


def _others(comparison: pd.DataFrame) -> str:
    """Who else is not told apart from the best method, and who is ahead of it."""
    rest = comparison.iloc[1:]
    unsure = rest[(rest.low <= 1) & (rest.high >= 1)]
    ahead = comparison[comparison.high < 1]
    best, text = comparison.method.iloc[0] if len(comparison) else "", ""
    if len(unsure):
        text = f"Not told apart from {best} either: {', '.join(unsure.against)}."
    for _, row in ahead.iterrows():
        text += (
            f" Over their {row.runs} common runs {row.against} is ahead of it: "
            f"{best} is {row.ratio:.2f} times as fast{_between(row.low, row.high)}."
        )
    return text.strip()


def _missing(aggregate: pd.DataFrame) -> str:
    """Which methods have runs without a score, and how many."""
    partial = aggregate[(aggregate.scored < aggregate.runs) & (aggregate.scored > 0)]
    text = ""
    if len(partial):
        parts = [
            f"{r.method} ({r.scored} of {r.runs} runs)" for _, r in partial.iterrows()
        ]
        text = f"Partial, because runs have no score: {', '.join(parts)}."
    none = list(aggregate[aggregate.scored == 0].method)
    if none:
        text += f" Without any score: {', '.join(none)}."
    return text.strip()
