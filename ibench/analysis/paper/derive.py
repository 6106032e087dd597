"""What the paper derives, computed again from what it measured.

Frames in, frames out; nothing here reads a file but through ``Published``.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from ibench.analysis.paper.data import SCENARIOS, Published

__all__ = [
    "AGGREGATED", "aggregate_cells", "aggregate_rows", "all_aggregates",
    "best_of_three", "geometric", "implied_costs", "native_units", "rank_of",
    "scenario_summary",
]  # fmt: skip

# Files that print an aggregate beside the four scenarios, and what names their rows.
AGGREGATED: dict[str, tuple[str, ...]] = {
    "paper_table02_leaderboard": ("method",),
    "readme_leaderboard": ("method_as_printed",),
    "paper_table04_best_seen": ("scoring_mode",),
    "paper_table05_structured_prompt": ("model", "prompt"),
    "paper_table06_base_model": ("base_model",),
    "paper_table19_search_grid": ("optimizer", "engine"),
    "site_v1_0_2_leaderboard": ("row_key",),
    "site_v1_0_5_leaderboard": ("row_key",),
    "site_references": ("site_version", "reference"),
    "site_forced_engine": ("site_version", "configuration"),
}
# Half a unit of the second decimal: every published speedup has two.
ROUNDING = 0.005


def geometric(frame: pd.DataFrame) -> pd.Series:
    """Geometric mean of the columns ``a_speedup`` to ``d_speedup``, row by row."""
    logs = np.log(frame[[f"{s}_speedup" for s in SCENARIOS]].to_numpy(float))
    return pd.Series(np.exp(logs.mean(axis=1)), index=frame.index)


def aggregate_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Printed and recomputed aggregates, and whether rounding explains the rest.

    Each input may be off by half a unit of its last decimal, and so may the printed
    result: ``excess`` is how far the printed value lies outside of what that allows.
    """
    filled = frame.dropna(subset=["aggregate_speedup"])
    shifted = {
        sign: geometric(
            filled.assign(
                **{f"{s}_speedup": filled[f"{s}_speedup"] + sign for s in SCENARIOS}
            )
        )
        for sign in (-ROUNDING, ROUNDING)
    }
    printed = filled.aggregate_speedup.astype(float)
    above = printed - ROUNDING - shifted[ROUNDING]
    below = shifted[-ROUNDING] - printed - ROUNDING
    return pd.DataFrame(
        {
            "printed": printed,
            "recomputed": geometric(filled),
            "deviation": printed - geometric(filled),
            "excess": np.maximum(np.maximum(above, below), 0.0),
        }
    )


def all_aggregates(data: Published) -> pd.DataFrame:
    """Every published row with an aggregate: file, row, printed, recomputed."""
    parts = []
    for file, names in AGGREGATED.items():
        frame = data(file)
        rows = aggregate_rows(frame)
        label = frame[list(names)].astype(str).agg(" / ".join, axis=1)
        rows.insert(0, "row", label.loc[rows.index])
        rows.insert(0, "file", file)
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def rank_of(values: pd.Series) -> pd.Series:
    """Rank 1 is the largest; equal values share the smaller rank."""
    return values.rank(ascending=False, method="min").astype(int)


def aggregate_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Aggregate of a cells frame, with the SEM that first-order propagation gives.

    ``sem = aggregate / k * sqrt(sum_s (sem_s / mean_s)^2)`` over k scenarios; unknown
    if a cell's is.

    Returns:
        Columns method, kind, aggregate, sem; order of first appearance.
    """
    rows = []
    for (method, kind), group in cells.groupby(["method", "kind"], sort=False):
        mean, sem = group["mean"].to_numpy(float), group["sem"].to_numpy(float)
        value = math.exp(float(np.log(mean).mean()))
        spread = float(np.sqrt(np.square(sem / mean).sum()))
        rows.append((method, kind, value, value / len(group) * spread))
    return pd.DataFrame(rows, columns=["method", "kind", "aggregate", "sem"])


def scenario_summary(cells: pd.DataFrame) -> pd.DataFrame:
    """Per scenario: median, range and winner of the agents, best search, defaults."""
    rows = []
    for scenario, group in cells.groupby("scenario"):
        kinds = {
            str(k): g.set_index("method")["mean"] for k, g in group.groupby("kind")
        }
        agents, none = kinds["agent"], pd.Series([math.nan], index=["-"])
        search, default = kinds.get("search", none), kinds.get("default", none)
        rows.append(
            {
                "scenario": scenario,
                "agents": len(agents),
                "median_agent": agents.median(),
                "lowest_agent": agents.min(),
                "highest_agent": agents.max(),
                "best_agent": agents.idxmax(),
                "median_search": search.median(),
                "lowest_search": search.min(),
                "highest_search": search.max(),
                "best_search": search.idxmax() if search.notna().all() else "-",
                "highest_default": default.max(),
                "best_default": default.idxmax() if default.notna().all() else "-",
            }
        )
    return pd.DataFrame(rows)


def best_of_three(frame: pd.DataFrame) -> pd.DataFrame:
    """Interval that mean and SEM allow for the aggregate of the best seeds.

    With three seeds and ddof 1 the largest lies between mean + SEM (the other two
    equal) ... and mean + 2 SEM (one seed far above two equal ones); SEM is rounded.
    """
    bounds = {}
    for name, factor in (("bound_low", 1.0), ("bound_high", 2.0)):
        sign = 1 if factor > 1 else -1
        tops = {
            f"{s}_speedup": frame[f"{s}_speedup"]
            + factor * frame[f"{s}_sem"]
            + sign * ROUNDING * (1 + factor)
            for s in SCENARIOS
        }
        bounds[name] = geometric(pd.DataFrame(tops))
    return frame[["method"]].assign(**bounds)


def implied_costs(data: Published) -> pd.DataFrame:
    """Table 13 times Table 2 gives the cost of each cell; their sum is Table 12's.

    Returns:
        One row an agent: cell costs, their sum, the printed total, the difference.
        A scenario without a printed cost per speedup leaves the sum empty.
    """
    means = data("paper_table02_leaderboard").set_index("method")
    totals = data("paper_table12_cost").set_index("agent")
    unit = data("paper_table13_cost_per_speedup").set_index("agent")
    frame = pd.DataFrame(
        {
            f"{s}_usd": unit[f"{s}_usd_per_speedup"] * means[f"{s}_speedup"]
            for s in SCENARIOS
        }
    ).loc[unit.index]
    frame["sum_usd"] = frame.sum(axis=1, min_count=len(SCENARIOS))
    frame["total_usd"] = totals.total_usd
    frame["difference_usd"] = frame.sum_usd - frame.total_usd
    frame["known_cells_usd"] = frame[[f"{s}_usd" for s in SCENARIOS]].sum(axis=1)
    aggregate = means.aggregate_speedup
    frame["usd_per_aggregate_speedup"] = frame.total_usd / aggregate
    return frame.rename_axis("agent").reset_index()


def native_units(data: Published) -> pd.DataFrame:
    """Table 11 from its baseline row and Table 2: baseline / mean, baseline x mean.

    Returns:
        Long form: method, scenario, printed, recomputed, relative deviation.
    """
    printed = data("paper_table11_native_units").set_index("method")
    means = data("paper_table02_leaderboard").set_index("method")
    base = printed.iloc[0]  # the table opens with the PyTorch baseline
    rows = []
    columns = ("a_ttft_ms", "b_tpot_ms", "c_req_per_s", "d_score")
    for scenario, column in zip(SCENARIOS, columns, strict=True):
        cells = printed[column].iloc[1:].dropna()
        speedups = means[f"{scenario}_speedup"].loc[cells.index]
        for method, value, speedup in zip(cells.index, cells, speedups, strict=True):
            factor = 1 / speedup if scenario in "ab" else speedup
            again = base[column] * factor
            rows.append((method, scenario, value, again, value / again - 1))
    names = ["method", "scenario", "printed", "recomputed", "relative_deviation"]
    return pd.DataFrame(rows, columns=names)
