"""Texts written in place in a shell command (``<<EOF``), split off it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Heredoc", "heredocs"]

_HEREDOC = re.compile(r"<<-?[ \t]*(['\"]?)([A-Za-z_]\w*)\1([^\n]*)\n")
_TARGET = re.compile(r"(?:>{1,2}|\btee(?:[ \t]+-a)?)[ \t]*['\"]?([^\s'\"<>|;&]+)")
_SEPARATOR = re.compile(r"[;&|()]")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A text written in place, and the file it goes to if to one.

    ``reader`` is the command that has it as its input.
    """

    target: str | None
    body: str
    reader: str = field(default="", repr=False)


def heredocs(text: str) -> tuple[str, list[Heredoc]]:
    r"""Split here-documents off a command.

    >>> heredocs("cat > a.sh <<'EOF'\nexec x\nEOF\nls")
    ('cat > a.sh \nls', [Heredoc(target='a.sh', body='exec x')])
    """
    if "<<" not in text:
        return text, []
    rest, found, at = [], [], 0
    while (start := _HEREDOC.search(text, at)) is not None:
        line = text[text.rfind("\n", 0, start.start()) + 1 : start.end()]
        end = re.compile(rf"^[ \t]*{start[2]}[ \t]*$", re.M).search(text, start.end())
        stop = end.start() if end else len(text)
        target = _TARGET.search(line)
        body = text[start.end() : stop].removesuffix("\n")
        before = line[: start.start() - start.end()]
        reader = _SEPARATOR.split(before)[-1]
        found.append(Heredoc(target[1] if target else None, body, reader))
        rest.append(text[at : start.start()] + start[3])
        at = end.end() if end else len(text)
    return "".join([*rest, text[at:]]), found
