from __future__ import annotations

from pathlib import Path

import pytest

from ibench.methods.search import (
    Config,
    Halving,
    Space,
    TrialResult,
    climb,
    make_sampler,
    ranked,
    run_search,
    rungs,
)
from tests.methods.search.test_search import Clock


@pytest.mark.parametrize(
    ("first", "full", "eta", "expected"),
    [
        (4, 128, 3, (4, 14, 42, 128)),
        (4, 128, 2, (4, 8, 16, 32, 64, 128)),
        (6, 16, 3, (6, 16)),
        (4, 4, 3, (4,)),
        (8, 3, 2, (3,)),
    ],
)
def test_rungs_reach_from_the_quick_to_the_full_evaluation(
    first: int, full: int, eta: int, expected: tuple[int, ...]
) -> None:
    assert rungs(first, full, eta) == expected


def test_the_best_third_goes_on_and_the_best_so_far_always() -> None:
    halving = Halving((4, 12), 3)
    assert [halving.goes_on(0, v) for v in (5.0, 4.0, 6.0, 5.5)] == [True, False] * 2
    # Six seen make two places: the second best goes on too.
    assert [halving.goes_on(0, v) for v in (1.0, 5.9, 5.0)] == [False, True, False]


def test_nobody_goes_on_from_the_last_rung_nor_from_the_only_one() -> None:
    assert not Halving((4,), 3).goes_on(0, 1e9)
    assert not Halving((4, 12), 3).goes_on(1, 1e9)


def test_a_climb_ends_at_a_failure_with_what_it_has() -> None:
    asked: list[int] = []

    def measure(requests: int) -> float | None:
        asked.append(requests)
        return 1.0 if requests < 42 else None

    assert climb(Halving((4, 14, 42, 128), 3), measure) == (1.0, 1.0)
    assert asked == [4, 14, 42]


def test_a_lucky_quick_evaluation_loses_to_the_full_one(tmp_path: Path) -> None:
    """The plain rule picks the configuration whose four requests were lucky."""
    truth = {1: 10.0, 2: 11.0, 3: 9.0}
    lucky = {1: 10.0, 2: 11.0, 3: 20.0}
    space = Space({"x": {"batch": (1, 2, 3)}})

    def winner(halving: Halving) -> Config:
        clock = Clock()

        def evaluate(config: Config, index: int, left_s: float) -> TrialResult:
            batch = int(config["batch"])
            values = climb(halving, lambda n: lucky[batch] if n == 4 else truth[batch])
            clock.now += 1.0
            n = halving.counts[len(values) - 1]
            return TrialResult("ok", values, n, 1.0, 0.0, 0.0)

        sampler = make_sampler("random", space, 3, tmp_path)
        return ranked(run_search(sampler, evaluate, 99.0, clock))[0].config

    assert winner(Halving((4,), 3)) == {"batch": 3}
    assert winner(Halving((4, 12), 3)) in ({"batch": 1}, {"batch": 2})


def test_the_sampler_hears_the_rung_that_all_have(tmp_path: Path) -> None:
    told: list[float | None] = []

    class Listener:
        def ask(self) -> Config | None:
            return {"batch": len(told)} if len(told) < 2 else None

        def tell(self, config: Config, objective: float | None) -> None:
            told.append(objective)

    def evaluate(config: Config, index: int, left_s: float) -> TrialResult:
        return TrialResult("ok", (2.0, 7.0)[: index + 1], 4, 0.1, 0.1, 0.1)

    trials = run_search(Listener(), evaluate, 9.0, Clock())
    assert told == [2.0, 2.0]
    assert [t.objective for t in trials] == [2.0, 7.0]
