"""Which engine serves: from processes and what they have mapped, not from what is said.

Engines rename their worker processes, and a launcher can be called anything. A shared
library of the engine in a process's memory map is harder to wear by accident.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ibench.serving.linux import command_line, mapped_files

__all__ = ["command_lines", "engines_in"]

_LINE_KEPT = 500
_LINES_KEPT = 64


def command_lines(pids: Iterable[int]) -> tuple[str, ...]:
    """Command lines of living processes, at most 64 lines of 500 characters."""
    unique = dict.fromkeys(
        line[:_LINE_KEPT] for line in map(command_line, pids) if line
    )
    return tuple(unique)[:_LINES_KEPT]


def engines_in(pids: Iterable[int], patterns: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the engines whose pattern a command line or a mapped file matches.

    Args:
        pids: processes of one server.
        patterns: regular expression by engine name.
    """
    compiled = {name: re.compile(text) for name, text in patterns.items()}
    seen = set[str]()
    for pid in pids:
        text = "\n".join([command_line(pid), *sorted(mapped_files(pid))])
        seen |= {name for name, pattern in compiled.items() if pattern.search(text)}
    return tuple(name for name in patterns if name in seen)
