"""The trial loop: a wall-clock budget that charges everything.

The sampler, launch, evaluation and teardown are charged. A configuration is never run
twice. A trial that ends after the budget is recorded as ``late`` and cannot win. No
trial is started when less time is left than the quickest finished one took.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ibench.methods.search.samplers import Sampler
from ibench.methods.search.space import Config, config_key
from ibench.records import Trial

__all__ = ["TrialResult", "ranked", "run_search"]

MAX_REPEATS = 50


@dataclass(frozen=True)
class TrialResult:
    """What evaluating one configuration gave.

    Attributes:
        outcome: ``ok`` or the name of the failure.
        rungs: development objective at each rung, the lowest first; empty for a
            failure.
        requests: of the last rung.
        launch_s: launch to ready.
        evaluate_s: warm-up, load, questions.
        teardown_s: until nothing was left.
        asked_s: of the evaluation, for the questions of a trial that led.
        log_tail: end of the server's log.
    """

    outcome: str
    rungs: tuple[float, ...]
    requests: int | None
    launch_s: float
    evaluate_s: float
    teardown_s: float
    asked_s: float = 0.0
    log_tail: str = ""


def run_search(
    sampler: Sampler,
    evaluate: Callable[[Config, int, float], TrialResult],
    budget_s: float,
    elapsed: Callable[[], float],
    *,
    reserve_s: float = 0.0,
    notify: Callable[[Trial], None] = lambda trial: None,
) -> tuple[Trial, ...]:
    """Run trials until the budget or the space is used up.

    The sampler hears the objective of the lowest rung: the only one that every
    configuration has, and rates at different request counts do not compare.

    Args:
        sampler: proposes configurations.
        evaluate: runs one: (config, trial index, seconds left) to its result.
        budget_s: wall-clock seconds.
        elapsed: seconds since the budget started.
        reserve_s: the budget's end, kept for something else than trials.
        notify: told of each trial that ended.
    """
    trials: list[Trial] = []
    known: dict[str, float | None] = {}
    repeats, quickest_s, ended_s = 0, 0.0, 0.0
    while budget_s - reserve_s - elapsed() > quickest_s:
        config = sampler.ask()
        if config is None or repeats >= MAX_REPEATS:
            break
        key = config_key(config)
        if key in known:
            repeats += 1
            sampler.tell(config, known[key])
            continue
        repeats, begin_s = 0, elapsed()
        result = evaluate(config, len(trials), budget_s - reserve_s - begin_s)
        sampler_s, ended_s = begin_s - ended_s, elapsed()
        late = ended_s > budget_s
        times_s = (begin_s, sampler_s)
        trials.append(_trial(len(trials), config, result, times_s, late=late))
        known[key] = result.rungs[0] if result.rungs else None
        sampler.tell(config, known[key])
        notify(trials[-1])
        if result.outcome == "ok":
            quickest_s = min(quickest_s or budget_s, ended_s - begin_s)
    return tuple(trials)


def _trial(
    index: int,
    config: Config,
    result: TrialResult,
    times_s: tuple[float, float],
    *,
    late: bool,
) -> Trial:
    return Trial(
        index=index,
        config=config,
        outcome="late" if late and result.outcome == "ok" else result.outcome,
        objective=result.rungs[-1] if result.rungs else None,
        requests=result.requests,
        rungs=result.rungs,
        started_s=times_s[0],
        sampler_s=times_s[1],
        launch_s=result.launch_s,
        evaluate_s=result.evaluate_s,
        teardown_s=result.teardown_s,
        asked_s=result.asked_s,
        log_tail=result.log_tail,
    )


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that ended well and in time, the best first.

    More requests go before a larger objective: what stopped at a lower rung was not
    among the best there.
    """
    good = [t for t in trials if t.outcome == "ok" and t.objective is not None]
    return sorted(
        good, key=lambda t: (t.requests or 0, t.objective or 0.0), reverse=True
    )
