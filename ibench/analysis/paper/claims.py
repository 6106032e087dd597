"""``make claims``: claim by claim, what was published, what came out here, agreement.

A claim is data (``params/claims.yaml``); its arithmetic is a function of the closed
registry below. Contradictions of the sources are claims too: they are expected to
differ, and one that suddenly agrees is reported, because then a number changed.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field

from ibench.analysis.paper.checks import GENERIC
from ibench.analysis.paper.checks_compare import COMPARING
from ibench.analysis.paper.checks_isobench import ISOBENCH
from ibench.analysis.paper.checks_paper import SPECIFIC
from ibench.analysis.paper.checks_rerun import RERUN
from ibench.analysis.paper.checks_statistics import STATISTICAL
from ibench.analysis.paper.data import Published
from ibench.analysis.paper.selecting import (
    CheckedNumber,
    Context,
    PublishedCell,
    Rows,
)
from ibench.errors import ParameterError, unknown_name
from ibench.params.files import load_yaml
from ibench.records import Closed
from ibench.terminal import Part, Table

__all__ = [
    "REGISTRY",
    "Checked",
    "Claim",
    "ClaimVerdict",
    "Claims",
    "check_claims",
    "report",
    "verdict_of",
]

REGISTRY: dict[str, Callable[..., CheckedNumber]] = {
    f.__name__: f
    for f in (*GENERIC, *COMPARING, *SPECIFIC, *STATISTICAL, *ISOBENCH, *RERUN)
}
SLACK = 1e-9
# How a bound is written before the published number of a comparing sentence.
SIGNS = {"equal": "", "above": ">", "below": "<"}


Argument: TypeAlias = (
    PublishedCell
    | Rows
    | dict[str, str]
    | tuple[PublishedCell, ...]
    | tuple[str, ...]
    | int
    | float
    | str
)


class Claim(Closed):
    """One statement of the paper, README or site, and how it is checked."""

    id: str = Field(pattern="^[a-z0-9-]+$")
    claim: str = Field(description="the statement, in our words")
    source: str = Field(description="where it is printed")
    function: str = Field(description="name in the registry")
    arguments: dict[str, Argument] = Field(default={}, description="of the function")
    relation: Literal["equal", "above", "below"] = Field(
        default="equal",
        description="obtained is the published number, or beyond this bound",
    )
    tolerance: float = Field(
        default=0.0, ge=0, description="largest deviation, absolute; of equal only"
    )
    expect: Literal["holds", "inconsistent"] = "holds"
    tier: Literal["records", "relaunch", "fresh"] = Field(
        default="records",
        description="records to figures; relaunch of submissions; fresh runs",
    )
    human_minutes: float = Field(default=0.0, ge=0)
    gpu_hours: float = Field(default=0.0, ge=0)


class Claims(Closed):
    """All claims, in the order of their table."""

    claims: tuple[Claim, ...]


class ClaimVerdict(StrEnum):
    """What came of a claim."""

    AGREES = "agrees"
    FAILS = "FAILS"
    KNOWN = "known inconsistency"
    RESOLVED = "NOW AGREES"  # a known inconsistency that is gone
    NOT_RUN = "not run"
    UNLIKE = "not comparable"  # our records measure something else

    @property
    def is_failure(self) -> bool:
        """Whether somebody has to look: a contradiction that is gone counts too."""
        return self in (ClaimVerdict.FAILS, ClaimVerdict.RESOLVED)


@dataclass(frozen=True)
class Checked:
    """A claim, its two numbers and its verdict."""

    claim: Claim
    found: CheckedNumber
    verdict: ClaimVerdict

    @property
    def deviation(self) -> float:
        """Obtained minus published; what rounding of floats leaves is none."""
        excess = self.found.obtained - self.found.published
        return 0.0 if abs(excess) <= SLACK else excess


def check_claims(
    params: Path, published: Path, results: Path, profile: str | None = None
) -> list[Checked]:
    """Check every claim of ``claims.yaml``.

    Raises:
        ParameterError: a claim or a published file is malformed.
    """
    path = params / "claims.yaml"
    context = Context(Published(published.resolve()), params, results, profile)
    claims = load_yaml(Claims, path).claims
    seen: set[str] = set()
    for claim in claims:
        if claim.function not in REGISTRY:
            raise unknown_name(path, f"{claim.id}.function", claim.function, REGISTRY)
        if claim.id in seen:
            raise ParameterError(path, "id", claim.id, "stands twice: rename one")
        seen.add(claim.id)
    return [_check(path, c, replace(context, claim=c.id)) for c in claims]


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
    return Checked(claim, found, verdict_of(claim, found))


def verdict_of(claim: Claim, found: CheckedNumber) -> ClaimVerdict:
    """Whether two numbers are what a claim says of them."""
    if found.unlike:
        return ClaimVerdict.UNLIKE
    if claim.tier != "records" and math.isnan(found.obtained):
        return ClaimVerdict.NOT_RUN
    # NaN is neither equal nor beyond a bound.
    excess = found.obtained - found.published
    same = {
        "equal": abs(excess) <= claim.tolerance + SLACK,
        "above": excess > SLACK,
        "below": -excess > SLACK,
    }[claim.relation]
    if claim.expect == "holds":
        return ClaimVerdict.AGREES if same else ClaimVerdict.FAILS
    return ClaimVerdict.RESOLVED if same else ClaimVerdict.KNOWN


def report(checked: list[Checked]) -> list[Part]:
    """Put claims in a table, then count the verdicts in one line."""
    rows: list[tuple[str, ...]] = []
    for item in checked:
        found, claim = item.found, item.claim
        numbers = (found.published, found.obtained, item.deviation)
        published, *others = map(_number, numbers)
        published = SIGNS[claim.relation] + published
        rows.append((item.verdict, claim.id, published, *others, claim.source))
        notes = [note for note in (found.unlike, found.note) if note]
        if item.verdict is not ClaimVerdict.AGREES:
            notes.append(claim.claim)
        if item.verdict is ClaimVerdict.NOT_RUN:
            cost = f"{claim.human_minutes:g} minutes, {claim.gpu_hours:g} GPU hours"
            notes[-1] += f" ({cost})"
        rows += [("", "", "", "", "", f"  {note}") for note in notes]
    counts = {v: sum(i.verdict is v for i in checked) for v in ClaimVerdict}
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
