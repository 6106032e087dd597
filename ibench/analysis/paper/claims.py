"""``make claims``: claim by claim, what was published, what came out here, agreement.

A claim is data (``params/claims.yaml``); its arithmetic is a function of the closed
registry below. Contradictions of the sources are claims too: they are expected to
differ, and one that suddenly agrees is reported, because then a number changed.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ibench.analysis.paper.checks import GENERIC, Cell, Context, Found, Rows
from ibench.analysis.paper.checks_paper import SPECIFIC
from ibench.analysis.paper.data import Published
from ibench.errors import ParameterError
from ibench.params.files import load_yaml
from ibench.records import Closed
from ibench.terminal import Part, Table

__all__ = [
    "REGISTRY",
    "Checked",
    "Claim",
    "Claims",
    "Verdict",
    "check_claims",
    "report",
]

REGISTRY: dict[str, Callable[..., Found]] = {
    f.__name__: f for f in (*GENERIC, *SPECIFIC)
}
SLACK = 1e-9


class Claim(Closed):
    """One statement of the paper, README or site, and how it is checked."""

    id: str = Field(pattern="^[a-z0-9-]+$")
    claim: str = Field(description="the statement, in our words")
    source: str = Field(description="where it is printed")
    function: str = Field(description="name in the registry")
    arguments: dict[str, Cell | Rows | dict[str, str] | int | float | str] = Field(
        default={}, description="of the function"
    )
    tolerance: float = Field(
        default=0.0, ge=0, description="largest deviation, absolute"
    )
    expect: Literal["holds", "inconsistent"] = "holds"
    tier: Literal["records", "relaunch", "fresh"] = Field(
        default="records",
        description="records to figures; relaunch of submissions; fresh runs",
    )
    human_minutes: float = Field(default=0.0, ge=0)
    gpu_hours: float = Field(default=0.0, ge=0)


class Claims(Closed):
    """All claims; ids are unique and functions exist."""

    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _closed(self) -> Claims:
        seen: set[str] = set()
        for claim in self.claims:
            if claim.function not in REGISTRY:
                raise ValueError(f"{claim.id}: no function {claim.function!r}")
            if claim.id in seen:
                raise ValueError(f"{claim.id}: stands twice")
            seen.add(claim.id)
        return self


class Verdict(StrEnum):
    """What came of a claim."""

    AGREES = "agrees"
    FAILS = "FAILS"
    KNOWN = "known inconsistency"
    RESOLVED = "NOW AGREES"  # a known inconsistency that is gone
    NOT_RUN = "not run"

    @property
    def is_failure(self) -> bool:
        """Whether somebody has to look: a contradiction that is gone counts too."""
        return self in (Verdict.FAILS, Verdict.RESOLVED)


@dataclass(frozen=True)
class Checked:
    """A claim, its two numbers and its verdict."""

    claim: Claim
    found: Found
    verdict: Verdict

    @property
    def deviation(self) -> float:
        """Obtained minus published."""
        return self.found.obtained - self.found.published


def check_claims(
    params: Path, published: Path, results: Path, profile: str | None = None
) -> list[Checked]:
    """Check every claim of ``claims.yaml``.

    Raises:
        ParameterError: a claim or a published file is malformed.
    """
    path = params / "claims.yaml"
    context = Context(Published(published.resolve()), params, results, profile)
    return [_check(path, c, context) for c in load_yaml(Claims, path).claims]


def _check(path: Path, claim: Claim, context: Context) -> Checked:
    function = REGISTRY[claim.function]
    try:
        inspect.signature(function).bind(context, **claim.arguments)
    except TypeError as error:
        raise ParameterError(
            path, f"{claim.id}.arguments", claim.function, str(error)
        ) from error
    try:
        found = function(context, **claim.arguments)
    except (KeyError, AttributeError, TypeError) as error:
        raise ParameterError(
            path, f"{claim.id}.arguments", claim.function, f"does not fit: {error!r}"
        ) from error
    return Checked(claim, found, _verdict(claim, found))


def _verdict(claim: Claim, found: Found) -> Verdict:
    if claim.tier != "records" and math.isnan(found.obtained):
        return Verdict.NOT_RUN
    deviation = abs(found.obtained - found.published)
    same = deviation <= claim.tolerance + SLACK  # False when either is NaN
    if claim.expect == "holds":
        return Verdict.AGREES if same else Verdict.FAILS
    return Verdict.RESOLVED if same else Verdict.KNOWN


def report(checked: list[Checked]) -> list[Part]:
    """Put claims in a table, then count the verdicts in one line."""
    rows: list[tuple[str, ...]] = []
    for item in checked:
        found, claim = item.found, item.claim
        numbers = (found.published, found.obtained, item.deviation)
        rows.append((item.verdict, claim.id, *map(_number, numbers), claim.source))
        notes = [found.note] if found.note else []
        if item.verdict is not Verdict.AGREES:
            notes.append(claim.claim)
        if item.verdict is Verdict.NOT_RUN:
            cost = f"{claim.human_minutes:g} minutes, {claim.gpu_hours:g} GPU hours"
            notes[-1] += f" ({cost})"
        rows += [("", "", "", "", "", f"  {note}") for note in notes]
    counts = {v: sum(i.verdict is v for i in checked) for v in Verdict}
    counted = [f"{n} {v}" for v, n in counts.items() if n]
    bad = [i.claim.id for i in checked if i.verdict.is_failure]
    names = ("verdict", "claim", ">published", ">obtained", ">deviation", "source")
    return [
        Table(names, rows),
        f"{len(checked)} claims: {', '.join(counted)}",
        *([f"look at: {', '.join(bad)}"] if bad else []),
    ]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.5g}"
