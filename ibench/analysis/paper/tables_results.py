"""Tables of the paper about speed and cost: published numbers beside recomputed ones.

Each function takes the published data and returns one frame; the column ``recomputed``
or ``from_...`` is computed here, everything else was printed.
"""

from __future__ import annotations

import pandas as pd

from ibench.analysis.paper.data import SCENARIOS, Published, cells_of, long_of
from ibench.analysis.paper.derive import (
    aggregate_cells,
    best_of_three,
    geometric,
    implied_costs,
    native_units,
    rank_of,
    scenario_summary,
)

__all__ = [
    "base_models", "best_functioning", "best_seen", "best_three", "cost",
    "cost_per_speedup", "forced_engine", "hardware", "leaderboard", "leaderboard_june",
    "leaderboard_september", "native", "scenario_summaries", "search_grid",
    "structured_prompt", "warm_start",
]  # fmt: skip

MEANS = [f"{s}_speedup" for s in SCENARIOS]


def _with_aggregate(frame: pd.DataFrame, names: list[str], by: str) -> pd.DataFrame:
    """Put the recomputed aggregate, and its ratio to a group's first row, in front."""
    value = geometric(frame)
    ratio = value / value.groupby(frame[by]).transform("first")
    frame.insert(len(names), "recomputed_aggregate", value)
    frame.insert(len(names) + 1, "times_first_row", ratio)
    return frame


def leaderboard(data: Published) -> pd.DataFrame:
    """Table 2: rank and aggregate again from the four means, SEM by propagation."""
    frame = data("paper_table02_leaderboard")
    again = aggregate_cells(cells_of(frame))
    agents = frame.kind == "agent"
    ranks = rank_of(again["aggregate"][agents]).astype("Int64")
    frame.insert(4, "recomputed_rank", ranks)
    frame.insert(6, "recomputed_aggregate", again["aggregate"])
    frame["propagated_sem"] = again["sem"]
    return frame


def best_seen(data: Published) -> pd.DataFrame:
    """Table 4: best final agent and best search from Tables 2 and 19."""
    frame = data("paper_table04_best_seen")
    board, grid = data("paper_table02_leaderboard"), data("paper_table19_search_grid")
    agents = board[board.kind == "agent"][MEANS].max()
    search = grid[MEANS].max()
    seen = frame[MEANS].iloc[1]
    again = geometric(pd.DataFrame([agents, seen, search]).astype(float))
    frame.insert(2, "recomputed_aggregate", again.to_numpy())
    best = pd.DataFrame([agents, agents * float("nan"), search])
    for scenario in SCENARIOS:
        values = best[f"{scenario}_speedup"].to_numpy(float)
        frame[f"{scenario}_from_tables_2_and_19"] = values
    return frame


def structured_prompt(data: Published) -> pd.DataFrame:
    """Table 5, with the gain of the structured prompt for each model."""
    frame = data("paper_table05_structured_prompt")
    value = geometric(frame)
    first = value.groupby(frame.model).transform("first")
    frame.insert(3, "recomputed_aggregate", value)
    frame.insert(4, "times_default_prompt", value / first)
    return frame


def base_models(data: Published) -> pd.DataFrame:
    """Table 6, aggregates again."""
    frame = data("paper_table06_base_model")
    frame.insert(3, "recomputed_aggregate", geometric(frame))
    return frame


def native(data: Published) -> pd.DataFrame:
    """Table 11: printed native units beside baseline / speedup of Table 2."""
    rows = native_units(data)
    names = dict(
        zip(SCENARIOS, ("a_ms", "b_ms", "c_req_per_s", "d_score"), strict=True)
    )
    parts = []
    for column in ("printed", "recomputed"):
        wide = rows.pivot_table(
            index="method", columns="scenario", values=column, sort=False
        )
        wide.columns = pd.Index([f"{names[str(c)]}_{column}" for c in wide.columns])
        parts.append(wide)
    table = pd.concat(parts, axis=1)
    return table[sorted(table.columns)].reset_index()


def cost(data: Published) -> pd.DataFrame:
    """Table 12: the total again, and dollars per unit of aggregate speedup."""
    frame = data("paper_table12_cost")
    frame["recomputed_total_usd"] = frame.api_usd + frame.gpu_usd
    value = implied_costs(data).set_index("agent").usd_per_aggregate_speedup
    frame["usd_per_aggregate_speedup"] = value.loc[frame.agent].to_numpy()
    return frame


def cost_per_speedup(data: Published) -> pd.DataFrame:
    """Table 13, and what it implies: cell costs whose sum should be Table 12's."""
    frame = data("paper_table13_cost_per_speedup")
    again = implied_costs(data)
    columns = [f"{s}_usd" for s in SCENARIOS]
    columns += ["known_cells_usd", "total_usd", "difference_usd"]
    return frame.merge(again[["agent", *columns]], on="agent")


def best_three(data: Published) -> pd.DataFrame:
    """Table 16: rank again, and the interval that means and SEMs allow."""
    frame = data("paper_table16_best_of_three")
    bounds = best_of_three(data("paper_table02_leaderboard"))
    frame.insert(1, "recomputed_rank", rank_of(frame.bon_aggregate_speedup))
    return frame.merge(bounds, left_on="agent", right_on="method").drop(
        columns="method"
    )


def best_functioning(data: Published) -> pd.DataFrame:
    """Table 17: ratio and rank again."""
    frame = data("paper_table17_best_functioning")
    frame.insert(1, "recomputed_rank", rank_of(frame.best_seen_aggregate_speedup))
    frame["recomputed_ratio"] = (
        frame.best_seen_aggregate_speedup / frame.final_aggregate_speedup
    )
    return frame


def hardware(data: Published) -> pd.DataFrame:
    """Table 18, with the aggregates that the paper does not print."""
    return _with_aggregate(
        data("paper_table18_hardware"), ["hardware", "agent", "base_model"], "agent"
    )


def search_grid(data: Published) -> pd.DataFrame:
    """Table 19, aggregates and their order again."""
    frame = data("paper_table19_search_grid")
    frame.insert(3, "recomputed_aggregate", geometric(frame))
    frame.insert(4, "recomputed_rank", rank_of(geometric(frame)))
    return frame


def warm_start(data: Published) -> pd.DataFrame:
    """Table 20, with the aggregates that the paper does not print."""
    return _with_aggregate(
        data("paper_table20_warm_start"), ["agent", "condition"], "agent"
    )


def forced_engine(data: Published) -> pd.DataFrame:
    """Table 21, with the aggregates that the paper does not print."""
    return _with_aggregate(
        data("paper_table21_forced_engine"), ["agent", "condition"], "agent"
    )


def leaderboard_june(data: Published) -> pd.DataFrame:
    """The site's leaderboard of June 2026."""
    return _site_leaderboard(data, "site_v1_0_2_leaderboard")


def leaderboard_september(data: Published) -> pd.DataFrame:
    """The site's leaderboard of September 2026."""
    return _site_leaderboard(data, "site_v1_0_5_leaderboard")


def _site_leaderboard(data: Published, file: str) -> pd.DataFrame:
    """One version of the site's leaderboard: marks, rank and aggregate again."""
    frame = data(file)
    value = geometric(frame)
    marks = frame.newer_scaffold.map({True: "*", False: ""}) + frame.strict_prompt.map(
        {True: "†", False: ""}
    )
    table = frame.drop(columns=["newer_scaffold", "strict_prompt", "row_key"])
    table.insert(2, "marks", marks)
    # Equal printed aggregates keep the site's order, which knows more decimals.
    table.insert(1, "recomputed_rank", rank_of(frame.aggregate_speedup))
    table.insert(7, "recomputed_aggregate", value)
    return table


def scenario_summaries(data: Published) -> pd.DataFrame:
    """Median, range and best per scenario, paper and September 2026."""
    paper = cells_of(data("paper_table02_leaderboard"))
    frame = data("site_v1_0_5_leaderboard")
    rows = frame[~frame.variant_row].assign(kind="agent")
    later = long_of(rows.assign(method=rows.model), "method", "kind").assign(n=3)
    same = paper[paper.kind != "agent"]
    parts = [
        scenario_summary(cells).assign(version=version)
        for version, cells in (
            ("paper", paper),
            ("September 2026", pd.concat([later, same])),
        )
    ]
    table = pd.concat(parts, ignore_index=True)
    return table[["version", *[c for c in table if c != "version"]]]
