"""The notebooks' static pictures: ``python -m ibench.analysis.explore.pictures``.

The notebook of sessions has none: what it shows is of the moment.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from ibench import REPOSITORY
from ibench.analysis.explore import compare, runs, threshold, time_budget
from ibench.analysis.explore.data import PanelData, find_source
from ibench.analysis.style import METADATA

__all__ = ["PICTURES", "write_pictures"]

PICTURES: dict[str, Callable[[PanelData], Figure]] = {
    "time_budget": time_budget.static_figure,
    "threshold": threshold.static_figure,
    "runs": runs.static_figure,
    "compare": compare.static_figure,
}
DPI = 110


def write_pictures(source: PanelData, folder: Path) -> list[Path]:
    """Draw ``explore-<notebook>.png`` each; the same data gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in PICTURES.items():
        path = folder / f"explore-{name}.png"
        draw(source).savefig(path, dpi=DPI, metadata=METADATA["png"])
        paths.append(path)
    return paths


if __name__ == "__main__":
    # Optional arguments: profile, results root.
    name, root = [*sys.argv[1:3], *["cpu", "results"][len(sys.argv) - 1 :]]
    write_pictures(find_source(name, results=root), REPOSITORY / "docs" / "figures")
