"""One study: model, questions, isolation, and everything else by name."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ibench.params.measure import Budget, Limits, Measure, Stat
from ibench.params.methods import CONTROL, Method
from ibench.params.pairing import Pairing
from ibench.params.scenario import Scale
from ibench.params.shape import Shape
from ibench.params.types import Commit, Name, Value
from ibench.records import Closed

__all__ = ["BaseProfile", "Isolation", "ModelSpec", "Profile", "QuestionsSpec"]


class ModelSpec(Closed):
    """The base model every submission must serve."""

    kind: Literal["embedded", "hub"]
    model_id: str = Field(description="id that the server should report")
    repository: str | None = None
    revision: Commit | None = None
    max_model_tokens: int = Field(ge=2)
    shape: Shape | None = Field(
        default=None,
        exclude=True,  # judged by, never measured by: no run id depends on it
        description="dimensions of a dense decoder, for rooflines",
    )

    @model_validator(mode="after")
    def _hub_models_are_pinned(self) -> ModelSpec:
        if self.kind == "hub" and not (self.repository and self.revision):
            raise ValueError("a hub model needs repository and a 40-digit revision")
        return self


class QuestionsSpec(Closed):
    """The quality questions of a profile."""

    source: Literal["embedded", "mmlu-pro"]
    revision: Commit | None = None
    n: int = Field(ge=2)
    seed: int
    development_n: int = Field(ge=2, description="disjoint set that agents may see")
    concurrency: int = Field(ge=1)

    @model_validator(mode="after")
    def _hub_questions_are_pinned(self) -> QuestionsSpec:
        if self.source != "embedded" and self.revision is None:
            raise ValueError("hub questions need a 40-digit revision")
        return self


class Isolation(Closed):
    """How submissions and agents are kept apart from the host."""

    runtime: Literal["auto", "none", "bwrap", "apptainer", "podman"] = Field(
        default="auto", description="auto: bwrap where it works, else process groups"
    )
    memory_mib: int | None = Field(
        default=None, gt=0, description="private resident memory of one sandbox"
    )
    disk_mib: int | None = Field(
        default=None, gt=0, description="writable folder, and the private /tmp"
    )


class BaseProfile(Closed):
    """What the profile of any benchmark says; each benchmark's has more."""

    name: Name
    description: str
    benchmark: str = Field(
        default="inference", description="whose profile it is: a registered benchmark"
    )


class Profile(BaseProfile):
    """One study of InferenceBench: everything that a run needs to know."""

    host: Name = Field(description="what it is measured on: params/hosts")
    model: str
    documents: Literal["stdlib", "longbench-v2"]
    documents_revision: Commit | None = None
    scenarios: tuple[Name, ...] = Field(
        min_length=1, description="files of params/scenarios"
    )
    seed_pairs: int = Field(ge=1, description="how many of the scenario's pairs")
    scale: dict[str, Scale] = Field(default_factory=dict)
    baseline_engine: str
    baseline_config: dict[str, Value] = Field(default_factory=dict)
    baseline_repeats: int = Field(
        default=1, ge=1, description="server lives whose mean is the baseline"
    )
    methods: tuple[Method, ...] = Field(min_length=1)
    questions: QuestionsSpec
    measure: Measure
    pairing: Pairing = Pairing()
    budget: Budget
    limits: Limits
    gates: str
    statistics: Stat
    isolation: Isolation = Isolation()
    compat: Literal["ibench", "upstream"] = Field(
        default="ibench",
        description="upstream: request sets are drawn exactly as the original draws "
        "them (one pool, no repair of cuts, shared warm-up), and nothing else changes: "
        "`measure.tpot: words` and `confirm_top: 0` are keys of their own",
    )

    @model_validator(mode="after")
    def _hub_documents_are_pinned(self) -> Profile:
        if self.documents != "stdlib" and self.documents_revision is None:
            raise ValueError("hub documents need documents_revision, 40 digits")
        return self

    @model_validator(mode="after")
    def _method_names_are_unique(self) -> Profile:
        names = [m.name for m in self.methods]
        if len(set(names)) != len(names) or "baseline" in names:
            raise ValueError("method names must be unique and not 'baseline'")
        return self

    @model_validator(mode="after")
    def _one_control_at_most(self) -> Profile:
        kinds = [str(m.kind) for m in self.methods]
        if kinds.count(CONTROL) > 1:
            raise ValueError("one method of kind 'control' is enough: leave one")
        if kinds == [CONTROL]:
            raise ValueError("a control alone competes with nobody: add a method")
        return self
