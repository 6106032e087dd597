"""How a submission is compared with the baseline."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ibench.records import Closed

__all__ = ["Pairing"]


class Pairing(Closed):
    """How a submission is compared with the baseline (docs/metrics.md, Speedup).

    ``alternate``: in every server life of the submission the baseline is up beside it,
    and blocks of the same requests go to the two in turns. What slows the machine for
    longer than a block slows both. ``lives``: where one GPU cannot hold both, lives of
    the baseline come before the submission's (``baseline_repeats`` of stage 1) and
    after them.
    """

    kind: Literal["alternate", "lives"] = "lives"
    lives: int = Field(
        default=1, ge=1, description="server lives of the submission; they share its "
        "requests under `alternate`, and have all of them under `lives`",
    )  # fmt: skip
    baseline_after: int = Field(
        default=0, ge=0, description="baseline lives after the submission's; `lives`"
    )

    @model_validator(mode="after")
    def _after_goes_with_lives(self) -> Self:
        if self.kind == "alternate" and self.baseline_after:
            raise ValueError("baseline_after goes with kind: lives")
        return self
