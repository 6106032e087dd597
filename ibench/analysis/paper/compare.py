"""``make compare``: a profile's results beside the paper's, and which differ for sure.

Methods differ between studies, kinds of methods do not: default engines, searches and
agents are compared, per scenario and on the aggregate, on the logarithm of the speedup.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ibench.analysis.paper.data import Published, cells_of
from ibench.analysis.paper.derive import aggregate_cells
from ibench.analysis.paper.figures import aggregate_bars, condition_panels
from ibench.analysis.paper.publish import markdown, write_table
from ibench.analysis.paper.runs import FinishedRuns, cells_of_runs, finished_runs
from ibench.analysis.style import save_figure
from ibench.study.definition import Study

__all__ = ["compare", "compare_cells", "kind_estimates"]

KINDS = ("search", "agent", "default")
LEVEL = 0.05
FORMATS = ("png", "pdf", "svg")


def kind_estimates(cells: pd.DataFrame) -> pd.DataFrame:
    """Geometric mean over the methods of a kind, with a 95 % t interval.

    The interval holds the noise of seeds (first-order propagation of the SEMs on the
    logarithm, Welch-Satterthwaite degrees of freedom), not the choice of methods.

    Args:
        cells: columns method, kind, scenario, mean, sem, n.

    Returns:
        Columns kind, scenario (a to d, aggregate), methods, value, low, high, log,
        error, freedom; error is NaN where a cell has one seed pair.
    """
    rows = []
    for kind in KINDS:
        own = cells[cells.kind == kind]
        for scenario in [*sorted(cells.scenario.unique()), "aggregate"]:
            part = own if scenario == "aggregate" else own[own.scenario == scenario]
            if len(part):
                rows.append({"kind": kind, "scenario": scenario, **_estimate(part)})
    return pd.DataFrame(rows)


def _estimate(cells: pd.DataFrame) -> dict[str, float]:
    mean, sem = cells["mean"].to_numpy(float), cells["sem"].to_numpy(float)
    # Every scenario weighs the same, also where a method is not finished in all.
    methods = cells.groupby("scenario").method.transform("size").to_numpy(float)
    weight = 1 / methods / cells.scenario.nunique()
    terms = np.square(weight * sem / mean)
    variance = float(terms.sum())
    squares = float((np.square(terms) / np.maximum(cells["n"] - 1, 1)).sum())
    freedom = variance**2 / squares if squares > 0 else math.inf
    log, error = float((weight * np.log(mean)).sum()), math.sqrt(variance)
    # Seeds that all came out alike, as failed ones do at 1.00x, have no spread.
    half = float(stats.t.isf(LEVEL / 2, freedom)) * error if error > 0 else error
    return {
        "methods": cells.method.nunique(),
        "value": math.exp(log),
        "low": math.exp(log - half),
        "high": math.exp(log + half),
        "log": log,
        "error": error,
        "freedom": freedom,
    }


def compare_cells(ours: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Ours beside the paper's by kind and scenario, with a verdict on each difference.

    Welch's test on the logarithms, Holm's correction over the whole table. Only the
    scenarios that both have enter, also into the aggregate.
    """
    shared = set(_places(ours)) & set(_places(paper))
    left, right = (
        kind_estimates(cells[[place in shared for place in _places(cells)]])
        for cells in (ours, paper)
    )
    both = left.merge(right, on=["kind", "scenario"], suffixes=("_ours", "_paper"))
    error = (both.error_ours**2 + both.error_paper**2) ** 0.5
    weights = (
        both.error_ours**4 / both.freedom_ours
        + both.error_paper**4 / both.freedom_paper
    )
    freedom = (error**4 / weights.where(weights > 0)).fillna(1e9)
    difference = both.log_ours - both.log_paper
    p = pd.Series(2 * stats.t.sf(difference.abs() / error.where(error > 0), freedom))
    p[(error == 0) & (difference != 0)] = 0.0
    known = p.notna()
    both["ratio"] = np.exp(difference)
    both["p_value_holm"] = math.nan
    if known.any():
        both.loc[known, "p_value_holm"] = multipletests(p[known], method="holm")[1]
    both["difference"] = [_verdict(x) for x in both.p_value_holm]
    columns = ["kind", "scenario", "methods_ours", "value_ours", "low_ours",
               "high_ours", "methods_paper", "value_paper", "low_paper", "high_paper",
               "ratio", "p_value_holm", "difference"]  # fmt: skip
    return both[columns]


def _places(cells: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(cells.kind, cells.scenario, strict=True))


def _verdict(p_value: float) -> str:
    if math.isnan(p_value):
        return "noise unknown"
    return "larger than the noise" if p_value < LEVEL else "within the noise"


def compare(study: Study, published: Path, output: Path) -> str:
    """Write the comparison of a profile in every format; return it for the terminal.

    Raises:
        CorruptResultError: the profile has no finished run, or an edited record.
    """
    finished = finished_runs(study)
    name = study.profile.name
    ours = cells_of_runs(finished.runs)
    paper = cells_of(Published(published.resolve())("paper_table02_leaderboard"))
    table = compare_cells(ours, paper)
    note = _note(study, finished)
    folder = output.resolve() / name
    write_table(table, folder, "compare", f"Profile {name} and the paper", note)
    _draw(ours, table, folder, name)
    readable = pd.DataFrame(
        {
            "kind": table.kind,
            "scenario": table.scenario.str.upper().replace("AGGREGATE", "aggregate"),
            "ours": _range(table, "ours"),
            "paper": _range(table, "paper"),
            "ours / paper": table.ratio,
            "difference": table.difference,
        }
    )
    return f"{markdown(readable)}\n{_order(table)}\n{note}\n{folder}"


def _range(table: pd.DataFrame, side: str) -> list[str]:
    columns = zip(
        table[f"value_{side}"], table[f"low_{side}"], table[f"high_{side}"], strict=True
    )
    return [
        f"{v:.2f}" if math.isnan(low) else f"{v:.2f} ({low:.2f} to {high:.2f})"
        for v, low, high in columns
    ]


def _order(table: pd.DataFrame) -> str:
    """The kinds by aggregate on both sides: what may carry over between machines."""
    rows = table[table.scenario == "aggregate"]
    sides = {
        side: " > ".join(rows.sort_values(f"value_{side}", ascending=False).kind)
        for side in ("ours", "paper")
    }
    same = "the same order" if sides["ours"] == sides["paper"] else "another order"
    return f"By aggregate, ours: {sides['ours']}; paper: {sides['paper']}; {same}."


def _note(study: Study, finished: FinishedRuns) -> str:
    """What the table compares and what it cannot say."""
    scenarios = ", ".join(sorted(finished.runs.scenario.unique())).upper()
    return (
        f"Scenarios {scenarios}; {len(finished.runs)} of {finished.planned} runs, "
        f"{study.profile.seed_pairs} seed pairs; model {study.profile.model}. "
        "Geometric means over the methods of a kind with 95 % t intervals of the seed "
        "noise (none: noise unknown); Welch's test on logarithms, "
        "Holm-corrected. Another model or machine moves levels: compare the order."
        + "".join(f" Left out: {line}." for line in finished.problems)
    )


def _draw(ours: pd.DataFrame, table: pd.DataFrame, folder: Path, name: str) -> None:
    """The paper's two pictures with our runs in them."""
    bars = aggregate_cells(ours).rename(columns={"method": "label"})
    bars = bars.assign(
        low=bars["aggregate"] - bars["sem"], high=bars["aggregate"] + bars["sem"]
    )
    title = f"Aggregate speedup, profile {name}"
    save_figure(aggregate_bars(bars, title), bars, folder, "leaderboard", FORMATS)
    rows = table[table.scenario != "aggregate"]
    sides = [
        pd.DataFrame(
            {
                "method": rows.kind + f", {label}",
                "kind": rows.kind,
                "scenario": rows.scenario,
                "mean": rows[f"value_{side}"],
                "low": rows[f"low_{side}"],
                "high": rows[f"high_{side}"],
            }
        )
        for side, label in (("ours", name), ("paper", "paper"))
    ]
    cells = pd.concat(sides).sort_values("kind", kind="stable")
    title = f"Kinds of methods, profile {name} and paper"
    figure = condition_panels(cells, title, colours=2, log=True)
    save_figure(figure, cells, folder, "kinds", FORMATS)
