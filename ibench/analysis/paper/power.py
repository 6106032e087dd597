"""What three seeds, 500 questions and two judges can show: coverage and power."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa

__all__ = [
    "adjacent_pairs", "gate_threshold", "kappa_from_margins", "kappa_interval",
    "mcnemar_questions", "paired_pass_probability", "pass_probability",
    "questions_needed", "sem_coverage", "sem_coverage_simulated", "share_resolved",
]  # fmt: skip


def sem_coverage(n: int) -> float:
    """How often mean ± SEM covers the true mean of normal data: P(|t_{n-1}| < 1)."""
    return float(2 * stats.t.cdf(1.0, n - 1) - 1)


def sem_coverage_simulated(
    n: int, *, failures: float, spread: float, draws: int, seed: int
) -> float:
    """The same by simulation, for runs that fail now and then.

    Args:
        n: seeds a mean.
        failures: probability that a run fails and counts as 1.00x.
        spread: SD of the logarithm of a successful run's speedup; 0 failures and a
            small spread come close to the normal case.
        draws: simulated means.
        seed: of the generator.
    """
    rng = np.random.default_rng(seed)
    good = 5.0 * np.exp(spread * rng.standard_normal((draws, n)) - spread**2 / 2)
    runs = np.where(rng.random((draws, n)) < failures, 1.0, good)
    truth = failures + (1 - failures) * 5.0
    sem = runs.std(axis=1, ddof=1) / math.sqrt(n)
    return float((np.abs(runs.mean(axis=1) - truth) <= sem).mean())


def gate_threshold(tau: float, baseline_correct: int) -> int:
    """Smallest number of correct answers that passes the gate."""
    # The product of 0.95 and 140 is 133.00000000000003 in binary.
    return math.ceil(round(tau * baseline_correct, 9))


def pass_probability(ratio: float, *, n: int, baseline: int, tau: float) -> float:
    """P(pass) of a server whose answers are independent draws.

    Args:
        ratio: its true accuracy over the baseline's.
        n: questions.
        baseline: the baseline's correct answers, taken as its true accuracy.
        tau: the gate.
    """
    accuracy = min(1.0, ratio * baseline / n)
    return float(stats.binom.sf(gate_threshold(tau, baseline) - 1, n, accuracy))


def paired_pass_probability(
    ratio: float, *, n: int, baseline: int, tau: float, discordance: float
) -> float:
    """P(pass) when the same questions are answered and few answers change.

    Of the baseline's correct answers L are lost, of its wrong ones G are gained, both
    binomial; the expected share of changed answers is ``discordance``.

    Raises:
        ValueError: the loss asked for needs more changed answers than that.
    """
    p = baseline / n
    lost, gained = (discordance + p * (1 - ratio)) / 2, (discordance - p * (1 - ratio))
    gained /= 2
    if gained < 0 or lost > p or gained > 1 - p:
        raise ValueError(f"ratio {ratio} needs more than {discordance} changed answers")
    losses = stats.binom(baseline, lost / p)
    gains = stats.binom(n - baseline, gained / (1 - p))
    margin = baseline - gate_threshold(tau, baseline)
    counts = np.arange(n - baseline + 1)
    # Pass when L - G <= margin: sum over G of P(G) P(L <= margin + G).
    return float((gains.pmf(counts) * losses.cdf(margin + counts)).sum())


def questions_needed(
    p: float, tau: float, *, error: float = 0.05, discordance: float | None = None
) -> int:
    """Questions so that an equal server is refused with probability ``error`` at most.

    By symmetry a server at ``2 tau - 1`` of the baseline's accuracy passes as rarely.
    Normal approximation. Unpaired, both accuracies vary; paired, only changed answers.
    """
    margin = (1 - tau) * p
    variance = p * (1 - p) * (1 + tau**2) if discordance is None else discordance
    z = float(stats.norm.isf(error))
    return math.ceil(variance * (z / margin) ** 2)


def mcnemar_questions(
    lost: float, gained: float, *, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Questions for a two-sided McNemar test to see a change (normal approximation).

    Args:
        lost: share of questions that only the baseline answers correctly.
        gained: share that only the server answers correctly.
        alpha: level.
        power: probability to see it.
    """
    total, difference = lost + gained, abs(lost - gained)
    z_a, z_b = float(stats.norm.isf(alpha / 2)), float(stats.norm.isf(1 - power))
    root = z_a * math.sqrt(total) + z_b * math.sqrt(total - difference**2)
    return math.ceil((root / difference) ** 2)


def kappa_interval(table: np.ndarray, confidence: float = 0.95) -> dict[str, float]:
    """Cohen's kappa of two judges with its large-sample interval.

    Args:
        table: counts; rows are the first judge's labels, columns the second's.
        confidence: of the interval.
    """
    found = cohens_kappa(np.asarray(table, float))
    half = float(stats.norm.isf((1 - confidence) / 2)) * float(found.std_kappa)
    return {
        "kappa": float(found.kappa),
        "low": float(found.kappa) - half,
        "high": min(1.0, float(found.kappa) + half),
        "agreement": float(np.trace(table) / np.sum(table)),
        "n": float(np.sum(table)),
    }


def kappa_from_margins(kappa: float, n: int, flagged: float) -> np.ndarray:
    """The table of two judges who flag equally often and agree by ``kappa``.

    For a printed kappa without its table: both margins are assumed to be ``flagged``.
    """
    q = flagged / n
    chance = q**2 + (1 - q) ** 2
    agreement = kappa * (1 - chance) + chance
    off = (1 - agreement) / 2
    return n * np.array([[1 - q - off, off], [off, q - off]])


def adjacent_pairs(table: pd.DataFrame, power: float = 0.8) -> pd.DataFrame:
    """Seed pairs needed to tell each row from the next one.

    Args:
        table: columns method, aggregate, sem, n; sem belongs to n seed pairs.
        power: probability that a two-sided 5 % test sees the printed difference.
    """
    rows = [
        {"method": a.method, "next": b.method, **_needed(a, b, power)}
        for a, b in itertools.pairwise(_places(table))
    ]
    return pd.DataFrame(rows)


def share_resolved(
    table: pd.DataFrame, sizes: tuple[int, ...], power: float = 0.8
) -> pd.DataFrame:
    """Share of all, and of adjacent, pairs that a number of seed pairs resolves."""
    ordered = _places(table)
    every = [_needed(a, b, power) for a, b in itertools.combinations(ordered, 2)]
    near = [_needed(a, b, power) for a, b in itertools.pairwise(ordered)]
    rows = [
        {
            "seed_pairs": size,
            "all_pairs": sum(x["seed_pairs"] <= size for x in every) / len(every),
            "adjacent_pairs": sum(x["seed_pairs"] <= size for x in near) / len(near),
        }
        for size in sizes
    ]
    return pd.DataFrame(rows)


class _Place(NamedTuple):
    method: str
    aggregate: float
    sem: float
    n: int


def _places(table: pd.DataFrame) -> list[_Place]:
    """Rows of a leaderboard, best first."""
    columns = [table[name] for name in _Place._fields]
    places = [_Place(*row) for row in zip(*columns, strict=True)]
    return sorted(places, key=lambda p: -p.aggregate)


def _over(difference: float, error: float) -> float:
    """How many errors a difference is; without one, any is infinitely many, none 0."""
    if error > 0:
        return float(difference / error)
    return math.inf if difference > 0 else 0.0


def _needed(a: _Place, b: _Place, power: float) -> dict[str, float]:
    """Two-sample size on the logarithm: n0 ((z_a + z_b) se / difference)^2."""
    difference = abs(math.log(a.aggregate / b.aggregate))
    error = math.hypot(a.sem / a.aggregate, b.sem / b.aggregate)
    z = float(stats.norm.isf(0.025) + stats.norm.isf(1 - power))
    if difference == 0:
        needed = math.inf
    else:
        needed = max(2.0, math.ceil(a.n * (z * error / difference) ** 2))
    return {
        "ratio": math.exp(difference),
        "z": _over(difference, error),
        "seed_pairs": needed,
    }
