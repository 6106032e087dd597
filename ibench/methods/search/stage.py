"""Stage 2 by search: trials on development requests under a wall-clock budget.

docs/search.md says what is charged and what ships.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from ibench.methods.folder import submission, write_launcher
from ibench.methods.search import (
    Choice,
    Halving,
    Space,
    choose,
    confirm,
    make_sampler,
    ranked,
    run_search,
    rungs,
)
from ibench.methods.search.full import Confirmer
from ibench.methods.search.gate import Gate
from ibench.methods.search.site import Clock, Site
from ibench.methods.search.trial import TrialRunner
from ibench.params import SearchMethod
from ibench.params.engines import WORKBENCH_IMAGE
from ibench.records import Confirmation, Selection, Submission, Trial
from ibench.study.job import OpenJob
from ibench.study.live import sandbox_of

__all__ = ["search_submission"]


def search_submission(
    job: OpenJob,
    method: SearchMethod,
    target: Path,
    *,
    budget_s: float | None = None,
    notify: Callable[[Trial], None] = lambda trial: None,
) -> Submission:
    """Search a space on development requests; ship what the method's rule chooses.

    Args:
        job: the stage.
        method: sampler, space, rule.
        target: folder of the submission.
        budget_s: another budget than the profile's.
        notify: told of each trial that ended.
    """
    parts = job.study.spaces(method.space)
    space = Space({name: part.parameters for name, part in parts.items()})
    site = Site(job, space, job.folder / "trials")
    gate = Gate(site, Clock(budget_s or job.study.budget.search_s))
    counts, full = _counts(job, method)
    trials = _search(gate, method, Halving(counts, method.eta), notify)
    rows = confirm(ranked(trials), Confirmer(gate, counts, full), method.confirm_top)
    choice = choose(ranked(trials), rows)
    image = _ship(site, choice, target)
    used_s, total_s = gate.clock.elapsed(), gate.clock.budget_s
    job.save_rows("trials", [_row(t) for t in trials])
    return submission(
        job,
        target,
        outcome="finished" if choice.trial else "no_launcher",
        budget_s=total_s,
        used_s=used_s,
        sandbox=sandbox_of(job, image)[0],
        image=image,
        warnings=_warnings(trials, choice, method, total_s),
        trials=trials,
        selection=_selection(choice, rows, gate, trials, used_s),
        best_seen=max((t.objective or 0.0 for t in ranked(trials)), default=None),
        shipped=_shipped(choice),
    )


def _search(
    gate: Gate, method: SearchMethod, halving: Halving, notify: Callable[[Trial], None]
) -> tuple[Trial, ...]:
    """Run the trials; the sampler's making is charged too."""
    job, top, budget_s = gate.site.job, method.confirm_top, gate.clock.budget_s
    scratch = job.study.root / ".work" / job.job.run_id[:12]
    seed = gate.site.workload.seed
    return run_search(
        make_sampler(method.sampler, gate.site.space, seed, scratch),
        TrialRunner(gate.site, halving, gate if top else None, top),
        budget_s,
        gate.clock.elapsed,
        reserve_s=budget_s * method.reserve_share if top else 0.0,
        notify=notify,
    )


def _ship(site: Site, choice: Choice, target: Path) -> str:
    """Write what ships; return the image that it runs on."""
    if choice.trial is None:
        return WORKBENCH_IMAGE
    config = dict(choice.trial.config)
    write_launcher(target, site.script(config))
    return site.image(site.space.split(config)[0])


def _counts(job: OpenJob, method: SearchMethod) -> tuple[tuple[int, ...], int]:
    """Requests at each rung of a trial, and of a full evaluation."""
    first = job.study.budget.trial_requests
    full = max(p.requests for p in job.scenario.phases)
    counts = (first,) if method.rule == "plain" else rungs(first, full, method.eta)
    return counts, full


def _selection(
    choice: Choice,
    rows: tuple[Confirmation, ...],
    gate: Gate,
    trials: Sequence[Trial],
    used_s: float,
) -> Selection:
    named_s = _named_s(trials, [*rows, *gate.references])
    return Selection(
        trial=choice.trial.index if choice.trial else None,
        confirmed=choice.confirmed,
        confirmations=rows,
        references=tuple(gate.references),
        rest_s=used_s - named_s,
    )


def _row(trial: Trial) -> dict[str, object]:
    row = trial.model_dump(mode="json", exclude={"config"})
    return row | {"config": str(trial.config)}


def _named_s(trials: Sequence[Trial], full: Sequence[Confirmation]) -> float:
    names = ("sampler_s", "launch_s", "evaluate_s", "teardown_s")
    rows = chain(trials, full)
    return math.fsum(getattr(row, n, 0.0) for row in rows for n in names)


def _shipped(choice: Choice) -> float | None:
    """Objective of what ships, at its fullest evaluation."""
    if choice.confirmation is not None:
        return choice.confirmation.objective
    return choice.trial.objective if choice.trial else None


def _warnings(
    trials: Sequence[Trial], choice: Choice, method: SearchMethod, budget_s: float
) -> tuple[str, ...]:
    """What a reader of the record must not miss."""
    if choice.trial is None:
        counts = Counter(t.outcome for t in trials)
        if set(counts) <= {"late"}:
            return (
                f"no trial ended within the budget of {budget_s:g} s: give more than "
                "a launch and an evaluation take",
            )
        found = ", ".join(f"{name} {n}" for name, n in counts.most_common())
        return (f"no configuration could be measured: {found}",)
    if method.confirm_top and not choice.confirmed:
        return ("what shipped was not confirmed at full evaluation",)
    return ()
