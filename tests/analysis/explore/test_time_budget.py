from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from ibench.analysis.explore.data import PanelData
from ibench.analysis.explore.time_budget import (
    Budgets,
    anytime,
    best_at,
    real_at,
    real_runs,
    time_text,
)
from ibench.analysis.frames import Run
from ibench.records import Submission

pytestmark = pytest.mark.slow


def steps(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["scenario", "seeds", "t_s", "best"])
    return frame.assign(method="m", kind="agent")


def test_the_best_so_far_is_that_of_the_time() -> None:
    frame = steps(("a", "1", 10.0, 2.0), ("a", "1", 20.0, 3.0))
    values = [best_at(frame, t).value[0] for t in (9.9, 10.0, 19.9, 20.0, 99.0)]
    assert values == pytest.approx([1.0, 2.0, 2.0, 3.0, 3.0])


def test_seeds_are_averaged_and_scenarios_multiplied() -> None:
    frame = steps(("a", "1", 1.0, 3.0), ("a", "2", 1.0, 5.0), ("b", "1", 1.0, 9.0))
    row = best_at(frame, 1.0).loc[0]
    assert row.value == pytest.approx((4.0 * 9.0) ** 0.5)
    assert (row.valid, row.runs) == (3, 3)


def test_a_run_without_a_valid_evaluation_counts_as_one() -> None:
    frame = steps(("a", "1", 1.0, 3.0), ("a", "2", float("nan"), float("nan")))
    row = best_at(frame, 5.0).loc[0]
    assert row.value == pytest.approx(2.0)
    assert (row.valid, row.runs) == (1, 2)


def test_a_worse_server_than_the_baseline_takes_nothing_away() -> None:
    """A run counts as 1.00 before its first evaluation, and no curve falls."""
    frame = steps(("a", "1", 10.0, 0.8), ("a", "1", 20.0, 0.9), ("a", "1", 30.0, 1.4))
    values = [best_at(frame, t).value[0] for t in (0.0, 10.0, 20.0, 30.0)]
    assert values == pytest.approx([1.0, 1.0, 1.0, 1.4])


def test_curves_are_those_of_methods_with_a_budget(own: PanelData) -> None:
    frame = anytime(own.runs)
    assert set(frame.method) == {"m01", "m02"}
    for _, run in frame.groupby(["method", "scenario", "seeds"]):
        assert run.best.is_monotonic_increasing
        assert run.t_s.is_monotonic_increasing
    # Four of an agent's eight evaluations are quick ones and do not count.
    assert set(frame[frame.method == "m02"].groupby(["scenario", "seeds"]).size()) == {
        4
    }


def test_quick_evaluations_count_where_there_are_no_full_ones(own: PanelData) -> None:
    run = next(r for r in own.runs if r.method == "m02")
    quick = [e for e in run.submission.evaluations if e.quick]
    only = run.submission.model_copy(update={"evaluations": tuple(quick)})
    broken = quick[0].model_copy(update={"completed": 1})
    bad = run.submission.model_copy(update={"evaluations": (broken,)})
    made = [anytime((_with(run, s),)) for s in (only, bad)]
    assert len(made[0]) == len(quick)
    assert made[1].t_s.isna().all()
    assert best_at(made[1], 1e9).valid[0] == 0


def _with(run: Run, submission: Submission) -> Run:
    return replace(run, submission=submission)


def test_real_runs_are_the_largest_budget_not_beyond(printed: PanelData) -> None:
    real = real_runs(printed.published)
    at = real_at(real, 3.9 * 3600).set_index("model")
    assert set(at.hours) == {2.0}
    assert at.value["Claude Opus 4.5"] == 3.37
    assert real_at(real, 3599.0).empty
    # Of the site's later version only what is not marked as estimated.
    assert list(real[real.mark == "site"].hours) == [2.0, 2.0, 2.0]


def test_the_slider_moves_what_is_there(own: PanelData, printed: PanelData) -> None:
    mine, theirs = Budgets(own), Budgets(printed)
    assert mine.choices()[0] == ("0 h", 0.0)
    assert mine.choices()[-1] == ("2 h", 7200.0)
    assert [name for name, _ in theirs.choices()][:2] == ["1 h", "1.5 h"]
    assert theirs.choices()[-1] == ("8 h", 28800.0)
    assert mine.text(0.0) != mine.text(7200.0)
    assert "One run, cut at 1 h" in mine.text(3600.0)
    assert "none was given a budget this short" in mine.text(60.0)
    assert "One run" not in theirs.text(3600.0)
    assert "(given 1 h)" in theirs.text(7199.0)


def test_cut_runs_and_real_runs_have_panels_of_their_own(
    own: PanelData, printed: PanelData
) -> None:
    titles = [a.get_title("left") for a in Budgets(own).figure(3600.0).axes]
    assert titles[0].startswith("One run, cut early")
    assert titles[1].startswith("Real runs given 1, 2, 4, 8 h")
    assert len(Budgets(printed).figure(3600.0).axes) == 1


def test_short_budgets_are_in_seconds() -> None:
    assert time_text(20.0, 40.0) == "20 s"
    assert time_text(5400.0, 7200.0) == "1.5 h"
