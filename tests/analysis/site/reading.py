"""Read a built site as a page does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["index_of", "page_of", "pushed"]


def pushed(data: bytes) -> dict[str, Any]:
    """The object that a data file pushes."""
    text = data.decode("ascii")
    start, end = "(globalThis.ibenchData ??= []).push(", ");\n"
    assert text.startswith(start)
    assert text.endswith(end)
    found: dict[str, Any] = json.loads(text[len(start) : -len(end)])
    return found


def index_of(site: Path) -> dict[str, Any]:
    return pushed((site / "data" / "index.js").read_bytes())


def page_of(site: Path, run_id: str) -> dict[str, Any]:
    card = next(r for r in index_of(site)["runs"] if r["id"] == run_id)
    return pushed((site / "data" / "runs" / card["file"]).read_bytes())
