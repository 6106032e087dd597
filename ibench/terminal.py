"""What a command shows: rich tables on a terminal, plain aligned text elsewhere.

Plain text has no escape codes, no frames and no wrapping, whatever the width, so that
``grep``, ``awk`` and a log file get whole lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO, TypeAlias

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

__all__ = ["Part", "Table", "console", "follow", "plain", "say", "show"]

# Words that stand alone in a cell and their colour on a terminal.
_STYLES = {
    **dict.fromkeys(("ok", "done", "ready", "valid", "agrees"), "green"),
    **dict.fromkeys(("warn", "outdated", "stale", "waiting", "queued"), "yellow"),
    **dict.fromkeys(("fail", "broken", "failed", "FAILS", "INVALID"), "bold red"),
    "missing": "dim",
}


@dataclass(frozen=True)
class Table:
    """Rows under column names.

    Args:
        columns: names; one that starts with ``>`` is set to the right.
        rows: cells as text, as many a row as there are columns.
        header: whether plain text names the columns too; a terminal always does.
        title: one line above the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    header: bool = True
    title: str = ""

    def lines(self) -> list[str]:
        """Render as plain text, two spaces between columns, none at the end."""
        names = [name.removeprefix(">") for name in self.columns]
        rows = [names, *self.rows] if self.header else list(self.rows)
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        right = [name.startswith(">") for name in self.columns]
        lines = [self.title] if self.title else []
        for row in rows:
            cells = [
                cell.rjust(width) if is_right else cell.ljust(width)
                for cell, width, is_right in zip(row, widths, right, strict=True)
            ]
            lines.append("  ".join(cells).rstrip())
        return lines

    def rich(self) -> RichTable:
        """Render for a terminal: a rule below the names, states in colour."""
        columns = [
            Column(n.removeprefix(">"), justify="right" if n[:1] == ">" else "left")
            for n in self.columns
        ]
        title = self.title or None
        table = RichTable(*columns, box=box.SIMPLE_HEAD, title=title, pad_edge=False)
        table.title_justify = "left"
        for row in self.rows:
            table.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in row))
        return table


Part: TypeAlias = str | Table


def console(stream: TextIO) -> Console:
    """Open a stream for rich; only a terminal gets colours and cursor movements."""
    return Console(file=stream, force_terminal=stream.isatty(), highlight=False)


def plain(*parts: Part) -> list[str]:
    """Render lines and tables as lines of plain text."""
    return [
        line
        for part in parts
        for line in ([part] if isinstance(part, str) else part.lines())
    ]


def show(*parts: Part) -> None:
    """Write lines and tables to standard output."""
    stream = sys.stdout
    for part in parts:
        if isinstance(part, Table) and stream.isatty():
            console(stream).print(part.rich())
        else:
            stream.writelines(f"{line}\n" for line in plain(part))
    stream.flush()


def follow(views: Iterable[Sequence[str]]) -> None:
    """Show one view after the other: in place on a terminal, below each other else."""
    if not sys.stdout.isatty():
        for lines in views:
            show(*lines)
        return
    with Live(console=console(sys.stdout), auto_refresh=False) as live:
        for lines in views:
            live.update(Text("\n".join(lines)), refresh=True)


def say(line: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
