"""How a server is measured and judged, and the budgets of a study."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ibench.records import Closed

__all__ = [
    "Budget", "ClientSpec", "Gates", "JudgeSpec", "Limits", "Measure", "Stat",
    "Stopping",
]  # fmt: skip


class ClientSpec(Closed):
    """The load client, and how exact it must be for a point to count."""

    kind: Literal["kernel", "httpx"] = Field(
        "kernel", description="Load client; kernel falls back to httpx."
    )
    processes: int = Field(1, ge=1, le=64, description="Sending processes.")
    own_cores: bool = Field(
        True, description="Cores of its own, where there are enough for servers too."
    )
    nonce: bool = Field(
        True, description="Put marks into every prompt that no cache knows."
    )
    calibrate: bool = Field(True, description="Measure the null server too.")
    confidence: float = Field(0.95, gt=0, lt=1, description="Level of the intervals.")
    max_error_share: float = Field(
        0.05,
        gt=0,
        description="Largest send lag, of requests' time, and TTFT bias, of p50.",
    )
    max_cpu_share: float = Field(
        0.7, gt=0, le=1, description="Largest share of a core."
    )
    max_read_lag_p99_s: float = Field(
        0.001,
        gt=0,
        description="Largest read lag p99 where reads are the stamps, s.",
    )
    max_cache_hit_rate: float = Field(
        0.05, ge=0, le=1, description="Largest share of prompt tokens from a cache."
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
    blocks: int = Field(
        default=1,
        ge=1,
        description="pieces in which a phase is sent, each awaited before the next; "
        "fewer where a piece would not fill the phase's concurrency",
    )
    client: ClientSpec = ClientSpec()
    stopping: Stopping | None = None

    @model_validator(mode="after")
    def _a_stopped_phase_is_one_piece(self) -> Self:
        if self.stopping is not None and self.blocks > 1:
            raise ValueError("stopping needs blocks: 1")
        return self


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

    url: str = Field(pattern=r"^https?://\S+$", description="up to and with /v1")
    model: str = Field(min_length=1)
    key_variable: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]*$", description="environment variable of the key"
    )


class Gates(Closed):
    """Stage 4: thresholds and the checks a score requires."""

    tau: float = Field(gt=0, le=1)
    max_failure_rate: float = Field(ge=0, lt=1)
    required_checks: tuple[Literal["quality", "rules", "judge", "timing"], ...]
    judge: JudgeSpec | None = None
    short_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="answers whose reported length may be false, as a share",
    )
    length_tolerance: float = Field(
        default=0.03,
        ge=0,
        le=1,
        description="tokens fewer than the baseline's to the same requests, as a share",
    )
    usage_tolerance: float = Field(
        default=0.1, ge=0, description="reported against recounted tokens, as a share"
    )
    usage_share: float = Field(
        default=0.2, ge=0, le=1, description="answers that may be off by more"
    )
    first_chunk_share: float = Field(
        default=0.2, ge=0, le=1, description="first chunks that may carry no token"
    )
    min_ttft_s: float | None = Field(
        default=None,
        ge=0,
        description="TTFT p50 below it is no model's, seconds; beside what follows "
        "from the card and the model, where both are known",
    )
    min_tpot_s: float = Field(
        default=0.0001, ge=0, description="TPOT p50 below it is no model's, seconds"
    )
    max_stream_tokens_per_s: float = Field(
        default=20_000.0, gt=0, description="tokens per second of one stream"
    )
    max_steal_share: float = Field(
        default=0.02, ge=0, le=1, description="of the cores' time, to other guests"
    )
    max_others_cores: float = Field(
        default=0.25, ge=0, description="cores that other programs kept busy"
    )
    max_probe_drift: float = Field(
        default=0.2, ge=0, description="change of a host probe over a server life"
    )

    @model_validator(mode="after")
    def _a_required_judge_is_named(self) -> Gates:
        if "judge" in self.required_checks and self.judge is None:
            raise ValueError(
                "required_checks has judge: name one (judge: {url, model, "
                "key_variable}), or take gates without it, as no-judge has them"
            )
        return self


class Stat(Closed):
    """Choices of the aggregation."""

    floor_below_baseline: bool
    confidence: float = Field(gt=0, lt=1)
