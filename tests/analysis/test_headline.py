"""What the report says first: sure, unsure, without scores, the control off."""

from __future__ import annotations

import math
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from ibench.analysis.comparison import compare_methods, comparison_table
from ibench.analysis.control import ALL, control_table, read_control
from ibench.analysis.figures import aggregate_figure, scenario_figure
from ibench.analysis.headline import headline
from ibench.analysis.scores import aggregate_table, cell_table, competitors
from ibench.analysis.text import cell_matrix
from tests.analysis.test_scores import CHOICES

SCENARIOS, PAIRS = ("a", "b", "c", "d"), ("21-1337", "248-428", "7-8")
FAST, SLOW, CONTROL = 2.6, 2.0, 1.0


class Made(NamedTuple):
    """A study whose runs spread by ``spread`` about what they should be."""

    pairs: int = 3
    spread: float = 0.02
    control: float | None = CONTROL
    slow: float = SLOW

    def runs(self) -> pd.DataFrame:
        rng, rows = np.random.default_rng(11), []
        methods = {"fast": FAST, "slow": self.slow, "naive": 1.3}
        if self.control is not None:
            methods["control"] = self.control
        grid = product(methods.items(), SCENARIOS, PAIRS[: self.pairs])
        for (method, true), scenario, seeds in grid:
            kind = "control" if method == "control" else "search"
            speedup = true * math.exp(self.spread * rng.standard_normal())
            rows.append((method, kind, scenario, seeds, "ok", speedup))
        names = ["method", "kind", "scenario", "seeds", "outcome", "speedup"]
        frame = pd.DataFrame(rows, columns=names)
        unknown = {"ratio_low": math.nan, "ratio_high": math.nan}
        return frame.assign(ratio=frame.speedup, **unknown)


def unscored(runs: pd.DataFrame, which: pd.Series) -> pd.DataFrame:
    """The runs with some of them incomplete: no score, whatever was measured."""
    outcome, speedup = runs.outcome.mask(which, "incomplete"), runs.speedup.mask(which)
    return runs.assign(outcome=outcome, speedup=speedup)


def gated(runs: pd.DataFrame, which: pd.Series) -> pd.DataFrame:
    """The runs with some of them stopped by the quality gate: a score of 1.00."""
    outcome, speedup = runs.outcome.mask(which, "quality"), runs.speedup.mask(which, 1)
    return runs.assign(outcome=outcome, speedup=speedup)


def said(runs: pd.DataFrame) -> str:
    competing = competitors(runs)
    table = aggregate_table(competing, CHOICES)
    against = comparison_table(competing, table, CHOICES.confidence)
    control = control_table(runs, CHOICES.confidence)
    line = headline(runs, table, against, control)
    assert "nan" not in line
    return line


def test_a_clear_study_names_best_next_and_control() -> None:
    line = said(Made().runs())
    assert line.startswith("**36 of 36 runs passed")
    assert "The best method is **fast** with an aggregate speedup of **2.6" in line
    assert "Next is slow" in line
    assert "12 common runs fast is 1.3" in line
    assert "the two differ." in line
    assert "The control, whose speedup is 1.00x, measured 1.00x (0.9" in line
    assert "overlap" not in line
    assert "cannot order" not in line


def test_methods_alike_are_not_told_apart() -> None:
    line = said(Made(slow=FAST * 0.995, spread=0.05, control=None).runs())
    assert "the study does not tell the two apart" in line
    assert "No control was run" in line


def test_a_third_method_that_is_not_told_apart_is_named() -> None:
    runs = Made(control=None, slow=FAST * 0.99, spread=0.03).runs()
    runs.loc[runs.method == "naive", "speedup"] *= FAST / 1.3
    assert "Not told apart from " in said(runs)


def test_a_control_that_is_off_orders_nobody() -> None:
    runs = Made(control=1.12).runs()
    line = said(runs)
    assert "**This study cannot order these methods:**" in line
    assert "should measure 1.00x: it is off by 1" in line
    assert "The highest aggregate is that of **fast**" in line
    assert "best method" not in line
    assert "differ" not in line
    table = control_table(runs, 0.95)
    assert list(table.scenario) == [*SCENARIOS, ALL]
    found = read_control(table)
    assert found is not None
    assert found.is_off
    assert found.ratio == pytest.approx(1.12, rel=0.02)


def test_a_control_wider_than_the_difference_orders_nobody() -> None:
    runs = Made(pairs=2, spread=0.005, slow=FAST * 0.97).runs()
    wide = runs.kind == "control"
    runs.loc[wide, "ratio"] = np.tile([0.9, 1.12], 4)
    line = said(runs)
    assert "cannot order" in line
    assert "no sharper than the" in line


def test_a_failed_control_run_is_no_perfect_control() -> None:
    """Its score is 1.00, which is what a control should have."""
    runs = Made(control=1.12).runs()
    failed = (runs.kind == "control") & (runs.scenario == "a")
    runs = gated(runs, failed)
    found = read_control(control_table(runs, 0.95))
    assert found is not None
    assert (found.valid, found.runs) == (9, 12)
    assert found.ratio == pytest.approx(1.12, rel=0.02)
    none = gated(runs, runs.kind == "control")
    assert "none of the 12 runs of its control is valid" in said(none)


def test_one_seed_pair_has_the_interval_of_the_runs_themselves() -> None:
    runs = Made(pairs=1).runs()
    line = said(runs)
    assert "One seed pair gives no interval." in line
    assert "one seed pair gives no interval, so whether they differ is unknown" in line
    known = runs.assign(ratio_low=runs.ratio / 1.1, ratio_high=runs.ratio * 1.1)
    found = read_control(control_table(known, 0.95))
    assert found is not None
    # Four independent runs: half of each one's width.
    assert math.log(found.high / found.low) == pytest.approx(math.log(1.1))
    known.loc[known.kind == "control", ["ratio", "ratio_low"]] *= 1.2
    assert "should measure 1.00x" in said(known)


def test_without_any_score_no_method_is_best() -> None:
    runs = Made().runs()
    line = said(unscored(runs, runs.kind != "control"))
    assert "0 of 36 runs passed" in line
    assert "No run has a score, so no method is best" in line


def test_one_incomplete_run_makes_a_method_partial_and_not_vanish() -> None:
    runs = Made().runs()
    lost = runs.index == runs[runs.method == "fast"].index[0]
    runs = unscored(runs, pd.Series(lost))
    line = said(runs)
    assert "**fast**" in line
    assert ", over 11 of 12 runs." in line
    assert "11 common runs" in line
    assert "Partial, because runs have no score: fast (11 of 12 runs)." in line
    competing = competitors(runs)
    cells = cell_table(competing)
    shown = cell_matrix(cells).set_index("method")
    assert "(2 of 3 runs)" in str(shown.loc["fast", "A"])
    figure = aggregate_figure(aggregate_table(competing, CHOICES), cells)
    labels = [t.get_text() for t in figure.axes[0].texts]
    assert any("(11 of 12 runs)" in label for label in labels)


def test_a_method_without_scores_is_named_and_drawn() -> None:
    runs = Made().runs()
    runs = unscored(runs, runs.method == "fast")
    line = said(runs)
    assert "The best method is **slow**" in line
    assert "Without any score: fast." in line
    competing = competitors(runs)
    cells = cell_table(competing)
    table = aggregate_table(competing, CHOICES)
    assert list(table.method) == ["slow", "naive", "fast"]
    labels = [t.get_text() for t in aggregate_figure(table, cells).axes[0].texts]
    assert "no score" in labels
    assert cell_matrix(cells).set_index("method").loc["fast", "A"] == "no score"
    assert scenario_figure(competing).axes


def test_an_aggregate_over_fewer_scenarios_stands_below() -> None:
    runs = Made().runs()
    runs = unscored(runs, (runs.method == "fast") & (runs.scenario == "a"))
    line = said(runs)
    assert "The best method is **slow**" in line
    assert "Over their 9 common runs fast is ahead of it: slow is 0.77 times" in line


def test_no_common_run_no_ratio() -> None:
    runs = Made(pairs=2, control=None).runs()
    runs = runs[runs.method != "naive"]
    first = runs.seeds == PAIRS[0]
    runs = unscored(runs, (runs.method == "fast") & first)
    runs = unscored(runs, (runs.method == "slow") & ~first)
    assert "have no common run, so their ratio is unknown" in said(runs)


def test_methods_that_both_failed_have_no_interval() -> None:
    runs = Made(control=None).runs()
    runs = gated(runs, runs.kind == "search")
    line = said(runs)
    assert "all runs were alike, so whether they differ is unknown" in line
    table = aggregate_table(runs, CHOICES)
    assert (table["aggregate"] == 1.0).all()
    assert table.low.isna().all()


def test_one_method_is_compared_with_nobody() -> None:
    runs = Made().runs()
    assert "It is the only method with a score." in said(
        runs[runs.method.isin(["fast", "control"])]
    )


def test_intervals_that_overlap_may_still_differ() -> None:
    """The baselines of the pairs spread by 30 %, which both methods share."""
    runs = Made(spread=0.01, slow=FAST * 0.9, control=None).runs()
    noise = {s: math.exp(x) for s, x in zip(PAIRS, (-0.3, 0.0, 0.3), strict=True)}
    runs["speedup"] *= runs.seeds.map(noise)
    table = aggregate_table(runs, CHOICES).set_index("method")
    assert table.low["fast"] < table.high["slow"]
    found = compare_methods(runs, "fast", "slow", 0.95)
    assert found.is_told_apart
    assert found.ratio == pytest.approx(1 / 0.9, rel=0.02)
