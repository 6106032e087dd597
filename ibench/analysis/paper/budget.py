"""Does more time help? A mixed model of log speedup over the time budget, by agent."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from statsmodels.tools.sm_exceptions import ConvergenceWarning

__all__ = ["BudgetModel", "agent_slopes", "fit_budget_model"]

# A slope variance this small against the residual's is the edge of the parameter space.
EDGE = 1e-3


@dataclass(frozen=True)
class BudgetModel:
    """What the model says, and whether it may be believed."""

    slope: float
    low: float
    high: float
    p_value: float
    observations: int
    agents: int
    singular: bool
    complaints: tuple[str, ...]

    @property
    def factor_per_doubling(self) -> float:
        """Speedup ratio that a doubled budget brings on average."""
        return float(np.exp(self.slope))

    def sentence(self) -> str:
        """The result in words, with its limits."""
        text = (
            f"Doubling the budget multiplies the aggregate by "
            f"{self.factor_per_doubling:.3f} (95 % interval {np.exp(self.low):.3f} to "
            f"{np.exp(self.high):.3f}, p = {self.p_value:.2f}; {self.observations} "
            f"points, {self.agents} agents)."
        )
        if self.singular:
            text += (
                " The fit is singular: a random slope cannot be estimated from "
                f"{self.agents} agents, its variance falls on the edge; the interval "
                "is that of a model with too little variation and is too narrow."
            )
        return text


def fit_budget_model(frame: pd.DataFrame) -> BudgetModel:
    """Fit log speedup on log2 of the hours, intercept and slope random by agent.

    Args:
        frame: columns model, budget_hours, aggregate_speedup.
    """
    data = _logs(frame)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = smf.mixedlm("y ~ x", data, groups=data.model, re_formula="~x")
        fit = model.fit(reml=True, method=["lbfgs", "powell"])
    slopes = np.asarray(fit.cov_re)
    smallest = float(np.linalg.eigvalsh(slopes).min())
    complaints = tuple(
        dict.fromkeys(
            str(w.message)
            for w in caught
            if issubclass(w.category, (ConvergenceWarning, UserWarning))
        )
    )
    low, high = fit.conf_int().loc["x"]
    return BudgetModel(
        slope=float(fit.params["x"]),
        low=float(low),
        high=float(high),
        p_value=float(fit.pvalues["x"]),
        observations=len(data),
        agents=data.model.nunique(),
        singular=smallest < EDGE * float(fit.scale)
        or not fit.converged
        or any("Hessian" in text for text in complaints),
        complaints=complaints,
    )


def agent_slopes(frame: pd.DataFrame) -> pd.DataFrame:
    """Straight line per agent: factor per doubling with a t interval.

    Four points leave two degrees of freedom; the interval says what that is worth.
    """
    rows = []
    for name, group in _logs(frame).groupby("model", sort=False):
        fit = smf.ols("y ~ x", group).fit()
        low, high = np.exp(fit.conf_int().loc["x"])
        rows.append(
            {
                "model": name,
                "factor_per_doubling": float(np.exp(fit.params["x"])),
                "low": float(low),
                "high": float(high),
                "p_value": float(fit.pvalues["x"]),
                "points": len(group),
            }
        )
    return pd.DataFrame(rows)


def _logs(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(
        # Centred at the geometric middle of 1 and 8 hours: a better conditioned fit.
        x=np.log2(frame.budget_hours.astype(float)) - 1.5,
        y=np.log(frame.aggregate_speedup.astype(float)),
    )
