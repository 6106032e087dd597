"""A grid: cells, and the jobs that follow from them. Every benchmark's study is one.

The run id of a job is the SHA-256 of its spec, and a spec holds the run ids it builds
on: a changed parameter changes the ids downstream of it, and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from ibench.errors import ParameterError, unknown_name
from ibench.params import BaseProfile, SeedPair
from ibench.params.files import load_yaml, named
from ibench.records import Closed, register_results, sha256_of

__all__ = ["FINAL", "Benchmark", "Cell", "Grid", "Job"]

FINAL = "aggregation"
"""Name of the one stage over the whole grid, which every benchmark has."""
ProfileT = TypeVar("ProfileT", bound=BaseProfile)


@dataclass(frozen=True)
class Cell:
    """One point of a grid.

    Attributes:
        scenario: what is asked: a scenario, or another benchmark's task.
        method: who competes; ``baseline`` is what others are measured against.
        seeds: of everything that is drawn.
    """

    scenario: str
    method: str
    seeds: SeedPair

    @cached_property
    def path(self) -> Path:
        """Folder below the profile's results."""
        return Path(self.scenario, self.method, self.seeds.label)


@dataclass(frozen=True)
class Job:
    """One stage of one cell: what make builds, what the runner runs."""

    stage: str
    folder: Path
    spec: dict[str, Any]
    parameters: dict[str, str]
    needs: tuple[Path, ...]
    limit_s: float
    exclusive: bool
    cell: Cell | None

    @cached_property
    def run_id(self) -> str:
        """SHA-256 of the spec; no time, host or path is in it."""
        return sha256_of(self.spec)

    @cached_property
    def name(self) -> str:
        """Readable id within the profile, for example ``a/careful/21-1337/gating``."""
        return f"{self.cell.path}/{self.stage}" if self.cell else self.stage


@dataclass(frozen=True)
class Benchmark:
    """What a grid asks its benchmark before and while it runs.

    Attributes:
        name: as profiles write it under ``benchmark``.
        open: loads a profile by name, parameter folder and results root.
        notebooks: template by stage, below ``notebooks/`` or by its whole path;
            ``aggregation`` is among them.
        results: kinds of results that its stages publish.
        measured: stages that have the machine to themselves.
    """

    name: str
    open: Callable[[str, Path, Path], Grid[Any]]
    notebooks: Mapping[str, str]
    results: tuple[type[Closed], ...] = ()
    measured: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Make its results known to whoever reads records."""
        register_results(*self.results)


class Grid(ABC, Generic[ProfileT]):
    """A profile of any benchmark: where it lies, its cells and its jobs.

    Args:
        profile: name of a file in ``params/profiles``.
        params: the parameter folder.
        results: the results root; this profile writes below ``results/<profile>``.

    Raises:
        ParameterError: anything in the file that is unknown, missing or mistyped.
    """

    benchmark: ClassVar[Benchmark]

    def __init__(
        self, model: type[ProfileT], profile: str, params: Path, results: Path
    ) -> None:
        """Load the profile; what it names is its benchmark's to load."""
        self.params = params.resolve()
        self.results = results.resolve()
        self.profile_path = named(self.params / "profiles", profile)
        self.profile: ProfileT = load_yaml(model, self.profile_path)
        if self.profile.name != profile:
            raise ParameterError(
                self.profile_path, "name", self.profile.name, f"must be {profile!r}"
            )
        self.root = self.results / profile

    @abstractmethod
    def cells(self) -> Iterator[Cell]:
        """Points of the grid, in the order in which they are shown."""

    @abstractmethod
    def stages(self, cell: Cell) -> tuple[str, ...]:
        """Stages of one cell, upstream first."""

    @abstractmethod
    def needs(self, stage: str, cell: Cell) -> tuple[str, ...]:
        """Names of the jobs that a stage of a cell builds on."""

    @abstractmethod
    def spec(self, stage: str, cell: Cell | None) -> dict[str, Any]:
        """Everything that decides a stage's result, but for what it builds on."""

    def final_inputs(self, jobs: Mapping[str, Job]) -> dict[str, Job]:
        """Jobs whose run ids stand in the final stage's spec; by default all."""
        return dict(jobs)

    def final_needs(self, jobs: Mapping[str, Job]) -> list[Job]:
        """Jobs that the stage over the whole grid reads; by default all of them."""
        return list(jobs.values())

    @abstractmethod
    def limit_s(self, stage: str) -> float:
        """Seconds after which a stage is ended."""

    @cached_property
    def jobs(self) -> dict[str, Job]:
        """Every job by name, upstream before downstream."""
        jobs: dict[str, Job] = {}
        for cell in self.cells():
            for stage in self.stages(cell):
                needs = [jobs[name] for name in self.needs(stage, cell)]
                job = self._job(stage, cell, {j.stage: j for j in needs}, needs)
                jobs[job.name] = job
        built_on = self.final_inputs(jobs)
        jobs[FINAL] = self._job(FINAL, None, built_on, self.final_needs(jobs))
        return jobs

    def _job(
        self, stage: str, cell: Cell | None, inputs: Mapping[str, Job], needs: list[Job]
    ) -> Job:
        ids = {name: job.run_id for name, job in inputs.items()}
        return Job(
            stage=stage,
            folder=Path(self.root, cell.path if cell else "", stage),
            spec={"stage": stage, **self.spec(stage, cell), "inputs": ids},
            parameters=self._parameters(cell),
            needs=tuple(job.folder for job in needs),
            limit_s=self.limit_s(stage),
            exclusive=stage in self.benchmark.measured,
            cell=cell,
        )

    def _parameters(self, cell: Cell | None) -> dict[str, str]:
        """What a stage's notebook is given."""
        values = {
            "profile": self.profile.name,
            "params_dir": str(self.params),
            "results_dir": str(self.results),
        }
        if cell:
            values |= {"scenario": cell.scenario, "seeds": cell.seeds.label}
            if cell.method != "baseline":
                values["method"] = cell.method
        return values

    def job(self, name: str) -> Job:
        """Look a job up by name.

        Raises:
            ParameterError: this profile has no such job.
        """
        if name not in self.jobs:
            raise unknown_name(self.profile_path, "job", name, self.jobs)
        return self.jobs[name]
