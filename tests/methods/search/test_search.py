from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from ibench.methods.search import (
    Config,
    Space,
    TrialResult,
    make_sampler,
    ranked,
    run_search,
)
from ibench.methods.search.space import config_key
from ibench.records import Trial

SAMPLERS = ("random", "tpe", "smac")
SPACE = Space(
    {
        "x": {
            "batch": (1, 2, 4, 8),
            "graph": (True, False),
            "kind": ("x", "y"),
            "pin": (9,),
        }
    }
)
JOINT = Space({"fast": {"batch": (1, 2, 4)}, "slow": {"threads": (1, 2), "pin": (9,)}})


def surface(config: Config) -> float | None:
    """Best at batch 8 with graphs; kind y with graphs crashes."""
    if config.get("kind") == "y" and config.get("graph"):
        return None
    return float(config.get("batch", 1)) * (2.0 if config.get("graph") else 1.0)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

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
        rungs = () if value is None else (value,)
        return TrialResult(outcome, rungs, 4, 0.6 * cost_s, 0.3 * cost_s, 0.1 * cost_s)

    return evaluate


@pytest.mark.parametrize("kind", SAMPLERS)
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
    best = ranked(trials)[0]
    assert best.objective == max(t.objective or 0 for t in trials)


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("space", [SPACE, JOINT], ids=["one", "joint"])
def test_the_same_seed_tries_the_same_configurations(
    kind: str, space: Space, tmp_path: Path
) -> None:
    runs = []
    for folder in ("one", "two"):
        clock, seen = Clock(), list[Config]()
        sampler = make_sampler(kind, space, 7, tmp_path / folder)
        run_search(sampler, evaluator(clock, seen), 6.0, clock)
        runs.append([config_key(c) for c in seen])
    assert runs[0] == runs[1]
    assert len(runs[0]) >= 4


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_search_ends_when_the_space_is_used_up(kind: str, tmp_path: Path) -> None:
    clock, seen = Clock(), list[Config]()
    run_search(
        make_sampler(kind, SPACE, 3, tmp_path), evaluator(clock, seen), 1e6, clock
    )
    assert 8 <= len(seen) <= SPACE.size == 16


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_joint_space_gives_each_engine_its_own_parameters(
    kind: str, tmp_path: Path
) -> None:
    clock, seen = Clock(), list[Config]()
    sampler = make_sampler(kind, JOINT, 5, tmp_path)
    run_search(sampler, evaluator(clock, seen), 1e6, clock)
    assert JOINT.size == 5
    assert len(seen) >= 4
    assert {JOINT.split(c)[0] for c in seen} == {"fast", "slow"}
    for config in seen:
        engine, own = JOINT.split(config)
        assert set(own) == set(JOINT.engines[engine])
        assert all(own[n] in values for n, values in JOINT.engines[engine].items())


def test_tpe_learns_which_engine_is_better(tmp_path: Path) -> None:
    """Engine b is ten times as fast whatever its flags; most trials should go there."""
    values = tuple(range(20))
    space = Space({"a": {"p": values, "q": values}, "b": {"p": values, "q": values}})
    clock, engines = Clock(), list[str]()

    def evaluate(config: Config, index: int, left_s: float) -> TrialResult:
        clock.now += 1.0
        engines.append(str(config["engine"]))
        value = (10.0 if config["engine"] == "b" else 1.0) + float(config["p"]) / 100
        return TrialResult("ok", (value,), 4, 1.0, 0.0, 0.0)

    run_search(make_sampler("tpe", space, 1, tmp_path), evaluate, 40.0, clock)
    assert len(engines) == 39
    assert engines[20:].count("b") >= 13


def test_a_late_trial_is_recorded_and_cannot_win(tmp_path: Path) -> None:
    clock, seen = Clock(), list[Config]()
    sampler = make_sampler("random", SPACE, 21, tmp_path)
    trials = run_search(sampler, evaluator(clock, seen, cost_s=10.0), 9.0, clock)
    assert [t.outcome for t in trials] in (["late"], ["exited"])
    assert ranked(trials) == []


def test_no_trial_starts_that_cannot_end_in_time(tmp_path: Path) -> None:
    clock, seen = Clock(), list[Config]()
    sampler = make_sampler(
        "random", Space({"x": {"batch": (1, 2, 4, 8)}}), 21, tmp_path
    )
    trials = run_search(sampler, evaluator(clock, seen, cost_s=2.0), 5.5, clock)
    assert len(trials) == 2
    assert clock.now <= 5.5


def test_the_reserve_is_left_and_a_trial_that_runs_into_it_still_counts(
    tmp_path: Path,
) -> None:
    clock, seen = Clock(), list[Config]()
    sampler = make_sampler(
        "random", Space({"x": {"batch": (1, 2, 4, 8)}}), 21, tmp_path
    )
    trials = run_search(
        sampler, evaluator(clock, seen, cost_s=3.0), 10.0, clock, reserve_s=5.0
    )
    assert [t.outcome for t in trials] == ["ok"]
    clock.now, seen = 0.0, []
    trials = run_search(
        sampler, evaluator(clock, seen, cost_s=6.0), 10.0, clock, reserve_s=5.0
    )
    assert [t.outcome for t in trials] == ["ok"]


class SlowSampler:
    """Random search that thinks for a quarter of a second of the made clock."""

    def __init__(self, clock: Clock, folder: Path) -> None:
        self._clock, self._inner = clock, make_sampler("random", SPACE, 21, folder)

    def ask(self) -> Config | None:
        self._clock.now += 0.25
        return self._inner.ask()

    def tell(self, config: Config, objective: float | None) -> None:
        self._inner.tell(config, objective)


def test_the_rows_add_up_to_the_time_used(tmp_path: Path) -> None:
    clock, told = Clock(), list[Trial]()
    trials = run_search(
        SlowSampler(clock, tmp_path),
        evaluator(clock, []),
        6.0,
        clock,
        notify=told.append,
    )
    assert tuple(told) == trials
    assert {t.sampler_s for t in trials} == {0.25}
    for earlier, later in itertools.pairwise(trials):
        spent = earlier.launch_s + earlier.evaluate_s + earlier.teardown_s
        assert later.started_s - earlier.started_s == pytest.approx(
            spent + later.sampler_s
        )
    assert clock.now == pytest.approx(1.25 * len(trials))
