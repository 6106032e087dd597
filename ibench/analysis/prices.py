"""What an agent session cost: tokens by a dated price list, GPU by the hour.

The agent's own figure and ours stand side by side. They differ where a provider bills
cache writes, long contexts or a subscription; a large difference says that a transcript
lost tokens.
"""

from __future__ import annotations

from typing import NamedTuple, Self

from ibench.params.prices import Price, Prices
from ibench.records import Submission

__all__ = ["Cost", "Spent", "session_cost"]

_MILLION = 1e6
_HOUR_S = 3600.0


class Spent(NamedTuple):
    """What a session used; token counts are None where its transcript has none."""

    used_s: float
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    reported_usd: float | None

    @classmethod
    def of(cls, made: Submission) -> Self:
        """Read a session's record."""
        return cls(
            made.used_s,
            made.input_tokens,
            made.cached_tokens,
            made.output_tokens,
            made.cost_usd,
        )


class Cost(NamedTuple):
    """Cost of one session; None where something it needs is unknown.

    Attributes:
        fresh_tokens: prompt tokens that were not in the provider's cache.
        list_usd: tokens at list prices.
        reported_usd: as the agent says.
        gpu_usd: the session's wall time on the host.
    """

    fresh_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    list_usd: float | None
    reported_usd: float | None
    gpu_usd: float

    @property
    def deviation(self) -> float | None:
        """Reported over list price, minus one; None unless both are known."""
        if not self.list_usd or self.reported_usd is None:
            return None
        return self.reported_usd / self.list_usd - 1


def session_cost(
    made: Spent, model: str | None, prices: Prices, dollars_per_hour: float
) -> Cost:
    """Price one session.

    Args:
        made: what it used.
        model: ``provider/model``; None for a script of ours.
        prices: the list.
        dollars_per_hour: of the host.
    """
    fresh = None
    if made.input_tokens is not None:
        fresh = made.input_tokens - (made.cached_tokens or 0)
    return Cost(
        fresh_tokens=fresh,
        cached_tokens=made.cached_tokens,
        output_tokens=made.output_tokens,
        list_usd=_list_usd(made, fresh, prices.models.get(model or "")),
        reported_usd=made.reported_usd,
        gpu_usd=made.used_s / _HOUR_S * dollars_per_hour,
    )


def _list_usd(made: Spent, fresh: int | None, price: Price | None) -> float | None:
    if price is None or fresh is None or made.output_tokens is None:
        return None
    cached = made.cached_tokens or 0
    total = fresh * price.input + cached * price.cached
    return (total + made.output_tokens * price.output) / _MILLION
