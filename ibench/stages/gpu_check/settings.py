"""``params/gpu-check.yaml``: shapes, engines, request counts, the paper's baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from ibench.errors import ParameterError
from ibench.params import Measure, PaperScenario, Scenario
from ibench.params.engines import Setting
from ibench.params.files import load_yaml, named
from ibench.params.shape import Shape
from ibench.records import Closed

__all__ = [
    "Device", "EngineRun", "GpuCheck", "PaperBaseline", "ScenarioId", "load_settings",
    "needed_gpu_bytes", "shortened",
]  # fmt: skip

Device: TypeAlias = Literal["cuda", "cpu"]
ScenarioId: TypeAlias = Literal["a", "b", "c", "d"]
_MIN_INPUT, _MIN_OUTPUT = 64, 16  # room for template and nonce; TPOT needs some tokens
_CONTEXT_BYTES = 2 * 2**30  # CUDA context, activations, logits: an estimate


class EngineRun(Closed):
    """How one engine is launched on each device, and how much it is asked."""

    config: dict[Device, dict[str, Setting]]
    requests: dict[ScenarioId, dict[str, int]] = Field(description="by phase")

    @model_validator(mode="after")
    def _is_whole(self) -> EngineRun:
        if sorted(self.config) != ["cpu", "cuda"] or sorted(self.requests) != [*"abcd"]:
            raise ValueError("config needs cuda and cpu, requests need a, b, c and d")
        return self


class PaperBaseline(Closed):
    """The paper's PyTorch baseline: one number a scenario, the one that scores it."""

    source: str
    hardware: str
    a_ttft_s: float = Field(gt=0)
    b_tpot_s: float = Field(gt=0)
    c_request_rate_per_s: float = Field(gt=0)
    d_objective: float = Field(gt=0)

    def objective(self, scenario: ScenarioId) -> float:
        """Objective of a scenario, larger is better (``metrics.objective``)."""
        return {
            "a": 1 / self.a_ttft_s,
            "b": 1 / self.b_tpot_s,
            "c": self.c_request_rate_per_s,
            "d": self.d_objective,
        }[scenario]


class GpuCheck(Closed):
    """The whole file."""

    seed: int = Field(ge=0, description="of the weights")
    shapes: dict[str, Shape]
    engines: dict[str, EngineRun]
    warmup_output_tokens: int = Field(ge=2, description="warm-up answers are cut")
    measure: Measure
    published: PaperBaseline


def load_settings(params: Path) -> GpuCheck:
    """Read the file.

    Raises:
        ParameterError: anything in it that is unknown, missing or mistyped.
    """
    return load_yaml(GpuCheck, params / "gpu-check.yaml")


def shortened(
    params: Path, name: ScenarioId, shape: Shape, requests: dict[str, int]
) -> tuple[Scenario, int]:
    """A scenario with few requests, and the seed of its requests.

    Lengths are the scenario's own, divided by the shape's divisor; concurrency and
    rates are untouched.

    Args:
        params: the parameter folder.
        name: of the scenario.
        shape: gives divisor and context.
        requests: by phase, for every phase.

    Raises:
        ParameterError: phases other than the scenario's, or none of them.
    """
    full = load_yaml(PaperScenario, named(params / "scenarios", name))
    phases = [phase.name for phase in full.phases]
    if sorted(requests) != sorted(phases) or min(requests.values()) < 1:
        raise ParameterError(
            params / "gpu-check.yaml",
            f"requests.{name}",
            requests,
            f"give each phase a count of 1 or more: {', '.join(phases)}",
        )
    divisor = shape.tokens_divisor
    cut = {
        "phases": tuple(
            p.model_copy(update={"requests": requests[p.name]}) for p in full.phases
        ),
        "max_model_tokens": min(full.max_model_tokens, shape.max_position_embeddings),
        "input_tokens": full.input_tokens,
        "output_tokens": full.output_tokens,
    }
    if divisor > 1:
        cut["input_tokens"] = max(_MIN_INPUT, full.input_tokens // divisor)
        cut["output_tokens"] = max(_MIN_OUTPUT, full.output_tokens // divisor)
    return full.workload.model_copy(update=cut), full.seed_pairs[0].seed("dev")


def needed_gpu_bytes(shape: Shape, scenarios: Sequence[Scenario]) -> int:
    """Weights, the KV of the fullest moment of any phase, and room to compute.

    The fullest moment: every slot holds the longest prompt and the longest answer.
    """
    tokens = max(
        min(p.concurrency, p.requests) * (s.input_tokens + s.output_tokens)
        for s in scenarios
        for p in s.phases
    )
    return shape.weight_bytes + tokens * shape.kv_bytes_per_token + _CONTEXT_BYTES
