"""One traffic phase: the client's cost and error bars, the numbers, the GPUs."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from ibench.records.base import Closed, Sha256

__all__ = [
    "Calibration", "ClientCost", "ClientHealth", "EnergySource", "GpuUse",
    "PhaseSummary", "Range", "StoppedEarly",
]  # fmt: skip


class ClientCost(Closed):
    """What a run cost the client, and how it took the time."""

    timestamp_source: Literal["kernel", "user"] = Field(
        description="kernel: every read has a kernel stamp"
    )
    processes: int = Field(ge=1, description="that sent")
    cpu_s: float = Field(description="processor time of the sending loops together")
    clock_drift_s: float | None = Field(
        description="wall clock against monotonic, where stamps had to be moved"
    )
    resent: int = Field(
        description="asked again because an idle connection had been closed"
    )


class ClientHealth(ClientCost):
    """How exact the client was in one phase: its measured error bars."""

    chunks: int
    coalesced_chunks: int = Field(description="came out of one read with an earlier")
    chunks_per_s: float
    cpu_s_per_chunk: float | None
    cpu_share: float = Field(description="of one core, of the busiest process")
    read_lag_p50_s: float | None = Field(description="read stamp minus kernel stamp")
    read_lag_p99_s: float | None
    read_lag_max_s: float | None
    send_lag_p50_s: float | None = Field(description="sent minus ready")
    send_lag_p99_s: float | None
    send_lag_max_s: float | None
    queue_p50_s: float | None = Field(description="due, waiting for a slot")
    queue_p99_s: float | None


class Calibration(Closed):
    """The client against the null server, whose log is the truth."""

    when: Literal["before", "after"]
    timestamp_source: Literal["kernel", "user"]
    requests: int
    chunks: int
    ttft_bias_s: float = Field(description="mean of measured minus true TTFT")
    ttft_sigma_s: float
    ttft_error_p99_s: float
    itl_bias_s: float
    itl_sigma_s: float
    chunk_error_p99_s: float = Field(description="of chunk times, absolute")
    cpu_s_per_chunk: float
    ceiling_chunks_per_s: float = Field(description="at the declared share of a core")


class Range(Closed):
    """An interval at the summary's confidence."""

    low: float
    high: float


class StoppedEarly(Closed):
    """What sequential stopping saved against the fixed request count."""

    planned_requests: int
    done_requests: int
    saved_server_s: float = Field(description="at the mean time a request took")


class PhaseSummary(Closed):
    """Numbers of one traffic phase; formulas in docs/metrics.md."""

    name: str
    arrivals: str
    concurrency: int
    arrivals_sha256: Sha256
    requests: int
    completed: int
    failures: dict[str, int]
    wall_s: float
    offered_rate_per_s: float | None
    achieved_rate_per_s: float | None = Field(
        default=None, description="of sending: (n - 1) / (last - first)"
    )
    ttfb_p50_s: float | None = None
    ttft_visible_p50_s: float | None = Field(
        default=None, description="first content or tool text"
    )
    ttft_scheduled_p50_s: float | None = Field(
        default=None, description="TTFT from the scheduled instant"
    )
    ttft_scheduled_p99_s: float | None = None
    ttft_p50_s: float | None
    ttft_p90_s: float | None
    ttft_p99_s: float | None
    ttft_mean_s: float | None
    tpot_p50_s: float | None
    tpot_p90_s: float | None
    tpot_p99_s: float | None
    itl_p50_s: float | None
    itl_p99_s: float | None
    latency_p50_s: float | None
    ttft_all_p50_s: float | Literal["inf"] | None = Field(
        default=None, description="failed requests count as infinite"
    )
    ttft_all_p99_s: float | Literal["inf"] | None = None
    request_rate_per_s: float
    token_rate_per_s: float
    goodput_per_s: float
    output_tokens: int
    more: dict[str, float | Literal["inf"] | None] = Field(
        default_factory=dict,
        description="numbers of metrics.phase that have no field here, by name",
    )
    cache_hit_rate: float | None = Field(
        default=None, description="cached share of the prompt tokens, where reported"
    )
    confidence: float | None = Field(default=None, description="of the ranges")
    ttft_p50_range_s: Range | None = None
    tpot_p50_range_s: Range | None = None
    request_rate_range_per_s: Range | None = None
    client: ClientHealth | None = None
    calibration: tuple[Calibration, ...] = ()
    stopped_early: StoppedEarly | None = None
    invalid: tuple[str, ...] = Field(
        default=(), description="why this point must not be used; empty: it may"
    )


EnergySource: TypeAlias = Literal["counter", "power", "mixed"]


class GpuUse(Closed):
    """What the GPUs of a machine were used for during one run."""

    gpus: tuple[str, ...] = Field(description="Names, by NVML index.")
    samples: int = Field(ge=1, description="How often memory was read.")
    peak_mib: float | None = Field(
        description="Largest sum over the processes at one sample, MiB."
    )
    peak_mib_by_pid: dict[int, float | None] = Field(
        description="Largest memory of each process over all GPUs, MiB."
    )
    energy_j: float | None = Field(description="Of all GPUs together, joules.")
    energy_source: EnergySource | None = Field(
        description="The GPUs' own counters, integrated power samples, or both."
    )
