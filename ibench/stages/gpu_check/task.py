"""What one call of the command will do; all of it is checked before it starts."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ibench.errors import UserError
from ibench.params import Scenario
from ibench.params.engines import Engine
from ibench.params.shape import Shape
from ibench.records import sha256_of
from ibench.stages.gpu_check.hardware import Machine
from ibench.stages.gpu_check.record import CheckRecord
from ibench.stages.gpu_check.settings import (
    EngineRun,
    GpuCheck,
    ScenarioId,
    needed_gpu_bytes,
)

__all__ = ["CheckRun", "Task"]


@dataclass(frozen=True)
class Task:
    """One engine and the scenarios it is asked, with the seeds of their requests."""

    engine: Engine
    run: EngineRun
    scenarios: dict[ScenarioId, tuple[Scenario, int]]


@dataclass(frozen=True)
class CheckRun:
    """Settings, machine, what is asked of whom, and where things are kept.

    Args:
        engines: all of the settings; ``tasks`` are those asked for in this call.
    """

    settings: GpuCheck
    shape_name: str
    machine: Machine
    engines: tuple[Engine, ...]
    tasks: tuple[Task, ...]
    cache: Path
    folder: Path
    say: Callable[[str], None]

    @property
    def shape(self) -> Shape:
        """Of the model."""
        return self.settings.shapes[self.shape_name]

    def refuse_small_gpu(self) -> None:
        """Make sure that what is asked for can fit.

        Raises:
            UserError: the GPU holds less than weights and KV need.
        """
        there_mib = self.machine.hardware.memory_mib
        asked = [s for task in self.tasks for s, _ in task.scenarios.values()]
        if there_mib is None or not asked:
            return
        needed = needed_gpu_bytes(self.shape, asked)
        if there_mib * 2**20 < needed:
            raise UserError(
                f"gpu-check: {self.machine.hardware.name}: {there_mib / 1024:.1f} GiB, "
                f"weights and KV of {self.shape_name} need {needed / 2**30:.1f}: leave "
                "scenarios out with --scenarios, or take a larger GPU"
            )

    def fresh(self) -> CheckRecord:
        """A record with nothing in it.

        Its key covers what decides the numbers: what is asked of every engine, asked
        for in this call or not, the card and the versions.
        """
        hardware = self.machine.hardware
        settings = self.settings.model_dump(mode="json", exclude={"shapes"})
        decides = {
            "settings": settings | {"shape": self.shape.model_dump(mode="json")},
            "engines": [e.model_dump(mode="json") for e in self.engines],
            "hardware": hardware.model_dump(mode="json", exclude={"notes"}),
            "python": platform.python_version(),
            "ibench": version("ibench"),
        }
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return CheckRecord(
            key=sha256_of(decides),
            begun_utc=now,
            shape_name=self.shape_name,
            shape=self.shape,
            hardware=hardware,
            card=self.machine.card,
            published=self.settings.published,
        )
