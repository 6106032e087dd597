"""Plain text tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ibench.errors import StageError
from ibench.terminal import Table

__all__ = ["Row", "render", "replace_block"]

Row = Mapping[str, str | int | float | None]


def render(title: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """Render rows of equal keys under a title, numbers to three digits."""
    lines = [title, "=" * len(title)]
    if rows:
        first, *others = rows[0]
        cells = [[_text(v) for v in row.values()] for row in rows]
        lines += Table((first, *(f">{name}" for name in others)), cells).lines()
    return "\n".join([*lines, *notes, ""])


def replace_block(path: Path, name: str, text: str) -> None:
    """Put text between a file's two marks of that name.

    Raises:
        StageError: the file has no such marks.
    """
    marks = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begin, rest = path.read_text(encoding="utf-8").partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise StageError(f"{path}: the marks {marks[0]} and {marks[1]} are missing")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def _text(value: str | int | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) and value < 100 else _whole(value)


def _whole(value: str | int | float) -> str:
    return value if isinstance(value, str) else f"{value:,.0f}"
