"""Tables of the paper about protocol, outcomes, behaviour; and of the site."""

from __future__ import annotations

import pandas as pd

from ibench.analysis.paper.budget import agent_slopes
from ibench.analysis.paper.data import SCENARIOS, Published
from ibench.analysis.paper.derive import geometric

__all__ = [
    "baselines", "behaviour", "budget_slopes", "configurations", "failure_modes",
    "families", "missions", "outcomes", "profiles", "quality_baselines", "scenarios",
    "site_forced_engine", "site_outcomes", "stages", "tau", "techniques", "time_budget",
    "volatility",
]  # fmt: skip

# What Table 8's mission of a scenario asks to improve, by its metric; own words.
MISSIONS = {
    "TTFT": "make the first token of long prompts arrive sooner",
    "TPOT": "make each token of long outputs arrive sooner",
    "request_throughput_geomean": "complete more requests a second under load",
    "geomean_inv_ttft_inv_tpot_req_per_s": "balance first token, tokens and rate",
}


def scenarios(data: Published) -> pd.DataFrame:
    """Table 1: one row a scenario."""
    frame = data("paper_table01_table07_scenarios")
    rows = frame.drop_duplicates("scenario")
    columns = ["scenario", "name", "target", "input_tokens", "output_tokens"]
    table = rows[[*columns, "requests", "primary_metric"]].reset_index(drop=True)
    profiles = frame.groupby("scenario").profile.agg(", ".join)
    table["profiles"] = profiles.loc[table.scenario].to_numpy()
    return table


def profiles(data: Published) -> pd.DataFrame:
    """Table 7: one row a traffic profile, with what the harness really runs."""
    frame = data("paper_table01_table07_scenarios")
    repo = data("repo_scenario_config")
    executed = repo[["scenario", "profile", "concurrency_executed", "temperature"]]
    columns = ["scenario", "profile", "requests", "max_new_tokens", "rate_req_per_s"]
    table = frame[[*columns, "concurrency"]].merge(executed, on=["scenario", "profile"])
    lengths = frame[["input_tokens", "output_tokens"]]
    table["shortest_input"] = -(-lengths.input_tokens * 8 // 10)
    table["shortest_output"] = -(-lengths.output_tokens * 8 // 10)
    return table


def missions(data: Published) -> pd.DataFrame:
    """Table 8 as far as data allow: which metric a mission names, in our words."""
    rows = scenarios(data)
    return pd.DataFrame(
        {
            "scenario": rows.scenario,
            "metric": rows.primary_metric,
            "mission_in_our_words": rows.primary_metric.map(MISSIONS),
        }
    )


def outcomes(data: Published) -> pd.DataFrame:
    """Table 3: percentages again from the counts."""
    frame = data("paper_table03_outcomes")
    total = int(frame[frame.outcome == "total"].runs.iloc[0])
    frame["recomputed_percent"] = 100 * frame.runs / total
    return frame


def tau(data: Published) -> pd.DataFrame:
    """Table 9, with the best agent cells again from Table 2."""
    frame = data("paper_table09_tau_sensitivity")
    board = data("paper_table02_leaderboard")
    agents = board[board.kind == "agent"]
    frame.insert(3, "ok_percent", 100 * frame.ok_runs / frame.total_runs)
    for scenario in SCENARIOS:
        frame[f"{scenario}_from_table_2"] = agents[f"{scenario}_speedup"].max()
    return frame


def volatility(data: Published) -> pd.DataFrame:
    """Table 10; its seed-level inputs are not published."""
    frame = data("paper_table10_volatility")
    counts = ["stable", "adjacent", "two_quartile_or_extreme_swing"]
    frame["sum_of_agents"] = sum(frame[f"{c}_agents"] for c in counts)
    return frame


def failure_modes(data: Published) -> pd.DataFrame:
    """Table 14: percentages again from the counts."""
    frame = data("paper_table14_failure_modes")
    frame["recomputed_percent"] = 100 * frame.runs / 180
    return frame


def behaviour(data: Published) -> pd.DataFrame:
    """Table 15: where runs were counted, the percentage again."""
    frame = data("paper_table15_behaviour")
    counted = frame.runs.notna() & frame.total_runs.notna()
    again = 100 * frame.runs.astype("Float64") / frame.total_runs.astype("Float64")
    frame["recomputed_percent"] = again.where(counted)
    return frame


def time_budget(data: Published) -> pd.DataFrame:
    """Figure 2 and its later version, one row a point."""
    paper = data("paper_figure02_time_budget").rename(
        columns={"value_source": "printed_in"}
    )
    site = data("site_time_budget")
    later = site[site.site_version != "first"]
    return pd.concat(
        [
            paper.assign(version="paper", marked_estimated=False),
            later.assign(version="site from June 2026", printed_in="site").drop(
                columns="site_version"
            ),
        ],
        ignore_index=True,
    )[["version", "model", "budget_hours", "aggregate_speedup", "aggregate_sem",
       "marked_estimated", "printed_in"]]  # fmt: skip


def budget_slopes(data: Published) -> pd.DataFrame:
    """Straight lines of log speedup over log2 hours, paper's points."""
    frame = data("paper_figure02_time_budget")
    parts = [
        agent_slopes(frame).assign(points_used="1 to 8 h"),
        agent_slopes(frame[frame.budget_hours > 1]).assign(points_used="2 to 8 h"),
    ]
    return pd.concat(parts, ignore_index=True)


def site_outcomes(data: Published) -> pd.DataFrame:
    """Outcome shares of both site versions; runs behind them if there were 252."""
    frame = data("site_outcomes")
    frame["runs_of_stated"] = frame.percent * frame.stated_runs / 100
    return frame


def stages(data: Published) -> pd.DataFrame:
    """Found against submitted, gaps again by subtraction."""
    frame = data("found_vs_submitted")
    following = frame.groupby("source").aggregate_speedup.shift(-1)
    frame["recomputed_gap"] = following - frame.aggregate_speedup
    return frame


def configurations(data: Published) -> pd.DataFrame:
    """Distinct non-default configurations per run, with cumulative shares."""
    frame = data("site_config_distribution")
    frame["cumulative_percent"] = frame.groupby("site_version").percent_of_runs.cumsum()
    return frame


def techniques(data: Published) -> pd.DataFrame:
    """Techniques named in transcripts, one column a source."""
    frame = data("technique_mentions")
    wide = frame.pivot_table(
        index="technique", columns="source", values="percent_of_runs", sort=False
    )
    return wide.reset_index().rename_axis(None, axis=1)


def families(data: Published) -> pd.DataFrame:
    """Episode families of the trajectory viewer, with shares."""
    frame = data("site_trajectory_families")
    table = frame[["family", "ring"]].copy()
    for column in ("episodes_2026_06_20", "episodes_2026_07_28"):
        table[column] = frame[column]
        table[f"{column}_percent"] = 100 * frame[column] / frame[column].sum()
    return table


def baselines(data: Published) -> pd.DataFrame:
    """PyTorch baselines in circulation, native units."""
    return data("pytorch_baselines")


def quality_baselines(data: Published) -> pd.DataFrame:
    """MMLU-Pro baselines in circulation, accuracy again from the counts."""
    frame = data("quality_baselines")
    share = frame.correct.astype("Float64") / frame.n.astype("Float64")
    frame["recomputed_accuracy"] = share
    return frame


def site_forced_engine(data: Published) -> pd.DataFrame:
    """The site's forced-engine table, both versions, aggregates again."""
    frame = data("site_forced_engine")
    frame.insert(3, "recomputed_aggregate", geometric(frame))
    return frame
