"""Tables and figures that the paper lacks, from what it prints.

Seed-level data are not published: draws are parametric (``paper.statistics``).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats

from ibench.analysis.paper import figures_statistics as draw
from ibench.analysis.paper.budget import BudgetModel, fit_budget_model
from ibench.analysis.paper.data import SEED_PAIRS, Published, cells_of
from ibench.analysis.paper.drawings import Drawn
from ibench.analysis.paper.power import (
    adjacent_pairs,
    gate_threshold,
    kappa_from_margins,
    kappa_interval,
    mcnemar_questions,
    paired_pass_probability,
    pass_probability,
    questions_needed,
    sem_coverage,
    sem_coverage_simulated,
    share_resolved,
)
from ibench.analysis.paper.statistics import (
    Draws,
    interquartile_means,
    parametric_draws,
    performance_profiles,
    probability_of_improvement,
    rank_intervals,
)
from ibench.records import Closed

__all__ = [
    "DrawSettings", "budget_model", "coverage", "gate", "gate_sizes", "improvement",
    "iqm", "judges", "neighbours", "profiles", "quartiles", "ranks", "resolution",
]  # fmt: skip

QUESTIONS, BASELINE, TAU = 500, 128, 0.95
DISCORDANCES = (0.02, 0.05, 0.10)


class DrawSettings(Closed):
    """How the statistics draw."""

    draws: int = 4000
    seed: int = 7


def _board(data: Published) -> pd.DataFrame:
    frame = data("paper_table02_leaderboard")
    return frame[frame.kind == "agent"].reset_index(drop=True)


@lru_cache(maxsize=2)
def _draws(data: Published, settings: DrawSettings, kinds: tuple[str, ...]) -> Draws:
    cells = cells_of(data("paper_table02_leaderboard"))
    return parametric_draws(
        cells[cells.kind.isin(kinds)], settings.draws, settings.seed
    )


def ranks(data: Published, settings: DrawSettings) -> Drawn:
    """Rank intervals of the 15 agents."""
    table = rank_intervals(_draws(data, settings, ("agent",)))
    table.insert(1, "printed_rank", _board(data)["rank"].to_numpy(int))
    shown = table.rename(
        columns={
            "method": "label",
            "median_rank": "middle",
            "rank_low": "low",
            "rank_high": "high",
            "printed_rank": "printed",
        }
    )
    title = "Rank of each agent, 95 % interval"
    return Drawn(
        draw.interval_figure(shown, title, "rank of 15 (1 is best)", "printed rank"),
        table,
    )


def improvement(data: Published, settings: DrawSettings) -> Drawn:
    """Probability of improvement, every pair of agents."""
    table = probability_of_improvement(_draws(data, settings, ("agent",)))
    return Drawn(draw.improvement_figure(table), table)


def profiles(data: Published, settings: DrawSettings) -> Drawn:
    """Performance profiles of searches, defaults and agents."""
    draws = _draws(data, settings, ("agent", "search", "default"))
    table = performance_profiles(draws, np.geomspace(1.0, 64.0, 49))
    named = ("SMAC", "Claude Sonnet 4.6", "GLM-5", "vLLM default", "GPT-5.2 Codex")
    return Drawn(draw.profile_figure(table, named), table)


def iqm(data: Published, settings: DrawSettings) -> Drawn:
    """Interquartile mean beside the printed aggregate."""
    table = interquartile_means(_draws(data, settings, ("agent",)))
    table["printed_aggregate"] = _board(data).aggregate_speedup.to_numpy()
    table = table.sort_values("iqm", ascending=False, ignore_index=True)
    shown = table.rename(
        columns={"method": "label", "iqm": "middle", "printed_aggregate": "printed"}
    )
    title = "Interquartile mean of the runs, 95 % interval"
    return Drawn(
        draw.interval_figure(shown, title, "speedup (x)", "printed aggregate"), table
    )


def quartiles(data: Published, settings: DrawSettings) -> pd.DataFrame:
    """What Table 10 would show if seeds varied as means and SEMs say.

    The printed quartile ranges need seed-level data; these are drawn.
    """
    draws = _draws(data, settings, ("agent",))
    # Equal speedups share a place: the order of the rows must not decide.
    place = stats.rankdata(-draws.values, method="average", axis=1) - 1
    quartile = np.minimum(4 * place // len(draws.methods), 3)
    spread = quartile.max(axis=3) - quartile.min(axis=3)
    mean = spread.mean(axis=1)
    low, high = np.quantile(mean, (0.025, 0.975), axis=0)
    printed = data("paper_table10_volatility")
    return pd.DataFrame(
        {
            "scenario": printed.scenario,
            "printed_mean_quartile_range": printed.mean_quartile_range,
            "drawn_mean_quartile_range": mean.mean(axis=0),
            "low": low,
            "high": high,
        }
    )


def coverage(data: Published, settings: DrawSettings) -> Drawn:
    """Coverage of mean ± SEM: exact for normal runs, simulated for runs that fail."""
    failed = 1 - int(data("paper_table03_outcomes").runs.iloc[0]) / 180
    sizes = (2, 3, 5, 10, 20, 30)
    rows = [(n, "normal runs, exact", sem_coverage(n)) for n in sizes]
    rows += [
        (
            n,
            f"{100 * failed:.0f} % of runs fail and count 1.00x",
            sem_coverage_simulated(
                n,
                failures=failed,
                spread=0.1,
                draws=10 * settings.draws,
                seed=settings.seed,
            ),
        )
        for n in sizes
    ]
    table = pd.DataFrame(rows, columns=["seeds", "interval", "coverage"])
    return Drawn(draw.coverage_figure(table), table)


def gate(data: Published, settings: DrawSettings) -> Drawn:
    """Operating curves of the gate: independent and paired answers."""
    ratios = np.round(np.arange(0.84, 1.0401, 0.005), 3)
    rows: list[tuple[str, float, float]] = []
    for n in (QUESTIONS, 2000, 6000):
        base = BASELINE * n // QUESTIONS
        rows += [
            (
                f"{n}, answers independent",
                r,
                pass_probability(r, n=n, baseline=base, tau=TAU),
            )
            for r in ratios
        ]
    change = 0.05
    for r in ratios:
        if BASELINE / QUESTIONS * abs(1 - r) <= change:
            passed = paired_pass_probability(
                r, n=QUESTIONS, baseline=BASELINE, tau=TAU, discordance=change
            )
            rows.append((f"{QUESTIONS}, paired, 5 % change", r, passed))
    table = pd.DataFrame(rows, columns=["case", "ratio", "passed"])
    return Drawn(draw.gate_figure(table, TAU), table)


def gate_sizes(data: Published, settings: DrawSettings) -> pd.DataFrame:
    """False rejection and power at 500 questions; questions that would settle it."""
    p = BASELINE / QUESTIONS
    base = {"n": QUESTIONS, "baseline": BASELINE, "tau": TAU}
    rows = [
        {
            "answers": "independent",
            "changed_answers_percent": float("nan"),
            "equal_server_refused": 1 - pass_probability(1.0, **base),  # type: ignore[arg-type]
            "server_at_0_90_refused": 1 - pass_probability(0.9, **base),  # type: ignore[arg-type]
            "questions_for_5_percent_errors": questions_needed(p, TAU),
            "mcnemar_questions_for_0_95": float("nan"),
        }
    ]
    for change in DISCORDANCES:
        loss = p * (1 - TAU)
        able = change >= p * 0.1
        low = paired_pass_probability(0.9, discordance=change, **base) if able else None  # type: ignore[arg-type]
        rows.append(
            {
                "answers": "paired",
                "changed_answers_percent": 100 * change,
                "equal_server_refused": 1
                - paired_pass_probability(1.0, discordance=change, **base),  # type: ignore[arg-type]
                "server_at_0_90_refused": float("nan") if low is None else 1 - low,
                "questions_for_5_percent_errors": questions_needed(
                    p, TAU, discordance=change
                ),
                "mcnemar_questions_for_0_95": mcnemar_questions(
                    (change + loss) / 2, (change - loss) / 2
                ),
            }
        )
    return pd.DataFrame(rows).assign(threshold_correct=gate_threshold(TAU, BASELINE))


def judges(data: Published, settings: DrawSettings) -> pd.DataFrame:
    """Interval of the printed kappa 0.82 under the flagged share of Table 3.

    The cross table is not published: both judges are taken to flag as many runs.
    """
    flagged = int(data("paper_table03_outcomes").runs.iloc[3])
    rows = []
    for n in (50, 180):
        for count in (flagged * n / 180, n / 4):
            found = kappa_interval(kappa_from_margins(0.82, n, count))
            rows.append({"runs_judged": n, "flagged_by_each": count, **found})
    return pd.DataFrame(rows).drop(columns="n")


def neighbours(data: Published, settings: DrawSettings) -> pd.DataFrame:
    """Seed pairs that would tell each agent from the next one."""
    return adjacent_pairs(_aggregates(data))


def resolution(data: Published, settings: DrawSettings) -> Drawn:
    """Share of pairs of agents in order, over the number of seed pairs."""
    sizes = (2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
    table = share_resolved(_aggregates(data), sizes)
    return Drawn(draw.resolution_figure(table), table)


def _aggregates(data: Published) -> pd.DataFrame:
    board = _board(data)
    return pd.DataFrame(
        {
            "method": board.method,
            "aggregate": board.aggregate_speedup,
            "sem": board.aggregate_sem,
            "n": SEED_PAIRS,
        }
    )


def budget_model(data: Published) -> BudgetModel:
    """Mixed model over the points of Figure 2."""
    return fit_budget_model(data("paper_figure02_time_budget"))
