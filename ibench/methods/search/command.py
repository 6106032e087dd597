"""The command ``search``: one search outside a study's grid."""

from __future__ import annotations

import sys
from typing import Literal, TypeAlias

from pydantic import ValidationError
from typer import Option

from ibench import REPOSITORY
from ibench.errors import ParameterError, StageError, UserError
from ibench.params import SearchMethod
from ibench.params.options import SCENARIO
from ibench.study.command import BIN, with_study
from ibench.study.definition import Study
from ibench.terminal import say, show

__all__ = ["search"]

Sampler: TypeAlias = Literal["random", "tpe", "smac"]
Rule: TypeAlias = Literal["plain", "halving"]


@with_study("cpu")
def search(
    study: Study,
    engine: str = Option(help="A file of search/; joint searches several engines."),
    sampler: Sampler = Option("tpe", help="What proposes trials."),
    scenario: str = SCENARIO,
    rule: Rule = Option("plain", help="How much a trial measures."),
    eta: int = Option(3, help="Halving: one trial in eta is measured on."),
    budget_s: float | None = Option(None, help="Seconds; else the profile's."),
    confirm_top: int = Option(2, help="Trials to confirm; 0 is the original's rule."),
    reserve_share: float = Option(0.25, help="Budget share kept to confirm."),
    seeds: str | None = Option(None, help="Pair such as 21-1337; else the first."),
) -> int:
    """Search the flags of one engine, or of several at once."""
    from ibench.methods.search.alone import (  # noqa: PLC0415
        fixed_parameters,
        search_alone,
        search_job,
    )
    from ibench.methods.search.lines import submission_lines, trial_line  # noqa: PLC0415
    from ibench.study.engines import find_pythons, prepare_engines  # noqa: PLC0415
    from ibench.study.lock import allocated_gpus, announced, measuring  # noqa: PLC0415

    method = _method(
        name=f"{sampler}{'' if rule == 'plain' else f'-{rule}'}-{engine}",
        space=engine,
        sampler=sampler,
        rule=rule,
        eta=eta,
        confirm_top=confirm_top,
        reserve_share=reserve_share,
    )
    job = search_job(study, method, scenario, seeds, budget_s)
    fixed = fixed_parameters(study, method)
    # A flag that the engine lacks is one line now, not a budget of crashed trials.
    prepare_engines(study, REPOSITORY / ".cache", BIN, show, find_pythons(), [method])
    show(f"{job.cell.path if job.cell else ''}: {job.spec['budget']['search_s']:g} s")
    gpus = allocated_gpus() if study.host.gpu else ()
    with measuring(study.results, gpus, announced(sys.stderr)):
        found, made = search_alone(
            study, method, job, lambda t: show(trial_line(t, fixed))
        )
    show(*submission_lines(found))
    if made is None:
        late = all(t.outcome == "late" for t in found.trials)
        raise (UserError if late else StageError)("; ".join(found.warnings))
    for line in found.warnings:
        say(f"warning: {line}")
    show(str(made / "start_server.sh"))
    return 0


def _method(**values: str | float) -> SearchMethod:
    """Build the method that the options name.

    Raises:
        ParameterError: a value that does not fit; the option is named.
    """
    try:
        return SearchMethod.model_validate({"kind": "search", **values})
    except ValidationError as error:
        # The name is made of the others: what is wrong with it is wrong with them.
        first = min(error.errors(), key=lambda e: e["loc"][0] == "name")
        key = "--" + str(first["loc"][0]).replace("_", "-").replace("name", "engine")
        raise ParameterError("search", key, first["input"], first["msg"]) from error
