"""The trial loop: a wall-clock budget that charges everything.

Launch, evaluation and teardown are charged. A configuration is never run twice. A
trial that ends after the budget is recorded as ``late`` and cannot win. No trial is
started when less time is left than the quickest finished one took.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ibench.records import Trial
from ibench.search.samplers import Config, Sampler, config_key

__all__ = ["TrialResult", "best_trial", "run_search"]

MAX_REPEATS = 50


@dataclass(frozen=True)
class TrialResult:
    """What evaluating one configuration gave.

    Attributes:
        outcome: ``ok`` or the name of the failure.
        objective: development objective, None for a failure.
        launch_s: launch to ready.
        evaluate_s: warm-up and load.
        teardown_s: until nothing was left.
        log_tail: end of the server's log.
    """

    outcome: str
    objective: float | None
    launch_s: float
    evaluate_s: float
    teardown_s: float
    log_tail: str = ""


def run_search(
    sampler: Sampler,
    evaluate: Callable[[Config, int, float], TrialResult],
    budget_s: float,
    clock: Callable[[], float],
) -> tuple[Trial, ...]:
    """Run trials until the budget or the grid is used up.

    Args:
        sampler: proposes configurations.
        evaluate: runs one: (config, trial index, seconds left) to its result.
        budget_s: wall-clock seconds.
        clock: monotonic seconds.
    """
    started = clock()
    trials: list[Trial] = []
    known: dict[str, float | None] = {}
    repeats, quickest_s = 0, 0.0
    while (left := budget_s - (clock() - started)) > quickest_s:
        config = sampler.ask()
        if config is None or repeats >= MAX_REPEATS:
            break
        key, begin = config_key(config), clock() - started
        if key in known:
            repeats += 1
            sampler.tell(config, known[key])
            continue
        repeats = 0
        result = evaluate(config, len(trials), left)
        late = clock() - started > budget_s
        trials.append(_trial(len(trials), config, result, begin, late=late))
        known[key] = result.objective
        sampler.tell(config, result.objective)
        if result.outcome == "ok":
            took = clock() - started - begin
            quickest_s = min(quickest_s or took, took)
    return tuple(trials)


def _trial(
    index: int, config: Config, result: TrialResult, begin: float, *, late: bool
) -> Trial:
    return Trial(
        index=index,
        config=config,
        outcome="late" if late and result.outcome == "ok" else result.outcome,
        objective=result.objective,
        started_s=begin,
        launch_s=result.launch_s,
        evaluate_s=result.evaluate_s,
        teardown_s=result.teardown_s,
        log_tail=result.log_tail,
    )


def best_trial(trials: tuple[Trial, ...]) -> Trial | None:
    """The trial with the largest objective that ended in time, if any."""
    good = [t for t in trials if t.outcome == "ok" and t.objective is not None]
    return max(good, key=lambda t: t.objective or 0.0, default=None)
