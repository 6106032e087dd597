"""What ``ibench load`` sends, field by field, and the report that it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ibench.load.arrivals import ArrivalSpec, parse_arrivals
from ibench.params import ClientSpec
from ibench.records import Closed, PhaseSummary

__all__ = ["LoadReport", "LoadSpec"]


Arrivals = Annotated[
    ArrivalSpec,
    BeforeValidator(lambda v: parse_arrivals(v) if isinstance(v, str) else v),
]


class LoadSpec(Closed):
    """What to send; each field is an option of the command and stands only here."""

    url: str = Field(
        pattern="^https?://", description="Address of an OpenAI-compatible server."
    )
    against: str | None = Field(
        None,
        pattern="^https?://",
        description="Server loaded in turns with it; the same is an A/A run.",
    )
    model: str | None = Field(None, description="Model to ask for; else the first.")
    concurrency: int = Field(1, ge=1, description="Most requests in flight.")
    requests: int = Field(64, ge=1, description="Requests a repeat, at most.")
    output_tokens: int = Field(128, ge=1, description="Tokens of an answer.")
    prompt_tokens: int = Field(
        256, ge=1, description="Words of a prompt, about a token each."
    )
    arrivals: Arrivals = Field(
        ArrivalSpec(kind="burst"),
        description="Schedule: burst, constant:16, poisson:32 and gamma:32:0.5 "
        "(requests a second, shape) or replay:FILE.",
    )
    temperature: float = Field(0.0, ge=0, description="Sampling temperature.")
    seed: int = Field(7, description="Seed of the prompts and of the arrivals.")
    repeats: int = Field(1, ge=1, description="Repeats of the whole load.")
    request_timeout_s: float = Field(
        600.0, gt=0, description="Seconds until a request counts as failed."
    )
    tokenizer: Path | None = Field(
        None, description="Model folder whose tokenizer counts; else usage."
    )
    key_variable: str | None = Field(
        None, description="Environment variable of the API key."
    )
    stop_at: float | None = Field(
        None, gt=0, lt=1, description="Relative half-width to stop at, such as 0.01."
    )
    stop_objective: Literal["ttft", "tpot", "request_rate"] = Field(
        "ttft", description="Number whose half-width is watched."
    )
    ttft_slo_s: float = Field(
        2.0, gt=0, description="Seconds to the first token within goodput."
    )
    tpot_slo_s: float = Field(0.05, gt=0, description="Seconds a token within goodput.")
    client: ClientSpec = Field(ClientSpec(), description="The load client.")


class LoadReport(Closed):
    """``summary.json``: what was asked, what came, how exact it is."""

    schema_version: Literal[1] = 1
    spec: LoadSpec
    model: str
    dialect: str
    nonce_name: str | None = Field(description="names the nonces of this run")
    phases: tuple[PhaseSummary, ...] = Field(description="one per repeat")
    against: tuple[PhaseSummary, ...] = ()
    speedup: dict[str, tuple[float, float, float]] = Field(
        default_factory=dict,
        description="of url over against: low, value, high, over repeats",
    )
