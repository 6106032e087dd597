from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from ibench.search import TrialResult, make_sampler, run_search
from ibench.search.loop import best_trial
from ibench.search.samplers import Config, config_key, grid

SPACE = {"batch": (1, 2, 4, 8), "graph": (True, False), "kind": ("x", "y"), "pin": (9,)}


def surface(config: Config) -> float | None:
    """Best at batch 8 with graphs; kind y with graphs crashes."""
    if config.get("kind") == "y" and config.get("graph"):
        return None
    return float(config["batch"]) * (2.0 if config.get("graph") else 1.0)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def evaluator(
    clock: Clock, seen: list[Config], cost_s: float = 1.0
) -> Callable[[Config, int, float], TrialResult]:
    def evaluate(config: Config, index: int, left_s: float) -> TrialResult:
        assert index == len(seen)
        assert left_s > 0
        seen.append(config)
        clock.now += cost_s
        value = surface(config)
        outcome = "exited" if value is None else "ok"
        return TrialResult(outcome, value, 0.6 * cost_s, 0.3 * cost_s, 0.1 * cost_s)

    return evaluate


@pytest.mark.parametrize("kind", ["random", "tpe", "smac"])
def test_no_configuration_runs_twice_and_crashes_are_recorded(
    kind: str, tmp_path: Path
) -> None:
    clock, seen = Clock(), list[Config]()
    sampler = make_sampler(kind, SPACE, 21, tmp_path)
    trials = run_search(sampler, evaluator(clock, seen), 12.0, clock)
    keys = [config_key(c) for c in seen]
    assert len(keys) == len(set(keys)) == len(trials)
    assert len(trials) >= 6
    assert all(t.config["pin"] == 9 for t in trials)
    assert {t.outcome for t in trials} <= {"ok", "exited"}
    assert all((t.objective is None) == (t.outcome == "exited") for t in trials)
    best = best_trial(trials)
    assert best is not None
    assert best.objective == max(t.objective or 0 for t in trials)


@pytest.mark.parametrize("kind", ["random", "tpe", "smac"])
def test_the_same_seed_tries_the_same_configurations(kind: str, tmp_path: Path) -> None:
    runs = []
    for folder in ("one", "two"):
        clock, seen = Clock(), list[Config]()
        sampler = make_sampler(kind, SPACE, 7, tmp_path / folder)
        run_search(sampler, evaluator(clock, seen), 6.0, clock)
        runs.append([config_key(c) for c in seen])
    assert runs[0] == runs[1]


@pytest.mark.parametrize("kind", ["random", "tpe", "smac"])
def test_a_search_ends_when_the_grid_is_used_up(kind: str, tmp_path: Path) -> None:
    clock, seen = Clock(), list[Config]()
    run_search(
        make_sampler(kind, SPACE, 3, tmp_path), evaluator(clock, seen), 1e6, clock
    )
    assert 8 <= len(seen) <= len(grid(SPACE)) == 16


def test_a_late_trial_is_recorded_and_cannot_win(tmp_path: Path) -> None:
    clock, seen = Clock(), list[Config]()
    sampler = make_sampler("random", SPACE, 21, tmp_path)
    trials = run_search(sampler, evaluator(clock, seen, cost_s=10.0), 9.0, clock)
    assert [t.outcome for t in trials] in (["late"], ["exited"])
    assert best_trial(trials) is None


def test_no_trial_starts_that_cannot_end_in_time(tmp_path: Path) -> None:
    clock, seen = Clock(), list[Config]()
    sampler = make_sampler("random", {"batch": (1, 2, 4, 8)}, 21, tmp_path)
    trials = run_search(sampler, evaluator(clock, seen, cost_s=2.0), 5.5, clock)
    assert len(trials) == 2
    assert clock.now - 100.0 <= 5.5


def test_the_budget_charges_launch_evaluation_and_teardown(tmp_path: Path) -> None:
    clock, seen = Clock(), list[Config]()
    sampler = make_sampler("random", SPACE, 21, tmp_path)
    trials = run_search(sampler, evaluator(clock, seen), 4.0, clock)
    for earlier, later in itertools.pairwise(trials):
        spent = earlier.launch_s + earlier.evaluate_s + earlier.teardown_s
        assert later.started_s - earlier.started_s == pytest.approx(spent)
