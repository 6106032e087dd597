"""How a server is measured and judged, and the budgets of a study."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ibench.records import Closed

__all__ = [
    "Budget",
    "ClientSpec",
    "Gates",
    "JudgeSpec",
    "Limits",
    "Measure",
    "Stat",
    "Stopping",
]


class ClientSpec(Closed):
    """The load client, and how exact it must be for a point to count."""

    kind: Literal["kernel", "httpx"] = Field(
        default="kernel",
        description="Load client; kernel falls back to httpx where it cannot run.",
    )
    processes: int = Field(
        default=1, ge=1, le=64, description="Sending processes, each on its core."
    )
    nonce: bool = Field(
        default=True, description="Put a nonce at the head of every prompt."
    )
    calibrate: bool = Field(
        default=True, description="Measure the null server before and after."
    )
    confidence: float = Field(
        default=0.95, gt=0, lt=1, description="Confidence of the intervals."
    )
    max_error_share: float = Field(
        default=0.05,
        gt=0,
        description="Largest send lag p99 and TTFT bias, as a share of the TTFT p50.",
    )
    max_cpu_share: float = Field(
        default=0.7, gt=0, le=1, description="Largest share of one core for a process."
    )
    max_read_lag_p99_s: float = Field(
        default=0.001, gt=0, description="Largest read lag p99 in seconds."
    )
    max_cache_hit_rate: float = Field(
        default=0.05, ge=0, le=1, description="Largest share of prompt tokens cached."
    )


class Stopping(Closed):
    """Send until the objective's number is known well enough, at most ``requests``."""

    relative_half_width: float = Field(gt=0, lt=1)
    minimum_requests: int = Field(ge=20)


class Measure(Closed):
    """How a server is measured, the same for every method."""

    warmup_requests: int = Field(ge=1)
    request_timeout_s: float = Field(gt=0)
    ready_timeout_s: float = Field(gt=0)
    min_length_ratio: float = Field(gt=0, le=1, description="shorter output fails")
    replay_phases: bool = Field(
        default=False, description="phases share their requests (the original's way)"
    )
    ttft_slo_s: float = Field(gt=0)
    tpot_slo_s: float = Field(gt=0)
    tpot: Literal["tokens", "words"] = Field(
        default="tokens",
        description="words: the original's, which counts words for tokens",
    )
    client: ClientSpec = ClientSpec()
    stopping: Stopping | None = None


class Budget(Closed):
    """Wall-clock budgets of stage 2."""

    agent_s: float = Field(gt=0)
    search_s: float = Field(gt=0)
    trial_requests: int = Field(ge=1, description="requests of a quick evaluation")
    trial_limit_s: float = Field(gt=0)
    grace_s: float = Field(ge=0, description="TERM to KILL at the deadline")


class Limits(Closed):
    """Whole-run limits of the stages, enforced by the stage runner."""

    baseline_s: float = Field(gt=0)
    submission_s: float = Field(gt=0)
    relaunch_s: float = Field(gt=0)
    gating_s: float = Field(gt=0)
    aggregation_s: float = Field(gt=0)


class JudgeSpec(Closed):
    """An OpenAI-compatible judge; its key comes from the environment."""

    url: str
    model: str
    key_variable: str


class Gates(Closed):
    """Stage 4: thresholds and the checks a score requires."""

    tau: float = Field(gt=0, le=1)
    max_failure_rate: float = Field(ge=0, lt=1)
    required_checks: tuple[Literal["quality", "rules", "judge", "timing"], ...]
    judge: JudgeSpec | None = None
    short_share: float = Field(ge=0, le=1)
    usage_tolerance: float = Field(ge=0)
    usage_share: float = Field(ge=0, le=1)
    first_chunk_share: float = Field(ge=0, le=1)
    min_ttft_s: float = Field(ge=0)
    min_tpot_s: float = Field(ge=0)
    max_stream_tokens_per_s: float = Field(gt=0)


class Stat(Closed):
    """Choices of the aggregation."""

    floor_below_baseline: bool
    bootstrap_draws: int = Field(ge=100)
    bootstrap_seed: int
    confidence: float = Field(gt=0, lt=1)
