# ruff: noqa: T201 (a program for people)
"""The command ``search``: one search outside a study's grid."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ibench.errors import ParameterError, StageError, UserError

if TYPE_CHECKING:
    from ibench.params import SearchMethod
    from ibench.study.definition import Study

__all__ = ["add_search"]

CONFIRM_TOP = 2


def add_search(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Declare the options of ``search``; returns what runs it."""
    add = parser.add_argument
    add("--profile", default="cpu", help="scenario, model, budget and gates are its")
    add("--engine", required=True, help="a file of params/search; joint: several")
    add("--sampler", default="tpe", help="random, tpe or smac")
    add("--scenario", default="a", help="a, b, c or d")
    add("--rule", default="plain", help="plain or halving")
    add("--eta", type=int, default=3, help="halving: one in eta is measured on")
    add("--budget-s", type=float, help="default: search_s of the profile")
    add("--confirm-top", type=int, help=f"default {CONFIRM_TOP}; compat upstream: 0")
    add("--reserve-share", type=float, default=0.25, help="of the budget, to confirm")
    add("--seeds", help="seed pair such as 21-1337; default: the scenario's first")
    add("--params", default="params")
    add("--results", default="results")
    return _search


def _search(args: argparse.Namespace) -> int:
    from ibench import REPOSITORY  # noqa: PLC0415
    from ibench.methods.search.alone import (  # noqa: PLC0415
        fixed_parameters,
        search_alone,
        search_job,
    )
    from ibench.methods.search.lines import submission_lines, trial_line  # noqa: PLC0415
    from ibench.study.definition import Study  # noqa: PLC0415
    from ibench.study.engines import find_pythons, prepare_engines  # noqa: PLC0415
    from ibench.study.lock import allocated_gpus, announced, measuring  # noqa: PLC0415

    study = Study(args.profile, Path(args.params), Path(args.results))
    method = _method(args, study)
    job = search_job(study, method, args.scenario, args.seeds, args.budget_s)
    fixed = fixed_parameters(study, method)
    # A flag that the engine lacks is one line now, not a budget of crashed trials.
    cache, folder = REPOSITORY / ".cache", Path(sys.executable).parent
    prepare_engines(study, cache, folder, print, find_pythons(), [method])
    print(f"{job.cell.path if job.cell else ''}: {job.spec['budget']['search_s']:g} s")
    gpus = allocated_gpus() if study.host.gpu else ()
    with measuring(study.results, gpus, announced(sys.stderr)):
        found, made = search_alone(
            study, method, job, lambda t: print(trial_line(t, fixed), flush=True)
        )
    print("\n".join(submission_lines(found)))
    if made is None:
        late = all(t.outcome == "late" for t in found.trials)
        raise (UserError if late else StageError)("; ".join(found.warnings))
    for line in found.warnings:
        print(f"warning: {line}", file=sys.stderr)
    print(made / "start_server.sh")
    return 0


def _method(args: argparse.Namespace, study: Study) -> SearchMethod:
    from pydantic import ValidationError  # noqa: PLC0415

    from ibench.params import SearchMethod  # noqa: PLC0415

    top = args.confirm_top
    if top is None:
        top = 0 if study.profile.compat == "upstream" else CONFIRM_TOP
    suffix = "" if args.rule == "plain" else f"-{args.rule}"
    values: dict[str, Any] = {
        "kind": "search",
        "name": f"{args.sampler}{suffix}-{args.engine}",
        "space": args.engine,
        "sampler": args.sampler,
        "rule": args.rule,
        "eta": args.eta,
        "confirm_top": top,
        "reserve_share": args.reserve_share,
    }
    try:
        return SearchMethod.model_validate(values)
    except ValidationError as error:
        # The name is made of the others: what is wrong with it is wrong with them.
        first = min(error.errors(), key=lambda e: e["loc"][0] == "name")
        key = "--" + str(first["loc"][0]).replace("_", "-").replace("name", "engine")
        raise ParameterError("search", key, first["input"], first["msg"]) from error
