"""From published data to the figures of the paper and the site.

Each function returns the figure and the frame that it shows.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from ibench.analysis.paper import figures, figures_behaviour, tables_behaviour
from ibench.analysis.paper.data import SCENARIOS, Published, cells_of, long_of, rows_of
from ibench.analysis.paper.derive import geometric

__all__ = [
    "Drawn", "best_functioning", "configurations", "cost_paper", "cost_site",
    "families", "forced_engine_paper", "forced_engine_site", "leaderboard_paper",
    "leaderboard_september", "outcomes", "scenarios_paper", "scenarios_september",
    "search_grid", "stages", "structured_prompt", "techniques", "time_budget_paper",
    "time_budget_site",
]  # fmt: skip

OUTCOMES = {
    "passed_both_gates": "ok",
    "failed_quality_gate": "quality",
    "failed_or_incomplete_quality_gate": "quality",
    "integrity_flagged": "integrity",
    "server_or_runtime_failure": "unreachable",
}
OUTCOME_NAMES = {
    "ok": "passed both gates",
    "quality": "quality gate",
    "integrity": "integrity",
    "unreachable": "server failed",
}
REFERENCES = {
    "hyperparameter_search": "hyperparameter search (SMAC)",
    "vllm_default": "vLLM default",
}
PANELS = ("A  (TTFT)", "B  (TPOT)", "C  (req/s)", "D  (balanced)")
SEARCH_LABEL = "best search"


class Drawn(NamedTuple):
    """A figure and the rows that it shows."""

    figure: Figure
    data: pd.DataFrame


def leaderboard_paper(data: Published) -> Drawn:
    """Table 2 as bars with whiskers."""
    frame = data("paper_table02_leaderboard")
    value, sem = frame.aggregate_speedup, frame.aggregate_sem
    table = frame[["method", "kind"]].rename(columns={"method": "label"})
    table = table.assign(aggregate=value, low=value - sem, high=value + sem)
    return Drawn(figures.aggregate_bars(table, "Aggregate speedup, paper"), table)


def leaderboard_september(data: Published) -> Drawn:
    """The 39 rows of September 2026 with their marks, between the references."""
    frame = data("site_v1_0_5_leaderboard")
    names = [
        f"{r.model}{' (' + r.scaffold + ')' if r.row_key.endswith('opencode') else ''} "
        f"{'*' * r.newer_scaffold}{'†' * r.strict_prompt}".strip()
        for r in rows_of(frame)
    ]
    rows = frame.assign(label=names, kind="agent")
    references = data("site_references")
    later = references[(references.site_version == "v1.0.5")].dropna(
        subset=["aggregate_speedup"]
    )
    kinds = {"hyperparameter_search": "search", "vllm_default": "default"}
    later = later.assign(
        label=later.reference.map(REFERENCES).fillna("PyTorch baseline"),
        kind=later.reference.map(kinds).fillna("baseline"),
    )
    columns = ["label", "kind", "aggregate_speedup", "aggregate_sem"]
    both = pd.concat([rows[columns], later[columns]], ignore_index=True)
    value, sem = both.aggregate_speedup, both.aggregate_sem
    table = both[["label", "kind"]].assign(
        aggregate=value, low=value - sem, high=value + sem
    )
    return Drawn(
        figures.aggregate_bars(table, "Aggregate speedup, site of September 2026"),
        table,
    )


def scenarios_paper(data: Published) -> Drawn:
    """Agents, searches and defaults per scenario, Table 2."""
    cells = cells_of(data("paper_table02_leaderboard"))
    shown = cells[cells.kind != "baseline"]
    return Drawn(figures.scenario_panels(shown), shown)


def scenarios_september(data: Published) -> Drawn:
    """The same with the agents of September 2026, variant rows left out."""
    frame = data("site_v1_0_5_leaderboard")
    rows = frame[~frame.variant_row].assign(kind="agent")
    agents = long_of(rows.assign(method=rows.model), "method", "kind")
    cells = cells_of(data("paper_table02_leaderboard"))
    others = cells[cells.kind.isin(["search", "default"])].drop(columns="n")
    shown = pd.concat([agents, others], ignore_index=True)
    return Drawn(figures.scenario_panels(shown), shown)


def search_grid(data: Published) -> Drawn:
    """Table 19: three optimisers by three engines."""
    frame = data("paper_table19_search_grid")
    frame["Aggregate"] = geometric(frame)
    panels = dict(zip(SCENARIOS, PANELS, strict=True))
    named = frame.rename(columns={f"{s}_speedup": panels[s] for s in SCENARIOS})
    table = named.melt(
        ["optimizer", "engine"],
        ["Aggregate", *PANELS],
        var_name="panel",
        value_name="value",
    )
    return Drawn(figures.grid_heatmaps(table), table)


def _conditions(
    frame: pd.DataFrame, names: dict[str, str], column: str
) -> pd.DataFrame:
    rows = frame[frame[column].isin(names)]
    rows = rows.assign(method=rows[column].map(names))
    cells = long_of(rows, "method")
    error = cells["sem"].fillna(0.0)
    return cells.assign(low=cells["mean"] - error, high=cells["mean"] + error)


def forced_engine_paper(data: Published) -> Drawn:
    """Tables 20 and 21: GPT-5.4 with a free choice, a warm start, a forced engine."""
    warm = data("paper_table20_warm_start")
    warm = warm[(warm.agent == "GPT-5.4 (High)") & (warm.condition != "default_prompt")]
    frame = pd.concat([data("paper_table21_forced_engine"), warm], ignore_index=True)
    names = {
        "default_prompt": "free choice",
        "warm_start_vllm": "warm start, vLLM",
        "sglang_only": "SGLang only",
        "tgi_only": "TGI only",
        "search": SEARCH_LABEL,
    }
    order = {c: i for i, c in enumerate(names)}
    frame = frame.sort_values("condition", key=lambda c: c.map(order))
    cells = _conditions(frame, names, "condition")
    title = "Forced engine and warm start, GPT-5.4 (High)"
    return Drawn(figures.condition_panels(cells, title), cells)


def forced_engine_site(data: Published) -> Drawn:
    """The site's later version of the forced-engine table."""
    frame = data("site_forced_engine")
    frame = frame[frame.site_version != "first"]
    names = {
        "default_auto": "free choice",
        "vllm_only": "vLLM only",
        "sglang_only": "SGLang only",
        "tgi_only": "TGI only",
        "per_scenario_best_non_agent_search": SEARCH_LABEL,
    }
    cells = _conditions(frame, names, "configuration")
    title = "Forced engine, site from June 2026"
    return Drawn(figures.condition_panels(cells, title), cells)


def structured_prompt(data: Published) -> Drawn:
    """Table 5: default against structured-iteration prompt."""
    frame = data("paper_table05_structured_prompt")
    frame["row"] = frame.model.str.replace(" (High)", "") + ", " + frame.prompt
    names = {row: row for row in frame.row}
    cells = _conditions(frame, names, "row")
    title = "Default and structured-iteration prompt"
    return Drawn(figures.condition_panels(cells, title), cells)


def stages(data: Published) -> Drawn:
    """Found against submitted, paper and later site."""
    frame = tables_behaviour.stages(data)
    names = {
        "best_final_submitted_agent": "submitted\n(agents)",
        "best_seen_agent": "best seen\n(agents)",
        "best_non_agent_search": "best search",
    }
    sources = {
        "paper_and_first_site": "paper",
        "site_v1.0.2_to_v1.0.5": "site from June 2026",
    }
    table = pd.DataFrame(
        {
            "source": frame.source.map(sources),
            "stage": frame.stage.map(names),
            "aggregate": frame.aggregate_speedup,
            "gap": frame.recomputed_gap,
        }
    )
    return Drawn(figures.stage_bars(table), table)


def best_functioning(data: Published) -> Drawn:
    """Table 17: final score against the best functioning server of the run."""
    frame = data("paper_table17_best_functioning")
    columns = ["agent", "final_aggregate_speedup", "best_seen_aggregate_speedup"]
    table = frame[columns].set_axis(["label", "first", "second"], axis=1)
    drawn = figures.dumbbells(
        table, "submitted", "best functioning server of the run",
        "What agents had and what they left", "aggregate speedup (x)",
    )  # fmt: skip
    return Drawn(drawn, table)


def outcomes(data: Published) -> Drawn:
    """Run outcomes of both versions."""
    frame = data("site_outcomes")
    sources = {"first": "paper (180 runs)", "v1.0.2_to_v1.0.5": "site from June 2026"}
    keys = frame.outcome.map(OUTCOMES)
    table = pd.DataFrame(
        {
            "source": frame.site_version.map(sources),
            "outcome": keys,
            "name": keys.map(OUTCOME_NAMES),
            "percent": frame.percent,
        }
    )
    return Drawn(figures_behaviour.outcome_shares(table), table)


def configurations(data: Published) -> Drawn:
    """Distinct non-default argument sets per run."""
    frame = data("site_config_distribution")
    frame = frame[frame.site_version == "first"]
    return _grouped(
        frame.distinct_non_default_configs,
        "paper",
        frame.percent_of_runs,
        "Configurations tried per run",
        "distinct non-default argument sets",
    )


def techniques(data: Published) -> Drawn:
    """Techniques named in transcripts, paper and later site."""
    frame = data("technique_mentions")
    sources = {"paper": "paper", "site_v1.0.2_to_v1.0.5": "site from June 2026"}
    frame = frame[frame.source.isin(sources)]
    return _grouped(
        frame.technique.str.replace("_", " "),
        frame.source.map(sources),
        frame.percent_of_runs,
        "Techniques named in transcripts",
        "technique",
    )


def _grouped(
    category: pd.Series, group: pd.Series | str, percent: pd.Series, *titles: str
) -> Drawn:
    columns = {"category": category, "group": group, "percent": percent}
    table = pd.DataFrame(columns)
    return Drawn(figures_behaviour.grouped_bars(table, *titles), table)


def families(data: Published) -> Drawn:
    """Episode families, trajectories of July 2026."""
    frame = data("site_trajectory_families")
    table = frame[["family", "ring"]].assign(episodes=frame.episodes_2026_07_28)
    return Drawn(figures_behaviour.family_bars(table), table)


def _budget_points(data: Published) -> pd.DataFrame:
    frame = tables_behaviour.time_budget(data).drop(columns="printed_in")
    names = ["panel", "model", "hours", "aggregate", "sem", "estimated"]
    return frame.set_axis(names, axis=1).astype({"estimated": bool})


def time_budget_paper(data: Published) -> Drawn:
    """Figure 2 of the paper."""
    points = _budget_points(data)
    points = points[points.panel == "paper"]
    return Drawn(
        figures_behaviour.time_budget_lines(points, "Time budget (Figure 2)"), points
    )


def time_budget_site(data: Published) -> Drawn:
    """The paper's curves beside the site's later ones."""
    points = _budget_points(data)
    title = "Time budget, two versions"
    return Drawn(figures_behaviour.time_budget_lines(points, title), points)


def cost_paper(data: Published) -> Drawn:
    """Table 12 against Table 2."""
    cost, board = data("paper_table12_cost"), data("paper_table02_leaderboard")
    frame = cost.merge(board, left_on="agent", right_on="method")
    columns = ["agent", "total_usd", "total_usd", "total_usd", "aggregate_speedup"]
    return _cost(frame[columns], "Cost and speedup, paper (API and GPU)")


def cost_site(data: Published) -> Drawn:
    """API-equivalent cost and speedup of the 39 rows of September 2026."""
    frame = data("site_v1_0_5_leaderboard")
    columns = ["model", "cost_12_runs_usd", "cost_low_usd", "cost_high_usd"]
    title = "Cost and speedup, site of September 2026 (API only)"
    return _cost(frame[[*columns, "aggregate_speedup"]], title)


def _cost(frame: pd.DataFrame, title: str) -> Drawn:
    table = frame.set_axis(["label", "usd", "low", "high", "aggregate"], axis=1)
    return Drawn(figures_behaviour.cost_figure(table, title), table)
