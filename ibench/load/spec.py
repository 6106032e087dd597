"""What ``ibench load`` sends, field by field, and the report that it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ibench.load.arrivals import ArrivalSpec, parse_arrivals
from ibench.params import ClientSpec
from ibench.records import Closed, PhaseSummary

__all__ = ["LoadReport", "LoadSpec"]


def _read(value: Any) -> Any:  # noqa: ANN401 (before validation)
    return parse_arrivals(value) if isinstance(value, str) else value


Arrivals = Annotated[ArrivalSpec, BeforeValidator(_read)]


class LoadSpec(Closed):
    """What to send; each field is an option of the command and stands only here."""

    url: str = Field(
        pattern="^https?://", description="Address of an OpenAI-compatible server."
    )
    against: str | None = Field(
        default=None,
        pattern="^https?://",
        description="Second server, loaded in turns; the same address is an A/A run.",
    )
    model: str | None = Field(
        default=None, description="Model to ask for; else the first one listed."
    )
    concurrency: int = Field(default=1, ge=1, description="Most requests in flight.")
    requests: int = Field(default=64, ge=1, description="Requests a repeat, at most.")
    output_tokens: int = Field(
        default=128, ge=1, description="Most tokens of an answer."
    )
    prompt_tokens: int = Field(
        default=256, ge=1, description="Words of a prompt, about one token each."
    )
    arrivals: Arrivals = Field(
        default=ArrivalSpec(kind="burst"),
        description="Schedule: burst, constant:16, poisson:32 and gamma:32:0.5 "
        "(requests a second, shape) or replay:FILE.",
    )
    temperature: float = Field(
        default=0.0, ge=0, description="Sampling temperature; 0 is greedy."
    )
    seed: int = Field(default=7, description="Seed of the prompts and of the arrivals.")
    repeats: int = Field(default=1, ge=1, description="Repeats of the whole load.")
    request_timeout_s: float = Field(
        default=600.0, gt=0, description="Seconds until a request counts as failed."
    )
    tokenizer: Path | None = Field(
        default=None,
        description="Model folder whose tokenizer counts; else the server's usage.",
    )
    key_variable: str | None = Field(
        default=None, description="Environment variable that holds the API key."
    )
    stop_at: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Relative half-width at which to stop early, such as 0.01.",
    )
    stop_objective: Literal["ttft", "tpot", "request_rate"] = Field(
        default="ttft", description="Number whose half-width is watched."
    )
    ttft_slo_s: float = Field(
        default=2.0, gt=0, description="Seconds to the first token that goodput allows."
    )
    tpot_slo_s: float = Field(
        default=0.05, gt=0, description="Seconds a token that goodput allows."
    )
    client: ClientSpec = Field(
        default=ClientSpec(), description="The load client and its limits of error."
    )


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
