"""What competes: default launches, searches, agent sessions; and a control."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from ibench.params.types import Name, Value
from ibench.records import Closed

__all__ = [
    "CONTROL", "AgentMethod", "ControlMethod", "DefaultMethod", "Method",
    "SearchMethod", "SearchSpace",
]  # fmt: skip

CONTROL = "control"
"""Kind of the method that is measured and does not compete."""


class ControlMethod(Closed):
    """The baseline's own launcher, taken through every stage as a competitor is.

    Its true speedup is 1.00: what the study measures instead is the study's error.
    """

    kind: Literal["control"]
    name: Name


class DefaultMethod(Closed):
    """An engine with its default flags."""

    kind: Literal["default"]
    name: Name
    engine: str


class SearchMethod(Closed):
    """Hyperparameter search over the space of one engine, or of several at once."""

    kind: Literal["search"]
    name: Name
    engine: str | None = Field(default=None, description="left out for a joint space")
    space: str
    sampler: Literal["random", "tpe", "smac"]
    rule: Literal["plain", "halving"] = "plain"
    eta: int = Field(default=3, ge=2, description="halving: one in eta is measured on")
    confirm_top: int = Field(
        default=0, ge=0, description="best trials to pass a full evaluation; 0: none is"
    )
    reserve_share: float = Field(
        default=0.25, ge=0, lt=1, description="of the budget, kept to confirm"
    )


class AgentMethod(Closed):
    """An agent session."""

    kind: Literal["agent"]
    name: Name
    agent: str
    prompt: str
    model: str | None = Field(
        default=None, description="provider/model instead of the agent file's"
    )
    effort: str | None = Field(default=None, description="instead of the agent file's")
    conditions: tuple[str, ...] = Field(
        default=(), description="sections of params/prompts added to the prompt"
    )
    forced_engine: str | None = Field(
        default=None, description="a server of another engine scores 1.00x"
    )
    warm_engine: str | None = Field(
        default=None, description="its default launcher lies in the workspace"
    )

    @model_validator(mode="after")
    def _engines_go_with_their_sections(self) -> AgentMethod:
        for section in ("forced", "warm"):
            engine = getattr(self, f"{section}_engine")
            if (section in self.conditions) != (engine is not None):
                raise ValueError(f"{section}_engine goes with condition {section}")
        return self


Method: TypeAlias = Annotated[
    ControlMethod | DefaultMethod | SearchMethod | AgentMethod,
    Field(discriminator="kind"),
]


class SearchSpace(Closed):
    """A grid of values by flag name; single values are fixed, not searched.

    A joint space names the spaces of several engines instead: the engine is searched
    too, and each engine's flags where it is chosen.
    """

    engine: str | None = None
    source: str
    parameters: dict[str, tuple[Value, ...]] = Field(default_factory=dict)
    joint: tuple[str, ...] = Field(default=(), description="names of other spaces")

    @model_validator(mode="after")
    def _one_form(self) -> SearchSpace:
        single = self.engine is not None and bool(self.parameters)
        if single == bool(self.joint) or (self.joint and self.engine):
            raise ValueError("give engine and parameters, or joint alone")
        if len(self.joint) == 1 or not all(self.parameters.values()):
            raise ValueError("joint needs two spaces, a parameter at least one value")
        return self
