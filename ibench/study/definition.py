"""A study of InferenceBench: one profile with every file it names, as a grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ibench.errors import ParameterError, unknown_name
from ibench.metrics.objectives import OBJECTIVES
from ibench.metrics.roofline import roof_of
from ibench.params import (
    Agent,
    AgentMethod,
    Budget,
    Gates,
    Method,
    ModelSpec,
    PaperScenario,
    Profile,
    Scale,
    SearchSpace,
)
from ibench.params.engines import Engine, load_engine
from ibench.params.files import load_yaml, named
from ibench.params.hosts import Host
from ibench.records import (
    BaselineResult,
    Closed,
    Evidence,
    ScoreResult,
    StudyResult,
    Submission,
    Verdict,
)
from ibench.study.grid import Benchmark, Cell, Grid, Job

__all__ = ["INFERENCE", "Cell", "Job", "Study"]

ModelT = TypeVar("ModelT", bound=Closed)


class Study(Grid[Profile]):
    """A profile of InferenceBench with its files loaded and checked.

    Args:
        profile: name of a file in ``params/profiles``.
        params: the parameter folder.
        results: the results root; this profile writes below ``results/<profile>``.

    Raises:
        ParameterError: anything in the files that is unknown, missing or mistyped.
    """

    def __init__(self, profile: str, params: Path, results: Path) -> None:
        """Load everything the profile names, so that no stage can fail on it later."""
        super().__init__(Profile, profile, params, results)
        self.model = self._load(ModelSpec, "models", self.profile.model)
        self.host = self._load(Host, "hosts", self.profile.host)
        self.gates = self._load(Gates, "gates", self.profile.gates)
        self.scenarios: dict[str, PaperScenario] = {
            s: self._scenario(s) for s in self.profile.scenarios
        }
        for name in self.profile.scale:
            if name not in self.scenarios:
                path = self.profile_path
                raise unknown_name(path, "scale", name, self.profile.scenarios)
        self.baseline_engine = self.engine(self.profile.baseline_engine)
        self.method_specs = {m.name: self.method_spec(m) for m in self.profile.methods}

    def _load(self, model: type[ModelT], folder: str, name: str) -> ModelT:
        return load_yaml(model, named(self.params / folder, name))

    def engine(self, name: str) -> Engine:
        """Load one engine that this profile's host and patience allow.

        Raises:
            ParameterError: the engine needs CUDA and the host has no GPU, or the
                profile waits shorter than the engine takes.
        """
        engine = load_engine(self.params, name)
        if engine.requires == "cuda" and self.host.gpu is None:
            raise ParameterError(
                self.profile_path,
                "host",
                self.host.name,
                f"engine {name} needs CUDA and this host has no GPU: name another",
            )
        waits_s = self.profile.measure.ready_timeout_s
        if waits_s < engine.ready_s:
            raise ParameterError(
                self.profile_path,
                "measure.ready_timeout_s",
                waits_s,
                f"engine {name} needs {engine.ready_s:g} s to its first answer",
            )
        return engine

    @cached_property
    def process_patterns(self) -> dict[str, str]:
        """How every known engine's processes look, by its name."""
        names = sorted(p.stem for p in (self.params / "engines").glob("*.yaml"))
        engines = (load_engine(self.params, name) for name in names)
        return {engine.name: engine.process_pattern for engine in engines}

    def space(self, name: str) -> SearchSpace:
        """Load one search space of ``params/search``."""
        return self._load(SearchSpace, "search", name)

    def spaces(self, name: str) -> dict[str, SearchSpace]:
        """Load a space, or the parts of a joint one, by engine; each is checked.

        Raises:
            ParameterError: a part is joint itself, repeats an engine, or has a
                parameter that its engine has no flag for.
        """
        parts: dict[str, SearchSpace] = {}
        for part in self.space(name).joint or (name,):
            path = named(self.params / "search", part)
            space = self.space(part)
            if space.engine is None or space.engine in parts:
                raise ParameterError(
                    path,
                    "engine",
                    space.engine,
                    f"part of {name}: needs its own engine",
                )
            unknown = sorted(
                set(space.parameters) - set(self.engine(space.engine).flags)
            )
            if unknown:
                remedy = f"not flags of engine {space.engine}"
                raise ParameterError(path, "parameters", ", ".join(unknown), remedy)
            parts[space.engine] = space
        return parts

    def agent(self, name: str) -> Agent:
        """Load one agent of ``params/agents``."""
        return self._load(Agent, "agents", name)

    def prompt(self, name: str) -> str:
        """Read one prompt template of ``params/prompts``."""
        path = self.params / "prompts" / f"{name}.md"
        if not path.is_file():
            there = sorted(p.stem for p in path.parent.glob("*.md"))
            raise unknown_name(path.parent, "prompt", name, there)
        return path.read_text(encoding="utf-8")

    def method_agent(self, method: AgentMethod) -> Agent:
        """Load a method's agent, with the model and effort that the method names.

        Raises:
            ParameterError: a scripted agent has neither.
        """
        agent = self.agent(method.agent)
        given = {"model": method.model, "effort": method.effort}
        changes = {k: v for k, v in given.items() if v is not None}
        if not changes:
            return agent
        if agent.harbor is None:
            remedy = (
                f"agent {agent.name} is a script: it has no {' and '.join(changes)}"
            )
            raise ParameterError(self.profile_path, "methods", method.name, remedy)
        harbor = agent.harbor.model_copy(update=changes)
        return agent.model_copy(update={"harbor": harbor})

    def method_prompt(self, method: AgentMethod) -> str:
        """Join a method's prompt and the sections of its conditions."""
        names = (method.prompt, *method.conditions)
        return "".join(self.prompt(name) for name in names)

    def _scenario(self, name: str) -> PaperScenario:
        scenario = self._load(PaperScenario, "scenarios", name)
        if scenario.objective not in OBJECTIVES:
            path = self.params / "scenarios" / f"{name}.yaml"
            raise unknown_name(path, "objective", scenario.objective, OBJECTIVES)
        scale = self.profile.scale.get(name, Scale())
        for phase in scale.phases:
            if phase not in {p.name for p in scenario.phases}:
                raise ParameterError(
                    self.profile_path, f"scale.{name}.phases", phase, "no such phase"
                )
        if self.profile.seed_pairs > len(scenario.seed_pairs):
            raise ParameterError(
                self.profile_path,
                "seed_pairs",
                self.profile.seed_pairs,
                f"scenario {name} has {len(scenario.seed_pairs)}",
            )
        return scale.apply(scenario, self.model.max_model_tokens)

    def method_spec(self, method: Method) -> dict[str, Any]:
        """Everything that defines a method, with the files it names inlined.

        Raises:
            ParameterError: a file it names is missing, broken or of another engine.
        """
        spec: dict[str, Any] = {"method": method.model_dump(mode="json")}
        if method.kind == "agent":
            spec["agent"] = self.method_agent(method).model_dump(mode="json")
            spec["prompt"] = self.method_prompt(method)
            named_engines = (method.forced_engine, method.warm_engine)
            spec["engines"] = {
                n: self.engine(n).model_dump(mode="json") for n in named_engines if n
            }
            return spec
        if method.kind == "control":
            spec["engine"] = self.baseline_engine.model_dump(mode="json")
            spec["config"] = self.profile.baseline_config
            return spec
        if method.kind == "default":
            spec["engine"] = self.engine(method.engine).model_dump(mode="json")
            return spec
        spaces = self.spaces(method.space)
        if method.engine is not None and set(spaces) != {method.engine}:
            raise ParameterError(
                named(self.params / "search", method.space),
                "engine",
                ", ".join(spaces),
                f"method {method.name} is of engine {method.engine}",
            )
        spec["spaces"] = {n: s.model_dump(mode="json") for n, s in spaces.items()}
        spec["engines"] = {n: self.engine(n).model_dump(mode="json") for n in spaces}
        return spec

    def method(self, name: str) -> Method:
        """Look a method of the profile up.

        Raises:
            ParameterError: the profile has no such method.
        """
        for method in self.profile.methods:
            if method.name == name:
                return method
        there = [m.name for m in self.profile.methods]
        raise unknown_name(self.profile_path, "methods", name, there)

    @property
    def budget(self) -> Budget:
        """The profile's budgets."""
        return self.profile.budget

    def cells(self) -> Iterator[Cell]:
        """The grid: scenario by scenario, baseline first, seeds outside methods."""
        for name, scenario in self.scenarios.items():
            for seeds in scenario.seed_pairs[: self.profile.seed_pairs]:
                yield Cell(name, "baseline", seeds)
                for method in self.profile.methods:
                    yield Cell(name, method.name, seeds)

    def stages(self, cell: Cell) -> tuple[str, ...]:
        """Stages of one cell, upstream first."""
        if cell.method == "baseline":
            return ("baseline",)
        return ("submission", "relaunch", "gating")

    def needs(self, stage: str, cell: Cell) -> tuple[str, ...]:
        """Names of the jobs that a stage of a cell builds on."""
        base = Cell(cell.scenario, "baseline", cell.seeds)
        if stage == "relaunch":
            pairing = self.profile.pairing
            is_paired = pairing.kind == "alternate" or pairing.baseline_after
            beside = (f"{base.path}/baseline",) if is_paired else ()
            return (f"{cell.path}/submission", *beside)
        if stage == "gating":
            return (f"{cell.path}/relaunch", f"{base.path}/baseline")
        return ()

    def final_inputs(self, jobs: Mapping[str, Job]) -> dict[str, Job]:
        """All but submissions: the relaunch that was built on one covers it."""
        return {n: j for n, j in jobs.items() if j.stage != "submission"}

    def final_needs(self, jobs: Mapping[str, Job]) -> list[Job]:
        """Verdicts and what they divide by."""
        return [j for j in jobs.values() if j.stage in ("baseline", "gating")]

    def limit_s(self, stage: str) -> float:
        """Seconds after which a stage is ended, as the profile says."""
        limit_s: float = getattr(self.profile.limits, f"{stage}_s")
        return limit_s

    def spec(self, stage: str, cell: Cell | None) -> dict[str, Any]:
        """Everything that decides a stage's result, but for what it builds on."""
        if cell is None:
            return {"statistics": self.profile.statistics.model_dump(mode="json")}
        spec = self._shared_spec(stage, cell)
        if stage == "gating":
            return spec
        return {
            **spec,
            "seed": cell.seeds.seed("dev" if stage == "submission" else "eval"),
        }

    def _shared_spec(self, stage: str, cell: Cell) -> dict[str, Any]:
        profile = self.profile
        if stage == "gating":
            forced = getattr(self.method(cell.method), "forced_engine", None)
            demand = {"forced_engine": forced} if forced else {}
            host = self.host.life_spread.get(cell.scenario)
            if host is not None:
                demand["life_spread"] = host.model_dump(mode="json")
            roof = roof_of(self.host, self.model)
            if roof is not None:
                demand["roof"] = [part.model_dump(mode="json") for part in roof]
            return {"gates": self.gates.model_dump(mode="json")} | demand
        spec: dict[str, Any] = {
            "scenario": self.scenarios[cell.scenario].workload.model_dump(mode="json"),
            "model": self.model.model_dump(mode="json"),
            "documents": [profile.documents, profile.documents_revision],
            "questions": profile.questions.model_dump(mode="json"),
            "measure": profile.measure.model_dump(mode="json"),
            "compat": profile.compat,
            "host": profile.host,
            "isolation": profile.isolation.model_dump(mode="json"),
        }
        if stage == "submission":
            spec["budget"] = profile.budget.model_dump(mode="json")
            return spec | self.method_specs[cell.method]
        if stage == "baseline":
            spec["engine"] = self.baseline_engine.model_dump(mode="json")
            spec["config"] = profile.baseline_config
            spec["repeats"] = profile.baseline_repeats
        if stage == "relaunch":
            spec["pairing"] = profile.pairing.model_dump(mode="json")
        return spec


INFERENCE = Benchmark(
    name="inference",
    open=Study,
    notebooks={
        "baseline": "1_baseline.ipynb",
        "submission": "2_agent_run.ipynb",
        "relaunch": "3_relaunch_load_test.ipynb",
        "gating": "4_gating.ipynb",
        "aggregation": "5_aggregation.ipynb",
    },
    results=(
        BaselineResult,
        Submission,
        Evidence,
        Verdict,
        ScoreResult,
        StudyResult,
    ),
    measured=frozenset({"baseline", "submission", "relaunch"}),
)
"""InferenceBench: the first benchmark of the workbench."""
Study.benchmark = INFERENCE
