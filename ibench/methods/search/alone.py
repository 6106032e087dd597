"""One search outside a study's grid, with the profile's budget and scenario.

The submission is recorded as a study's is, in a folder that no cell has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from ibench.errors import ParameterError, unknown_name
from ibench.methods.folder import FOLDER
from ibench.methods.search.stage import search_submission
from ibench.params import SearchMethod, SeedPair
from ibench.records import Submission, Trial
from ibench.store import load_record, retire, run_id_on_disk
from ibench.study.definition import Cell, Job, Study
from ibench.study.job import OpenJob

__all__ = ["fixed_parameters", "search_alone", "search_job"]

PLACE = "search"
OF_A_METHOD = ("method", "agent", "prompt", "engine", "engines", "spaces")


def search_job(
    study: Study,
    method: SearchMethod,
    scenario: str,
    seeds: str | None = None,
    budget_s: float | None = None,
) -> Job:
    """Make the job of a search that is in no grid; its spec is that of a study's.

    Args:
        study: the profile.
        method: sampler, space and rule.
        scenario: one of the profile's.
        seeds: label of one of the scenario's seed pairs; the first one by default.
        budget_s: another budget than the profile's.

    Raises:
        ParameterError: an unknown scenario, space or seed pair, a space that does not
            fit its engine, or a budget that is no time.
    """
    if scenario not in study.scenarios:
        raise unknown_name(study.profile_path, "scenario", scenario, study.scenarios)
    if budget_s is not None and budget_s <= 0:
        raise ParameterError("search", "--budget-s", budget_s, "give seconds above 0")
    pair = _pair(study, scenario, seeds)
    like = study.job(
        f"{scenario}/{study.profile.methods[0].name}/"
        f"{study.scenarios[scenario].seed_pairs[0].label}/submission"
    )
    common = {k: v for k, v in like.spec.items() if k not in OF_A_METHOD}
    budget = dict(common["budget"])
    if budget_s is not None:
        budget["search_s"] = budget_s
    cell = Cell(scenario, method.name, pair)
    changed = {"budget": budget, "seed": pair.seed("dev")}
    return dataclasses.replace(
        like,
        folder=study.root / PLACE / cell.path / "submission",
        spec=common | changed | study.method_spec(method),
        parameters={},
        cell=cell,
    )


def search_alone(
    study: Study,
    method: SearchMethod,
    job: Job,
    notify: Callable[[Trial], None] = lambda trial: None,
) -> tuple[Submission, Path | None]:
    """Run a search, or read it back if the same one was run before.

    Returns:
        The submission, and its folder if there is a launcher in it.
    """
    if run_id_on_disk(job.folder) == job.run_id:
        found = load_record(job.folder).result
        if isinstance(found, Submission):
            for trial in found.trials:
                notify(trial)
            return found, _place(job, found)
    retire(job.folder)
    opened = OpenJob(study, job)
    budget_s = job.spec["budget"]["search_s"]
    found = search_submission(
        opened, method, job.folder / FOLDER, budget_s=budget_s, notify=notify
    )
    opened.publish(found)
    return found, _place(job, found)


def fixed_parameters(study: Study, method: SearchMethod) -> frozenset[str]:
    """Parameters with a single value in every space of the method."""
    spaces = study.spaces(method.space).values()
    names = {n for space in spaces for n in space.parameters}
    return frozenset(
        n for n in names if all(len(s.parameters.get(n, ())) <= 1 for s in spaces)
    )


def _place(job: Job, found: Submission) -> Path | None:
    return job.folder / found.path if found.outcome == "finished" else None


def _pair(study: Study, scenario: str, label: str | None) -> SeedPair:
    pairs = {p.label: p for p in study.scenarios[scenario].seed_pairs}
    if label is not None and label not in pairs:
        raise unknown_name("search", "--seeds", label, pairs)
    return pairs[label or next(iter(pairs))]
