"""A submission held against the baseline, life by life, and the machine meanwhile."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ibench.records.base import Closed
from ibench.records.phases import PhaseSummary

__all__ = ["HostProbe", "HostWatch", "LifeSpread", "Paired", "PairedLife", "Speedup"]


class HostProbe(Closed):
    """How quick the machine is at an instant: fixed pieces of work, seconds each.

    Medians over some tens of repetitions, on the cores that servers run on.
    """

    integer_s: float = Field(description="a loop of additions in the interpreter")
    copy_s: float = Field(description="32 MiB of memory to another place")
    matmul_s: float = Field(description="500 products of 48 x 48 float32 matrices")
    gpu_clock_mhz: float | None = Field(default=None, description="slowest GPU's SM")
    gpu_power_w: float | None = Field(default=None, description="of all GPUs")
    gpu_temperature_c: float | None = Field(default=None, description="hottest GPU's")
    gpu_throttle: tuple[str, ...] = Field(
        default=(), description="reasons for a lower clock that NVML names"
    )


class HostWatch(Closed):
    """The machine around one server life."""

    before: HostProbe
    after: HostProbe
    seconds: float = Field(description="between the two probes")
    steal_share: float = Field(description="of all cores' time, given to other guests")
    others_cores: float = Field(
        description="cores that were busy for neither the servers nor the client"
    )
    pressure_share: float | None = Field(
        description="time in which some process waited for a core (PSI); unknown "
        "where the kernel does not tell"
    )

    @property
    def drift(self) -> float:
        """Largest change of a probe, as a share: 0.1 is a tenth slower or quicker."""
        pairs = [
            (self.before.integer_s, self.after.integer_s),
            (self.before.copy_s, self.after.copy_s),
            (self.before.matmul_s, self.after.matmul_s),
        ]
        return max(max(a, b) / min(a, b) for a, b in pairs) - 1


class LifeSpread(Closed):
    """How far lives of one pair of servers differ on a quiet host of a kind."""

    sd: float = Field(gt=0, description="standard deviation of a life's log ratio")
    df: int = Field(ge=1, description="degrees of freedom that it was measured with")


class PairedLife(Closed):
    """One server life of the submission beside one of the baseline."""

    objective: float | None = Field(description="of the submission, in this life")
    baseline_objective: float | None = Field(description="of the baseline beside it")
    blocks: tuple[float, ...] = Field(
        default=(), description="submission over baseline, block by block of requests"
    )
    detail: str = Field(default="", description="why a number is missing")

    @property
    def ratio(self) -> float | None:
        """Speedup in this life."""
        if not self.objective or not self.baseline_objective:
            return None
        return self.objective / self.baseline_objective


class Paired(Closed):
    """All lives of a run, and what the baseline showed in them."""

    kind: Literal["alternate", "lives"]
    lives: tuple[PairedLife, ...]
    baseline_phases: tuple[PhaseSummary, ...] = Field(
        default=(), description="of the baseline beside it, all lives together"
    )
    baseline_failure_rate: float | None = None
    baseline_after: tuple[float, ...] = Field(
        default=(), description="objectives of baseline lives after the submission's"
    )


class Speedup(Closed):
    """A speedup over the baseline with its interval (docs/metrics.md, Speedup)."""

    value: float
    low: float | None = Field(description="None: too few lives for an interval")
    high: float | None
    confidence: float
    lives: int = Field(description="of the run, that the interval knows")
    blocks: int = Field(default=0, description="of requests within them")
    block_sd: float | None = Field(
        default=None, description="of the log ratio between blocks of one life"
    )
    life_sd: float | None = Field(
        default=None, description="of the log ratio between lives"
    )
    host_sd: float | None = Field(
        default=None, description="the same, as the host file states it"
    )
    unpaired: float | None = Field(
        default=None, description="objective over that of the baseline alone, stage 1"
    )
