"""Checks that hold our own records against the paper, like with like or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import yaml

from ibench.analysis.paper.runs import aggregate_of, baseline_of, unlike
from ibench.analysis.paper.selecting import (
    CheckedNumber,
    Context,
    PublishedCell,
    value,
)
from ibench.study.definition import Study

__all__ = ["RERUN"]

NEEDS_RUNS = "needs runs: call with --profile"


def our_aggregate(
    context: Context, *, published: PublishedCell, method: str
) -> CheckedNumber:
    """Aggregate of a method in the records of the profile given on the command line.

    Raises:
        ParameterError: no profile has such a method, or there is no such profile.
    """
    known = _methods(context.params)
    if method not in known:
        raise context.unknown("method", method, known)
    printed = value(context, published)
    if context.profile is None:
        return CheckedNumber(printed, math.nan, NEEDS_RUNS)
    study = Study(context.profile, context.params, context.results)
    if method not in study.method_specs:
        note = f"profile {study.profile.name} has no method {method}"
        return CheckedNumber(printed, math.nan, note)
    why = unlike(study, context.data, tuple("abcd"))
    ours, note = aggregate_of(study, method)
    return CheckedNumber(printed, ours, note, why)


def our_baseline(
    context: Context,
    *,
    published: PublishedCell,
    scenario: str,
    metric: str,
    scale: float,
) -> CheckedNumber:
    """A native-unit baseline in the records of that profile, times ``scale``.

    Raises:
        ParameterError: there is no such profile.
    """
    printed = value(context, published)
    if context.profile is None:
        return CheckedNumber(printed, math.nan, NEEDS_RUNS)
    study = Study(context.profile, context.params, context.results)
    if scenario not in study.scenarios:
        note = f"profile {study.profile.name} has no scenario {scenario}"
        return CheckedNumber(printed, math.nan, note)
    why = unlike(study, context.data, (scenario,))
    ours, note = baseline_of(study, scenario, metric)
    return CheckedNumber(printed, ours * scale, note, why)


@cache
def _methods(params: Path) -> tuple[str, ...]:
    """Names of the methods of all profiles, in the order of the files."""
    names: dict[str, None] = {}
    for path in sorted((params / "profiles").rglob("*.yaml")):
        for method in yaml.safe_load(path.read_text()).get("methods", ()):
            names[method["name"]] = None
    return tuple(names)


RERUN: tuple[Callable[..., CheckedNumber], ...] = (our_aggregate, our_baseline)
