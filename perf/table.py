"""Plain text tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["Row", "render"]

Row = Mapping[str, str | int | float | None]


def render(title: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """Render rows of equal keys under a title, numbers to three digits."""
    lines = [title, "=" * len(title)]
    if rows:
        cells = [list(rows[0])] + [[_text(v) for v in row.values()] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            first, *others = zip(row, widths, strict=True)
            parts = [first[0].ljust(first[1]), *(v.rjust(w) for v, w in others)]
            lines.append("  ".join(parts))
    return "\n".join([*lines, *notes, ""])


def _text(value: str | int | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) and value < 100 else _whole(value)


def _whole(value: str | int | float) -> str:
    return value if isinstance(value, str) else f"{value:,.0f}"
