"""Scenarios as the paper has them, and what a profile changes in them."""

from __future__ import annotations

import itertools
from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from ibench.params.types import Name
from ibench.records import Closed

__all__ = [
    "PaperScenario",
    "Phase",
    "PhaseScale",
    "Scale",
    "Scenario",
    "SeedPair",
    "SeedUse",
]

SeedUse: TypeAlias = Literal["dev", "eval"]


class SeedPair(Closed):
    """Development seed (the agent's) and evaluation seed (the score's)."""

    development: int
    evaluation: int

    @property
    def label(self) -> str:
        """Folder name, for example ``21-1337``."""
        return f"{self.development}-{self.evaluation}"

    def seed(self, use: SeedUse) -> int:
        """Seed of a use: ``dev`` is what submissions are made with, ``eval`` scored.

        Stages ask ``study.draw`` for whole workloads and never for the seed.
        """
        return self.development if use == "dev" else self.evaluation


class Phase(Closed):
    """One traffic phase: an arrival process under a cap on requests in flight."""

    name: Name
    arrivals: Literal["burst", "constant", "poisson", "gamma"]
    rate_per_s: float | None = Field(default=None, gt=0)
    shape: float | None = Field(
        default=None, gt=0, description="of gamma gaps: their CV is 1 / sqrt(shape)"
    )
    concurrency: int = Field(ge=1, description="requests in flight at most")
    requests: int = Field(ge=1)

    @model_validator(mode="after")
    def _rate_goes_with_arrivals(self) -> Phase:
        if (self.rate_per_s is None) != (self.arrivals == "burst"):
            raise ValueError("rate_per_s goes with every kind but burst")
        if (self.shape is None) != (self.arrivals != "gamma"):
            raise ValueError("shape goes with gamma only")
        return self


class Scenario(Closed):
    """A serving scenario (paper Tables 1 and 7)."""

    id: Name
    name: str
    title: str = Field(default="", description="of figures; by default id and name")
    mission: str
    input_tokens: int = Field(ge=1)
    output_tokens: int = Field(ge=1)
    range_ratio: float = Field(gt=0, le=1, description="lengths lie in [ratio L, L]")
    temperature: float = Field(ge=0)
    ignore_eos: bool
    max_model_tokens: int = Field(ge=2)
    objective: str = Field(description="one of metrics.objectives")
    phases: tuple[Phase, ...] = Field(min_length=1)

    def starts(self, *, replay: bool) -> tuple[int, ...]:
        """First request of each phase in the request set, and the set's size last.

        Args:
            replay: every phase sends the same requests, as the original does; else
                each has its own, so that no phase finds another's prefix cache warm.
        """
        counts = [p.requests for p in self.phases]
        if replay:
            return (*(0 for _ in counts), max(counts))
        return tuple(itertools.accumulate(counts, initial=0))


class PaperScenario(Scenario):
    """A scenario file: the workload and the seed pairs, which agents never see."""

    seed_pairs: tuple[SeedPair, ...] = Field(min_length=1)

    @property
    def workload(self) -> Scenario:
        """The scenario without its seeds."""
        return Scenario.model_validate(self.model_dump(exclude={"seed_pairs"}))


class PhaseScale(Closed):
    """What a profile changes in one phase."""

    rate_per_s: float | None = Field(default=None, gt=0)
    concurrency: int | None = Field(default=None, ge=1)
    requests: int | None = Field(default=None, ge=1)


class Scale(Closed):
    """What a profile changes in a scenario; everything else stays the paper's."""

    input_tokens: int | None = Field(default=None, ge=8)
    output_tokens: int | None = Field(default=None, ge=2)
    phases: dict[str, PhaseScale] = Field(default_factory=dict)

    def apply(self, scenario: PaperScenario, max_model_tokens: int) -> PaperScenario:
        """Scale a scenario to a profile and to its model's context."""
        phases = []
        for phase in scenario.phases:
            change = self.phases.get(phase.name, PhaseScale())
            phases.append(phase.model_copy(update=change.model_dump(exclude_none=True)))
        update: dict[str, object] = {
            "phases": tuple(phases),
            "max_model_tokens": min(scenario.max_model_tokens, max_model_tokens),
        }
        for key in ("input_tokens", "output_tokens"):
            if getattr(self, key) is not None:
                update[key] = getattr(self, key)
        return scenario.model_copy(update=update)
