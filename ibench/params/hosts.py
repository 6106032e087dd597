"""Hosts: what a study is measured on, what that needs and what an hour of it costs."""

from __future__ import annotations

from pydantic import Field, model_validator

from ibench.records import Closed, LifeSpread

__all__ = ["Host"]


class Host(Closed):
    """A kind of machine that holds one GPU for a study, or none.

    Its name is part of the spec of every measured stage: a baseline counts for the
    host it was measured on and for no other.
    """

    name: str
    description: str
    gpu: str | None = Field(description="pattern of the name as NVML gives it")
    gpu_memory_gib: float = Field(ge=0, description="at least, as NVML gives it")
    gpu_power_limit_w: float = Field(ge=0, description="at least")
    gpu_bandwidth_gb_per_s: float | None = Field(
        default=None, gt=0, description="memory, 10^9 bytes; datasheet, for rooflines"
    )
    gpu_bf16_tflops: float | None = Field(
        default=None, gt=0, description="dense matrix peak; datasheet, for rooflines"
    )
    min_driver: str | None = Field(pattern=r"^\d+(\.\d+)*$")
    cpus: int = Field(ge=1)
    memory_gib: float = Field(gt=0)
    disk_gib: float = Field(gt=0, description="free, for model, data and results")
    dollars_per_hour: float = Field(ge=0)
    life_spread: dict[str, LifeSpread] = Field(
        default_factory=dict,
        description="by scenario: how far server lives differ on a quiet host of this "
        "kind, as `make bench-aa` measured it (metrics.speedup)",
    )

    @model_validator(mode="after")
    def _driver_goes_with_gpu(self) -> Host:
        if (self.gpu is None) != (self.min_driver is None):
            raise ValueError("min_driver goes with gpu")
        if (self.gpu_bandwidth_gb_per_s is None) != (self.gpu_bf16_tflops is None):
            raise ValueError("gpu_bandwidth_gb_per_s goes with gpu_bf16_tflops")
        return self
