"""The event table of one run, and what is said about it: closed, frozen models.

``None`` means unknown, never zero. Every count carries the indices of the events it was
counted from, so that a reader can look. An event is a named tuple, not a model: a run
has tens of thousands, and ``reading`` makes them from values it has checked.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, get_args

from pydantic import Field

from ibench.records import Closed

__all__ = [
    "FAMILIES", "OPERATIONAL", "OPTIMIZATION", "AgentRun", "BestSeen", "Count",
    "Episode", "Event", "EventKind", "Family", "Measured", "Outcome", "RunFacts",
    "Source", "Technique", "Tier", "outcome_of", "tier_of",
]  # fmt: skip

EventKind: TypeAlias = Literal[
    "message", "reasoning", "tool_call", "tool_result", "system"
]
Source: TypeAlias = Literal["system", "user", "agent", "tool"]
Tier: TypeAlias = Literal["operational", "optimization"]
Operational: TypeAlias = Literal[
    "inspecting",
    "installing",
    "launching",
    "evaluating",
    "debugging",
    "monitoring",
    "finalising",
]
Optimization: TypeAlias = Literal[
    "hyperparameters",
    "quantization",
    "speculative_decoding",
    "chunked_prefill",
    "prefix_caching",
    "kv_cache",
    "attention_backend",
    "compilation",
    "engine_selection",
    "custom_kernels",
]
Family: TypeAlias = Operational | Optimization
Outcome: TypeAlias = Literal[
    "ok", "quality", "integrity", "unreachable", "incomplete", "unknown"
]
OPERATIONAL: tuple[Family, ...] = get_args(Operational)
OPTIMIZATION: tuple[Family, ...] = get_args(Optimization)
FAMILIES = OPERATIONAL + OPTIMIZATION


def outcome_of(value: object) -> Outcome:
    """Take a scorer's word; any other value is ``unknown``."""
    return next((o for o in get_args(Outcome) if o == value), "unknown")


def tier_of(family: Family) -> Tier:
    """Say which of the two tiers a family belongs to."""
    return "operational" if family in OPERATIONAL else "optimization"


class Event(NamedTuple):
    """One row of the event table.

    Attributes:
        run_id: the run.
        index: order in the run, from 0.
        t_s: seconds since the run's first stamped event.
        kind: what it is.
        source: whose it is.
        tool: as the scaffold names it.
        text: command or text, head and tail of a long one.
        length: characters before it was cut.
        path: file that a call writes.
        exit_code: of a result.
        is_error: as the scaffold says.
        call: index of the call that a result answers.
    """

    run_id: str
    index: int  # type: ignore[assignment]  # hides a method of tuples, which is meant
    t_s: float | None
    kind: EventKind
    source: Source
    tool: str | None
    text: str
    length: int
    path: str | None = None
    exit_code: int | None = None
    is_error: bool | None = None
    call: int | None = None

    @property
    def is_cut(self) -> bool:
        """Whether characters are missing from ``text``."""
        return self.length > len(self.text)


class AgentRun(Closed):
    """Where a run comes from and what its scorer said."""

    run_id: str
    layout: Literal["public", "atif", "session", "stream"]
    source: str = Field(description="file of the events, below the folder read")
    agent: str = "unknown"
    scaffold: str | None = None
    scenario: str = "unknown"
    seeds: str = ""
    budget_s: float | None = None
    used_s: float | None = None
    outcome: Outcome = "unknown"
    objective: float | None = Field(default=None, description="final, larger is better")
    baseline: float | None = Field(default=None, description="in the same unit")
    launcher: str | None = Field(default=None, description="start_server.sh as left")
    launcher_sha256: str | None = None

    @property
    def speedup(self) -> float | None:
        """Objective over baseline; of runs that passed only."""
        if self.outcome != "ok" or self.objective is None or not self.baseline:
            return None
        return self.objective / self.baseline


class Episode(Closed):
    """Consecutive events with one intent."""

    run_id: str
    index: int = Field(ge=0)
    first: int = Field(description="index of its first event")
    last: int = Field(description="index of its last event")
    t_start_s: float | None
    t_end_s: float | None
    family: Family
    tier: Tier
    engine: str | None
    evidence: tuple[str, ...] = Field(description="short quotes that led to the label")
    confidence: float = Field(ge=0, le=1)
    had_launch: bool
    had_eval: bool
    score: float | None = Field(description="objective of its last evaluation")
    summary: str = ""


class Count(Closed):
    """A number and the events it counts."""

    n: int
    events: tuple[int, ...] = ()


class Measured(Closed):
    """One number found in a tool's output."""

    event: int
    t_s: float | None
    metric: str = Field(description="objective, ttft_s, tpot_s, rate_per_s, ...")
    value: float
    is_evaluation: bool = Field(description="printed by a run of the evaluator")
    is_quick: bool = False
    accuracy: float | None = None
    config: str | None = Field(default=None, description="configuration it belongs to")


class BestSeen(Closed):
    """The best objective an evaluation printed."""

    value: float
    event: int
    is_quick: bool
    config: str | None


class Technique(Closed):
    """How far a technique came in one run."""

    name: str
    mentioned: Count
    launched: Count = Field(description="launches whose arguments turn it on")


class RunFacts(Closed):
    """What the rules say of one run."""

    run_id: str
    launches: Count
    relaunches_unchanged: Count
    distinct_configs: Count = Field(description="first launch of each")
    engine_shipped: str | None
    shipped_config: str | None
    techniques: tuple[Technique, ...]
    evaluations: Count
    measurements: tuple[Measured, ...]
    best_seen: BestSeen | None
    shipped_value: float | None = Field(description="last measurement of what shipped")
    shipped_measured: bool | None
    failure_modes: dict[str, tuple[int, ...]]
    outcome: Outcome
