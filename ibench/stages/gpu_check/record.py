"""The record of a check: written anew after every scenario, read to go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from ibench.errors import CorruptResultError
from ibench.files import write_atomic
from ibench.metrics.roofline import Bounds, Card
from ibench.params.shape import Shape
from ibench.records import Closed, GpuUse, Sha256
from ibench.stages.gpu_check.hardware import Hardware
from ibench.stages.gpu_check.settings import PaperBaseline, ScenarioId

__all__ = [
    "RECORD",
    "CheckRecord",
    "PhaseFound",
    "ScenarioFinding",
    "resume",
    "write_check",
]

RECORD = "record.json"


class PhaseFound(Closed):
    """One phase: what was asked, what came, the best that the card allows."""

    name: str
    concurrency: int
    requests: int
    completed: int
    failures: dict[str, int]
    input_tokens_mean: float
    output_tokens: int = Field(description="of completed requests, as tokens_from says")
    tokens_from: tuple[str, ...]
    wall_s: float
    ttft_p50_s: float | None
    tpot_p50_s: float | None
    request_rate_per_s: float
    timestamp_source: str | None = Field(description="of the client: kernel or user")
    invalid: tuple[str, ...] = Field(description="why the client's times do not count")
    bounds: Bounds | None = Field(description="None for a card without a datasheet")


class ScenarioFinding(Closed):
    """One engine on one scenario."""

    engine: str
    engine_version: str
    scenario: ScenarioId
    input_tokens: int = Field(description="of the longest prompt")
    output_tokens: int = Field(description="of the longest answer")
    outcome: Literal["measured", "failed"]
    reason: str = Field(default="", description="why it failed; no path, no address")
    ready_s: float | None = Field(default=None, description="launch to first answer")
    dialect: str | None = None
    phases: tuple[PhaseFound, ...] = ()
    objective: float | None = None
    objective_bound: float | None = None
    gpu: GpuUse | None = None
    energy_per_token_j: float | None = None
    wall_s: float | None = Field(default=None, description="warm-up included")


class CheckRecord(Closed):
    """Everything one card was found to do."""

    schema_version: Literal[1] = 1
    key: Sha256 = Field(description="of all that decides the numbers")
    begun_utc: str
    shape_name: str
    shape: Shape
    hardware: Hardware
    card: Card | None
    published: PaperBaseline
    findings: tuple[ScenarioFinding, ...] = ()

    def finding(self, engine: str, scenario: str) -> ScenarioFinding | None:
        """What was found for a pair, if it was tried."""
        return next(
            (f for f in self.findings if (f.engine, f.scenario) == (engine, scenario)),
            None,
        )

    def with_finding(self, found: ScenarioFinding) -> CheckRecord:
        """The record with a pair measured, again or for the first time."""
        others = [
            f
            for f in self.findings
            if (f.engine, f.scenario) != (found.engine, found.scenario)
        ]
        return self.model_copy(update={"findings": (*others, found)})


def write_check(folder: Path, record: CheckRecord) -> None:
    """Write the record, whole or not at all."""
    data = json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False)
    write_atomic(folder / RECORD, (data + "\n").encode())


def resume(folder: Path, fresh: CheckRecord) -> CheckRecord:
    """Go on with the record of the same key; one of another key is set aside.

    Raises:
        CorruptResultError: what stands there is no such record.
    """
    path = folder / RECORD
    if not path.is_file():
        return fresh
    try:
        found = CheckRecord.model_validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        raise CorruptResultError(
            f"{path}: not a record of this version: move it away and run again"
        ) from error
    if found.key == fresh.key:
        return found
    path.rename(folder / f"record-{found.key[:12]}.json")
    return fresh
