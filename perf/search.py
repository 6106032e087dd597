# ruff: noqa: T201 (a program for people)
"""Hold samplers and rules of a search against a surface whose best is known.

``python -m perf.search``. The loop, the samplers, the halving and the choice are
those of ``methods.search``; servers and clock are made, so two hours pass at once.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

from ibench.methods.search import (
    Config,
    Halving,
    Leaders,
    TrialResult,
    choose,
    climb,
    confirm,
    make_sampler,
    ranked,
    run_search,
    rungs,
)
from ibench.records import Confirmation, Trial
from perf.search_surface import (
    FULL,
    LAUNCH_S,
    QUESTIONS_S,
    TEARDOWN_S,
    Surface,
)
from perf.table import Row, render

__all__ = ["RULES", "Found", "main", "run_one", "table"]

BUDGET_S, QUICK, ETA, REGRET = 7200.0, 4, 3, 0.02


class Rule(NamedTuple):
    """How trials are measured and what ships: see ``SearchMethod``."""

    counts: tuple[int, ...]
    top: int
    reserve_share: float


RULES = {
    "original": Rule((QUICK,), 0, 0.0),
    "gated": Rule((QUICK,), 2, 0.25),
    "gated, halving": Rule(rungs(QUICK, FULL, ETA), 2, 0.25),
}
SAMPLERS = ("random", "tpe", "smac")


class Found(NamedTuple):
    """What one search shipped."""

    sampler: str
    rule: str
    seed: int
    is_valid: bool
    regret: float
    trials: int
    confirmed: bool


class Clock:
    """Seconds that only the made servers spend."""

    def __init__(self) -> None:
        """Start at zero."""
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s

    def spend(self, seconds: float) -> float:
        """Let time pass; return how much."""
        self.now_s += seconds
        return seconds


class Host:
    """Launches made servers, as the stage of a search launches real ones.

    Args:
        surface: what the servers answer.
        rule: how trials are measured and what ships.
        seed: of the noise.
    """

    def __init__(self, surface: Surface, rule: Rule, seed: int) -> None:
        """Start the clock."""
        self._surface, self._rule, self._seed = surface, rule, seed
        self._halving, self._leaders = Halving(rule.counts, ETA), Leaders(rule.top)
        self._has_reference = False
        self.clock = Clock()

    def trial(self, config: Config, _index: int, _left_s: float) -> TrialResult:
        """Launch, measure, ask a leader, stop."""
        surface, clock = self._surface, self.clock
        if self._rule.top and not self._has_reference:
            self._has_reference = True
            clock.spend(LAUNCH_S + QUESTIONS_S + TEARDOWN_S)
        if crash := surface.crash(config):
            spent_s = clock.spend(surface.crash_s(config))
            return TrialResult(crash, (), None, spent_s, 0.0, clock.spend(TEARDOWN_S))
        launch_s, begun_s = clock.spend(surface.launch_s(config)), clock()

        def measure(requests: int) -> float:
            clock.spend(surface.load_s(config, requests))
            return surface.measure(config, requests, self._seed, "trial")

        values, passes = climb(self._halving, measure), True
        requests = self._rule.counts[len(values) - 1]
        if self._leaders.has_room(requests, values[-1]) and self._rule.top:
            clock.spend(QUESTIONS_S)
            passes = surface.passes(config)
        evaluate_s = clock() - begun_s
        stop_s = clock.spend(TEARDOWN_S)
        if not passes:
            return TrialResult("quality", (), None, launch_s, evaluate_s, stop_s)
        self._leaders.add(requests, values[-1])
        return TrialResult("ok", values, requests, launch_s, evaluate_s, stop_s)

    def full(self, trial: Trial) -> Confirmation | None:
        """Evaluate one trial in full, if that fits."""
        config, clock, surface = dict(trial.config), self.clock, self._surface
        launch_s = surface.launch_s(config)
        load_s = surface.load_s(config, FULL)
        begun_s, evaluate_s = clock(), QUESTIONS_S + load_s
        if begun_s + launch_s + evaluate_s + TEARDOWN_S > BUDGET_S:
            return None
        passes = surface.passes(config)
        evaluate_s -= 0.0 if passes else load_s
        clock.spend(launch_s + evaluate_s + TEARDOWN_S)
        value = surface.measure(config, FULL, self._seed, "full") if passes else None
        return Confirmation(
            trial=trial.index,
            engine="vllm",
            outcome="ok" if passes else "quality",
            objective=value,
            questions=100,
            started_s=begun_s,
            launch_s=launch_s,
            evaluate_s=evaluate_s,
            teardown_s=TEARDOWN_S,
        )


@cache
def _surface(params: Path) -> Surface:
    return Surface(params)


def run_one(params: Path, sampler: str, rule: str, seed: int) -> Found:
    """Run one search."""
    surface, chosen = _surface(params), RULES[rule]
    host = Host(surface, chosen, seed)
    with tempfile.TemporaryDirectory(prefix="ibench-bench-") as scratch:
        trials = run_search(
            make_sampler(sampler, surface.space, seed, Path(scratch)),
            host.trial,
            BUDGET_S,
            host.clock,
            reserve_s=BUDGET_S * chosen.reserve_share,
        )
    ranking = ranked(trials)
    trial, row = choose(ranking, confirm(ranking, host.full, chosen.top))
    config = dict(trial.config) if trial else {}
    is_valid = trial is not None and surface.is_valid(config)
    regret = 1 - surface.truth(config) / surface.best if is_valid else 1.0
    return Found(sampler, rule, seed, is_valid, regret, len(trials), row is not None)


def table(found: list[Found]) -> list[Row]:
    """One row a sampler and rule."""
    from statsmodels.stats.proportion import proportion_confint  # noqa: PLC0415

    rows: list[Row] = []
    for sampler, rule in product(SAMPLERS, RULES):
        runs = [f for f in found if (f.sampler, f.rule) == (sampler, rule)]
        good = sum(f.is_valid and f.regret <= REGRET for f in runs)
        low, high = proportion_confint(good, len(runs), method="wilson")
        valid = [f.regret for f in runs if f.is_valid]
        rows.append(
            {
                "sampler": sampler,
                "rule": rule,
                "trials": statistics.median(f.trials for f in runs),
                "passes the gate": f"{len(valid)}/{len(runs)}",
                f"within {REGRET:.0%}": f"{good}/{len(runs)}",
                "95 % interval": f"{low:.0%} to {high:.0%}",
                "median regret": f"{statistics.median(f.regret for f in runs):.1%}",
            }
        )
    return rows


def main(argv: list[str] | None = None) -> int:
    """Run all seeds; print one table."""
    parser = argparse.ArgumentParser(prog="python -m perf.search", description=__doc__)
    parser.add_argument("--params", default="params", type=Path)
    parser.add_argument("--seeds", default=50, type=int)
    parser.add_argument("--processes", default=2, type=int)
    args = parser.parse_args(argv)
    started, surface = time.monotonic(), _surface(args.params)
    jobs = list(product(SAMPLERS, RULES, range(args.seeds)))
    with ProcessPoolExecutor(args.processes) as pool:
        work = [pool.submit(run_one, args.params, *job) for job in jobs]
        found = [w.result() for w in work]
    near = surface.share_within(REGRET)
    notes = [
        f"A search that ships what fails counts with a regret of 100 %. {near:.2%} of",
        f"the {surface.space.size:,} configurations are within {REGRET:.0%} of the "
        "best valid one.",
        f"{time.monotonic() - started:.0f} s on {args.processes} processes.",
    ]
    title = f"Search on a made surface, {args.seeds} seeds, {BUDGET_S:g} made seconds"
    print(render(title, table(found), notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
