"""House style of all figures, and the one way to save them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ibench import REPOSITORY
from ibench.params import PaperScenario
from ibench.params.files import load_yaml

__all__ = [
    "COLOURS",
    "KIND_COLOURS",
    "OUTCOME_COLOURS",
    "house_style",
    "save_figure",
    "titles",
]

# Okabe-Ito: told apart by colour-blind readers and in grey print.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
OUTCOME_COLOURS = {
    "ok": "#009E73",
    "quality": "#E69F00",
    "integrity": "#D55E00",
    "unreachable": "#7F7F7F",
    "incomplete": "#D9D9D9",
}
KIND_COLOURS = {
    "agent": "#0072B2",
    "search": "#E69F00",
    "default": "#009E73",
    "baseline": "#7F7F7F",
}
# No time or version of a library may stand in a file: equal input, equal bytes.
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}


@contextmanager
def house_style() -> Iterator[None]:
    """Print-ready defaults; byte-stable vector output."""
    settings: dict[Any, Any] = {
        "figure.dpi": 120,
        "savefig.dpi": 200,
        "savefig.bbox": "tight",
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "svg.hashsalt": "ibench",
        "pdf.fonttype": 42,
    }
    with (
        sns.axes_style("whitegrid", {"axes.edgecolor": "0.7"}),
        mpl.rc_context(settings),
    ):
        yield


def save_figure(
    figure: Figure,
    data: pd.DataFrame,
    folder: Path,
    name: str,
    formats: tuple[str, ...] = ("png", "pdf"),
) -> None:
    """Write ``<name>.<format>`` each, and the ``.csv`` of what is drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    with house_style():
        for kind in formats:
            figure.savefig(folder / f"{name}.{kind}", metadata=METADATA[kind])
    data.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")


@cache
def _titles() -> dict[str, str]:
    folder = REPOSITORY / "params" / "scenarios"
    files = [load_yaml(PaperScenario, path) for path in sorted(folder.glob("*.yaml"))]
    return {scenario.id: scenario.title for scenario in files}


def titles(scenario: str) -> str:
    """Panel title of a scenario, as its file in ``params/scenarios`` has it."""
    return _titles().get(scenario) or scenario.upper()
