"""``params/costs``: how long things take on a kind of host, each number sourced."""

from __future__ import annotations

from pydantic import Field

from ibench.records import Closed

__all__ = ["Costs"]


class Costs(Closed):
    """How long things take on one host; see ``params/hosts`` for what it costs."""

    model: str = Field(description="name of the base model the numbers are of")
    baseline_prefill_s_per_token: float = Field(gt=0)
    baseline_s_per_output_token: float = Field(gt=0)
    question_s: float = Field(ge=0)
    launch_s: float = Field(ge=0)
    speedup: dict[str, dict[str, float]]
    baseline_parallel: int = Field(ge=1)
