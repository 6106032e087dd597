from __future__ import annotations

import pytest

from ibench.methods.search import Leaders, choose, confirm, ranked
from ibench.records import Confirmation, Trial


def trial(index: int, objective: float | None, requests: int = 4) -> Trial:
    return Trial(
        index=index,
        config={"batch": index},
        outcome="exited" if objective is None else "ok",
        objective=objective,
        requests=requests,
        started_s=0.0,
        launch_s=1.0,
        evaluate_s=1.0,
        teardown_s=1.0,
    )


def row(t: Trial, outcome: str, objective: float | None = None) -> Confirmation:
    return Confirmation(
        trial=t.index,
        engine="x",
        outcome=outcome,
        objective=objective,
        questions=10,
        started_s=0.0,
        launch_s=1.0,
        evaluate_s=1.0,
        teardown_s=1.0,
    )


TRIALS = (trial(0, 3.0), trial(1, None), trial(2, 9.0), trial(3, 6.0))
RANKING = ranked(TRIALS)


def checked(
    outcomes: dict[int, Confirmation | None], top: int
) -> tuple[list[int], tuple[Confirmation, ...]]:
    asked: list[int] = []

    def check(t: Trial) -> Confirmation | None:
        asked.append(t.index)
        return outcomes[t.index]

    return asked, confirm(RANKING, check, top)


def test_the_ranking_is_by_requests_then_objective_and_leaves_crashes_out() -> None:
    assert [t.index for t in RANKING] == [2, 3, 0]
    assert [t.index for t in ranked([*TRIALS, trial(4, 1.0, 12)])] == [4, 2, 3, 0]


def test_nothing_is_evaluated_in_full_without_a_wish() -> None:
    asked, rows = checked({}, 0)
    assert (asked, rows) == ([], ())
    choice = choose(RANKING, rows)
    assert (choice.trial, choice.confirmed) == (TRIALS[2], False)


def test_the_next_best_ships_where_the_best_fails_a_gate() -> None:
    outcomes = {2: row(TRIALS[2], "quality"), 3: row(TRIALS[3], "ok", 5.0)}
    asked, rows = checked(dict(outcomes), 1)
    assert asked == [2, 3]
    choice = choose(RANKING, rows)
    assert (choice.trial, choice.confirmed) == (TRIALS[3], True)


def test_of_several_that_pass_the_best_in_full_ships() -> None:
    outcomes = {2: row(TRIALS[2], "ok", 4.0), 3: row(TRIALS[3], "ok", 5.0)}
    asked, rows = checked(dict(outcomes), 2)
    assert asked == [2, 3]
    choice = choose(RANKING, rows)
    assert choice.trial == TRIALS[3]
    assert choice.confirmation == rows[1]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(TRIALS[2], "late")], 2),
        ([row(TRIALS[2], "failed_requests")], 3),
        ([row(TRIALS[2], "quality"), row(TRIALS[3], "late")], 3),
        ([row(t, "quality") for t in RANKING], 2),
    ],
    ids=["cut", "failed", "failed-then-cut", "all-failed"],
)
def test_without_a_confirmed_one_the_best_that_did_not_fail_ships(
    rows: list[Confirmation], expected: int
) -> None:
    choice = choose(RANKING, rows)
    assert choice.trial == TRIALS[expected]
    assert not choice.confirmed


def test_confirming_ends_with_the_budget() -> None:
    asked, rows = checked({2: row(TRIALS[2], "quality"), 3: None}, 2)
    assert asked == [2, 3]
    assert [r.trial for r in rows] == [2]


def test_no_trial_no_choice() -> None:
    assert choose([], ()).trial is None


def test_only_who_would_be_among_the_best_so_far_is_asked() -> None:
    leaders = Leaders(2)
    asked = []
    for requests, objective in ((4, 3.0), (4, 9.0), (4, 5.0), (4, 1.0), (12, 2.0)):
        asked.append(leaders.has_room(requests, objective))
        leaders.add(requests, objective)
    assert asked == [True, True, True, False, True]
    # Who failed the gate was not added and takes nobody's place.
    assert Leaders(1).has_room(4, 0.1)
