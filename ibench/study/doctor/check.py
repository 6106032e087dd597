"""One line of a diagnosis, and all of them as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from ibench.terminal import Part, Table

__all__ = ["Check", "State", "doctor_parts"]

State: TypeAlias = Literal["ok", "warn", "fail"]


class Check(NamedTuple):
    """What was looked at, how it stands and, where it does not stand well, a remedy."""

    name: str
    state: State
    found: str
    remedy: str = ""


def doctor_parts(checks: Sequence[Check]) -> list[Part]:
    """Put checks below each other, a remedy below the check that needs it, and sums."""
    rows: list[tuple[str, str, str]] = []
    for check in checks:
        rows.append((check.state, check.name, check.found))
        if check.state != "ok" and check.remedy:
            rows.append(("", "", f"-> {check.remedy}"))
    counts = Counter(check.state for check in checks)
    return [
        Table(("state", "check", "found"), rows, header=False),
        f"{counts['ok']} ok, {counts['warn']} to know, {counts['fail']} to mend",
    ]
