"""What the agents of a study cost: one row a session, one line a method."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ibench.analysis.frames import Run
from ibench.analysis.prices import Spent, session_cost
from ibench.params import AgentMethod
from ibench.params.prices import Prices
from ibench.study.definition import Study

__all__ = ["cost_paragraph", "cost_row", "cost_table", "price_sessions"]

_SUMS = ["fresh_tokens", "cached_tokens", "output_tokens"]
_DOLLARS = ["list_usd", "reported_usd", "gpu_usd"]


def cost_row(run: Run) -> dict[str, Any]:
    """What one run used, whatever its kind."""
    where = {"scenario": run.scenario, "method": run.method, "seeds": run.seeds}
    return where | Spent.of(run.submission)._asdict()


def price_sessions(study: Study, used: pd.DataFrame, prices: Prices) -> pd.DataFrame:
    """Price every agent session; searches and default launches fall out.

    Args:
        study: the profile.
        used: of ``cost_row``.
        prices: the list.
    """
    harbors = {
        method.name: study.method_agent(method).harbor
        for method in study.profile.methods
        if isinstance(method, AgentMethod)
    }
    sessions = used[used.method.isin(list(harbors))]
    rows = []
    for line in (
        sessions.astype(object).where(sessions.notna(), None).to_dict("records")
    ):
        harbor = harbors[line["method"]]
        model = harbor.model if harbor else None
        spent = Spent(*(line[name] for name in Spent._fields))
        cost = session_cost(spent, model, prices, study.host.dollars_per_hour)
        where = {name: line[name] for name in ("scenario", "method", "seeds")}
        deviation = {"deviation": cost.deviation}
        rows.append(where | {"model": model} | cost._asdict() | deviation)
    return pd.DataFrame(rows)


def cost_table(rows: pd.DataFrame, speedups: pd.DataFrame) -> pd.DataFrame:
    """Sum a method's sessions; a method with an unknown session is unknown.

    Args:
        rows: of ``price_sessions``.
        speedups: columns ``method`` and ``aggregate``.
    """
    if rows.empty:
        return rows
    numbers = rows[[*_SUMS, *_DOLLARS]].astype("Float64")
    grouped = numbers.groupby(rows.method, sort=False)
    # A sum over no more than the known would make an unknown session free.
    known = grouped.count().eq(grouped.size(), axis=0)
    table = grouped.sum().where(known).reset_index()
    table.insert(1, "sessions", grouped.size().to_numpy())
    table["usd"] = table.list_usd.fillna(table.reported_usd) + table.gpu_usd
    factor = table.method.map(speedups.set_index("method")["aggregate"])
    table["usd_per_speedup"] = table.usd / factor.astype(float)
    return table


def cost_paragraph(rows: pd.DataFrame, prices: Prices) -> str:
    """Say how the dollars were made, and where they disagree."""
    if rows.empty:
        return "No agent session in this study."
    text = (
        f"Tokens at the list prices of {prices.as_of} (params/prices), the agent's own "
        "figure beside them, and the host by the hour. A model without a price, and a "
        "scripted agent, have no dollars for tokens: unknown is not zero."
    )
    apart = rows[rows.deviation.astype("Float64").abs() > 0.2]
    if len(apart):
        text += (
            f" In {len(apart)} of {len(rows)} sessions the two differ by more than "
            "20 %: cache writes, long contexts, or tokens that a transcript lost."
        )
    return text
