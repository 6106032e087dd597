"""Plain text tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ibench.terminal import Table

__all__ = ["Row", "render"]

Row = Mapping[str, str | int | float | None]


def render(title: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """Render rows of equal keys under a title, numbers to three digits."""
    lines = [title, "=" * len(title)]
    if rows:
        first, *others = rows[0]
        cells = [[_text(v) for v in row.values()] for row in rows]
        lines += Table((first, *(f">{name}" for name in others)), cells).lines()
    return "\n".join([*lines, *notes, ""])


def _text(value: str | int | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) and value < 100 else _whole(value)


def _whole(value: str | int | float) -> str:
    return value if isinstance(value, str) else f"{value:,.0f}"
