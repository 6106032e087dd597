"""Every table and figure: its name, theme, sources, function and caption.

One list is what the notebooks show, what ``index.csv`` names and what the tests check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import pandas as pd

from ibench.analysis.paper import (
    drawings,
    tables_behaviour,
    tables_results,
    uncertainty,
)
from ibench.analysis.paper.data import Published
from ibench.analysis.paper.drawings import Drawn
from ibench.analysis.paper.uncertainty import DrawSettings

__all__ = ["CATALOGUE", "THEMES", "Artefact", "artefacts_of"]

Made: TypeAlias = "pd.DataFrame | Drawn"

BOARD = "paper_table02_leaderboard"
SEPTEMBER = "site_v1_0_5_leaderboard"
MEAN = "Cells: mean ± SEM over n = 3 seed pairs."
GMEAN = "aggregate: geometric mean of the four scenario means."
WHISKERS = (
    "Bars: geometric mean of four scenario means; whiskers: the printed SEM (n = 3 "
    "seed pairs a scenario), whose formula is not stated; they are not 95 % intervals."
)
DRAWN = (
    "Parametric bootstrap: three seeds a cell from a log-normal with the printed mean "
    "and SD = SEM x sqrt(3); too narrow, because three seeds do not show the SD."
)


@dataclass(frozen=True)
class Artefact:
    """One table or figure."""

    name: str
    kind: Literal["table", "figure"]
    theme: str
    title: str
    source: str
    files: tuple[str, ...]
    make: Callable[[Published, DrawSettings], Made]
    note: str
    function: str


def _table(
    theme: str,
    name: str,
    title: str,
    source: str,
    files: tuple[str, ...] | str,
    make: Callable[[Published], pd.DataFrame],
    note: str = "",
) -> Artefact:
    def call(data: Published, settings: DrawSettings) -> pd.DataFrame:
        return make(data)

    return Artefact(
        name, "table", theme, title, source, _tuple(files), call, note, _name(make)
    )


def _figure(
    theme: str,
    name: str,
    title: str,
    source: str,
    files: tuple[str, ...] | str,
    make: Callable[[Published], Drawn],
    note: str,
) -> Artefact:
    def call(data: Published, settings: DrawSettings) -> Drawn:
        return make(data)

    return Artefact(
        name, "figure", theme, title, source, _tuple(files), call, note, _name(make)
    )


def _drawn(
    kind: Literal["table", "figure"],
    name: str,
    title: str,
    files: tuple[str, ...] | str,
    make: Callable[[Published, DrawSettings], Made],
    note: str,
) -> Artefact:
    return Artefact(
        name, kind, "statistics", title, "computed here", _tuple(files), make, note,
        _name(make),
    )  # fmt: skip


def _tuple(files: tuple[str, ...] | str) -> tuple[str, ...]:
    return (files,) if isinstance(files, str) else files


def _name(function: Callable[..., object]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _june(data: Published) -> pd.DataFrame:
    return tables_results.site_leaderboard(data, "site_v1_0_2_leaderboard")


def _september(data: Published) -> pd.DataFrame:
    return tables_results.site_leaderboard(data, SEPTEMBER)


R, B, D, U = tables_results, tables_behaviour, drawings, uncertainty
GRID = "paper_table19_search_grid"

LEADERBOARD = (
    _table("leaderboard", "table_02", "Leaderboard", "paper Table 2", BOARD,
           R.leaderboard, f"{MEAN} Propagated SEM: first order, from the cells."),
    _figure("leaderboard", "leaderboard_paper", "Leaderboard of the paper",
            "paper Table 2, first site version", BOARD, D.leaderboard_paper, WHISKERS),
    _table("leaderboard", "leaderboard_june", "Leaderboard of June 2026",
           "site v1.0.2", "site_v1_0_2_leaderboard", _june,
           "* newer scaffold, † strict prompt; no SEM per scenario is printed."),
    _table("leaderboard", "leaderboard_september", "Leaderboard of September 2026",
           "site v1.0.5", SEPTEMBER, _september,
           "* newer scaffold, † strict prompt; cost of 12 runs, API-equivalent."),
    _figure("leaderboard", "leaderboard_september_bars",
            "Leaderboard of September 2026", "site v1.0.5",
            (SEPTEMBER, "site_references"), D.leaderboard_september,
            f"* newer scaffold, † strict prompt. {WHISKERS}"),
    _table("leaderboard", "table_04", "Final, best seen, search", "paper Table 4",
           ("paper_table04_best_seen", BOARD, GRID), R.best_seen,
           "Best seen needs the runs' own evaluations, which are not published."),
    _figure("leaderboard", "found_vs_submitted", "Found against submitted",
            "paper Table 4, site", "found_vs_submitted", D.stages,
            "Bars: geometric mean of the best of each scenario; no interval is "
            "published. The later 9.97 is that of June (known inconsistency)."),
    _table("leaderboard", "table_16", "Best of three", "paper Table 16",
           ("paper_table16_best_of_three", BOARD), R.best_three,
           "Bounds: what mean and SEM of three seeds allow for the largest seed."),
    _table("leaderboard", "table_17", "Best functioning server", "paper Table 17",
           "paper_table17_best_functioning", R.best_functioning),
    _figure("leaderboard", "best_functioning", "Submitted and best functioning server",
            "paper Table 17", "paper_table17_best_functioning", D.best_functioning,
            "Points: aggregates of 12 runs an agent; the factor is their ratio."),
)  # fmt: skip
SCENARIOS = (
    _table("scenarios", "table_01", "Scenarios", "paper Table 1",
           "paper_table01_table07_scenarios", B.scenarios),
    _table("scenarios", "table_07", "Traffic profiles", "paper Table 7, repository",
           ("paper_table01_table07_scenarios", "repo_scenario_config"), B.profiles,
           "Concurrency executed: what the published harness really runs."),
    _table("scenarios", "table_08", "Missions", "paper Table 8",
           "paper_table01_table07_scenarios", B.missions,
           "Which metric a mission names, in our words; its wording is no data."),
    _figure("scenarios", "scenarios_paper", "Scenario breakdown, paper",
            "paper Table 2", BOARD, D.scenarios_paper,
            "Dots: methods (means over n = 3 seed pairs); band: range; tick: median."),
    _figure("scenarios", "scenarios_september", "Scenario breakdown, September 2026",
            "site v1.0.5", (SEPTEMBER, BOARD), D.scenarios_september,
            "As above; variant rows left out, searches and defaults of the paper."),
    _table("scenarios", "scenario_summary", "Median, range and best by scenario",
           "site scenario cards", (BOARD, SEPTEMBER), R.scenario_summaries),
    _table("scenarios", "table_06", "Other base models", "paper Table 6",
           "paper_table06_base_model", R.base_models, MEAN),
    _table("scenarios", "table_11", "Native units", "paper Table 11",
           ("paper_table11_native_units", BOARD), R.native,
           "Recomputed: baseline row divided by, or times, the mean speedup."),
    _table("scenarios", "table_18", "Hardware", "paper Table 18",
           "paper_table18_hardware", R.hardware, MEAN),
    _table("scenarios", "pytorch_baselines", "PyTorch baselines in circulation",
           "paper, public trajectories, one fork", "pytorch_baselines", B.baselines),
)  # fmt: skip
SEARCH = (
    _table("search", "table_19", "Search grid", "paper Table 19", GRID, R.search_grid,
           MEAN),
    _figure("search", "search_grid", "Search grid", "paper Table 19", GRID,
            D.search_grid,
            "Speedup over the PyTorch baseline (x), mean over n = 3 seed pairs; colour "
            "within each panel."),
    _table("search", "table_20", "Warm start", "paper Table 20",
           "paper_table20_warm_start", R.warm_start, MEAN),
    _table("search", "table_21", "Forced engine", "paper Table 21",
           "paper_table21_forced_engine", R.forced_engine, MEAN),
    _figure("search", "forced_engine", "Forced engine and warm start",
            "paper Tables 20 and 21",
            ("paper_table21_forced_engine", "paper_table20_warm_start"),
            D.forced_engine_paper,
            "Points: means over n = 3 seed pairs; whiskers: SEM; search without one."),
    _table("search", "forced_engine_site_table", "Forced engine, both site versions",
           "site", "site_forced_engine", B.site_forced_engine),
    _figure("search", "forced_engine_site", "Forced engine, later site version",
            "site from June 2026", "site_forced_engine", D.forced_engine_site,
            "Points: means over n = 3 seed pairs; whiskers: SEM; search without one."),
)  # fmt: skip
BEHAVIOUR = (
    _table("outcomes", "table_03", "Outcomes", "paper Table 3",
           "paper_table03_outcomes", B.outcomes, "n = 180 runs."),
    _figure("outcomes", "outcomes", "Run outcomes", "paper Table 3, site",
            "site_outcomes", D.outcomes,
            "Percent of 180 runs (paper) and of a stated 257 runs (site)."),
    _table("outcomes", "outcomes_site", "Outcomes of both site versions", "site",
           "site_outcomes", B.site_outcomes,
           "No whole number of 257 runs gives the later percentages; 252 does."),
    _table("outcomes", "table_05", "Structured-iteration prompt", "paper Table 5",
           "paper_table05_structured_prompt", R.structured_prompt, MEAN),
    _figure("outcomes", "structured_prompt", "Structured-iteration prompt",
            "paper Table 5", "paper_table05_structured_prompt", D.structured_prompt,
            "Points: means over n = 3 seed pairs; whiskers: SEM."),
    _table("outcomes", "table_09", "Sensitivity to tau", "paper Table 9",
           ("paper_table09_tau_sensitivity", BOARD), B.tau, "n = 180 runs."),
    _table("outcomes", "table_10", "Volatility", "paper Table 10",
           "paper_table10_volatility", B.volatility,
           "Quartile ranges need seed-level scores, which are not published."),
    _table("outcomes", "table_14", "Failure modes", "paper Table 14",
           "paper_table14_failure_modes", B.failure_modes,
           "n = 180 runs; labels overlap."),
    _table("outcomes", "table_15", "Behaviour", "paper Table 15",
           "paper_table15_behaviour", B.behaviour),
    _figure("outcomes", "configurations", "Configurations tried per run",
            "paper Table 15, site", "site_config_distribution", D.configurations,
            "n = 180 runs; the later site version prints the same numbers."),
    _table("outcomes", "configuration_counts", "Configurations tried per run", "site",
           "site_config_distribution", B.configurations),
    _figure("outcomes", "techniques", "Techniques named in transcripts",
            "paper Table 15, site", "technique_mentions", D.techniques,
            "Percent of runs (paper: n = 180); the site leaves prefix caching out."),
    _table("outcomes", "technique_mentions", "Techniques named in transcripts",
           "paper Table 15, site", "technique_mentions", B.techniques),
    _figure("outcomes", "families", "Episode families", "site trajectory viewer",
            "site_trajectory_families", D.families,
            "n = 3862 episodes of 329 runs; labels by rule, none audited."),
    _table("outcomes", "episode_families", "Episode families",
           "site trajectory viewer", "site_trajectory_families", B.families),
    _table("outcomes", "quality_baselines", "Quality baselines in circulation",
           "paper section 5.3, derivatives", "quality_baselines", B.quality_baselines),
)  # fmt: skip
BUDGET = (
    _figure("budget", "figure_02", "Time budget", "paper Figure 2",
            "paper_figure02_time_budget", D.time_budget_paper,
            "Points: aggregates; the paper prints no interval for them."),
    _table("budget", "time_budget", "Time budget, both versions",
           "paper Figure 2, site", ("paper_figure02_time_budget", "site_time_budget"),
           B.time_budget),
    _figure("budget", "time_budget_site", "Time budget, both versions",
            "paper Figure 2, site", ("paper_figure02_time_budget", "site_time_budget"),
            D.time_budget_site,
            "Whiskers: printed SEM (site only); hollow: marked as estimated."),
    _table("budget", "time_budget_slopes", "Gain per doubled budget", "computed here",
           "paper_figure02_time_budget", B.budget_slopes,
           "Straight lines of log speedup over log2 hours, 95 % t intervals."),
    _table("budget", "table_12", "Cost", "paper Table 12",
           ("paper_table12_cost", "paper_table13_cost_per_speedup", BOARD), R.cost,
           "12 runs; GPU at 1.99 USD an hour."),
    _table("budget", "table_13", "Cost per speedup", "paper Table 13",
           ("paper_table13_cost_per_speedup", "paper_table12_cost", BOARD),
           R.cost_per_speedup,
           "Cell costs are not published: Table 13 times Table 2 implies them."),
    _figure("budget", "cost_paper", "Cost and speedup, paper", "paper Tables 2, 12",
            ("paper_table12_cost", BOARD), D.cost_paper,
            "Points: agents, 12 runs each; line: cheapest way to a speedup."),
    _figure("budget", "cost_site", "Cost and speedup, September 2026", "site v1.0.5",
            SEPTEMBER, D.cost_site,
            "Points: rows, 12 runs each; bars: the site's low and high cost; only "
            "frontier points are named."),
)  # fmt: skip
STATISTICS = (
    _drawn("figure", "rank_intervals", "Rank intervals", BOARD, U.ranks,
           f"95 % intervals. {DRAWN}"),
    _drawn("figure", "probability_of_improvement", "Probability of improvement", BOARD,
           U.improvement,
           f"Mean over scenarios; a dot marks pairs whose 95 % interval holds 50. "
           f"{DRAWN}"),
    _drawn("figure", "performance_profiles", "Performance profiles", BOARD, U.profiles,
           f"12 runs a method; bands: 95 % intervals. {DRAWN}"),
    _drawn("figure", "interquartile_mean", "Interquartile mean", BOARD, U.iqm,
           f"Geometric mean of the middle 6 of 12 runs, 95 % intervals. {DRAWN}"),
    _drawn("table", "quartile_ranges", "Quartile ranges, printed and drawn",
           (BOARD, "paper_table10_volatility"), U.quartiles, DRAWN),
    _drawn("figure", "sem_coverage", "Coverage of mean ± SEM", "paper_table03_outcomes",
           U.coverage, "Normal runs: exact; failing runs: simulated, success 5x."),
    _drawn("figure", "gate_power", "Operating curves of the quality gate",
           "quality_baselines", U.gate,
           "Baseline 128 of 500 taken as its true accuracy; exact binomials."),
    _drawn("table", "gate_questions", "What 500 questions decide", "quality_baselines",
           U.gate_sizes, "Shares of servers; needed questions: normal approximation."),
    _drawn("table", "judge_kappa", "Interval of kappa 0.82",
           "paper_table03_outcomes", U.judges,
           "Both judges are taken to flag equally often; 95 % intervals."),
    _drawn("table", "neighbour_pairs", "Seed pairs to tell neighbours apart", BOARD,
           U.neighbours, "80 % power, two-sided 5 % test on log aggregates."),
    _drawn("figure", "seed_pairs", "Seed pairs that order the leaderboard", BOARD,
           U.resolution, "80 % power, two-sided 5 % test on log aggregates."),
)  # fmt: skip

CATALOGUE: dict[str, Artefact] = {
    a.name: a
    for a in (
        *LEADERBOARD, *SCENARIOS, *SEARCH, *BEHAVIOUR, *BUDGET, *STATISTICS
    )
}  # fmt: skip
THEMES = tuple(dict.fromkeys(a.theme for a in CATALOGUE.values()))


def artefacts_of(theme: str) -> list[Artefact]:
    """Tables and figures of one theme, in the order of the catalogue."""
    return [a for a in CATALOGUE.values() if a.theme == theme]
