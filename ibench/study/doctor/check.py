"""One line of a diagnosis, and all of them as text."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["Check", "State", "doctor_lines"]

State: TypeAlias = Literal["ok", "warn", "fail"]
_WIDTH = 88


class Check(NamedTuple):
    """What was looked at, how it stands and, where it does not stand well, a remedy."""

    name: str
    state: State
    found: str
    remedy: str = ""


def doctor_lines(checks: Sequence[Check]) -> list[str]:
    """Align checks under each other; a remedy stands below the line that needs it."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.state:<4}  {check.name:<{width}}  {check.found}")
        if check.state != "ok" and check.remedy:
            indent = " " * (width + 8)
            text = f"-> {check.remedy}"
            lines += textwrap.wrap(
                text,
                max(_WIDTH, len(indent) + 40),
                initial_indent=indent,
                subsequent_indent=indent + "   ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    counts = Counter(check.state for check in checks)
    lines.append(
        f"{counts['ok']} ok, {counts['warn']} to know, {counts['fail']} to mend"
    )
    return lines
