"""What the stages hand on: closed, frozen, versioned records.

Times are ``CLOCK_MONOTONIC`` nanoseconds (``*_ns``) or seconds (``*_s``); wall time
stands in ``Provenance`` only. ``None`` means unknown or undefined, never zero.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "BaselineResult",
    "Chunk",
    "Closed",
    "Evaluation",
    "Evidence",
    "FailureKind",
    "Finding",
    "Launch",
    "LaunchOutcome",
    "Outcome",
    "PhaseSummary",
    "Provenance",
    "QualityVerdict",
    "Question",
    "Record",
    "RequestResult",
    "RequestSpec",
    "StudyResult",
    "Submission",
    "TableRef",
    "Trial",
    "Verdict",
    "canonical_json",
    "sha256_of",
]

Sha256: TypeAlias = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def canonical_json(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Render a JSON value with sorted keys, no spaces and non-ASCII kept."""
    return json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def sha256_of(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Hash the canonical JSON of a value: 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


class Closed(BaseModel):
    """Base of every record and parameter: no unknown keys, no change, no NaN."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )


class LaunchOutcome(StrEnum):
    """How the supervised launch of a submission ended."""

    READY = "ready"
    MISSING = "missing"  # no start_server.sh
    NOT_EXECUTABLE = "not_executable"
    EXITED = "exited"  # the launcher returned before its port answered
    DETACHED = "detached"  # the launcher returned and left a server behind
    NEVER_READY = "never_ready"  # still running, /v1/models never answered in time
    PORT_TAKEN = "port_taken"  # somebody else listened on the port before the launch
    DIED = "died"  # was ready, then gone before the measurement ended


class FailureKind(StrEnum):
    """Why a measured request does not count as completed (docs/metrics.md)."""

    CONNECT = "connect"
    HTTP_STATUS = "http_status"
    ERROR_EVENT = "error_event"
    TRUNCATED = "truncated"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"
    EMPTY = "empty"
    SHORT = "short"
    NOT_STREAMED = "not_streamed"


class Outcome(StrEnum):
    """The one label of a run (paper Table 3)."""

    OK = "ok"
    QUALITY = "quality"
    INTEGRITY = "integrity"
    UNREACHABLE = "unreachable"
    INCOMPLETE = "incomplete"  # a check the score requires was not run: no score


class RequestSpec(Closed):
    """One request of a set: what is sent and what is expected back."""

    request_id: str
    messages: tuple[dict[str, str], ...]
    max_tokens: int = Field(ge=1, description="output tokens requested")
    temperature: float = Field(ge=0)
    ignore_eos: bool
    document_id: str
    target_input_tokens: int
    input_tokens: int = Field(description="realised, by re-tokenization")
    source_tokens: int
    content_hash: Sha256


class Question(Closed):
    """One quality question with its gold answer letter."""

    question_id: str
    messages: tuple[dict[str, str], ...]
    options: int = Field(ge=2, le=10)
    gold: str = Field(pattern="^[A-J]$")
    max_tokens: int
    content_hash: Sha256


class Chunk(Closed):
    """One server-sent event that carried text."""

    t_read_ns: int = Field(description="user space, when the bytes were read")
    t_recv_ns: int | None = Field(description="kernel receive stamp, if available")
    text: str
    n_tokens: int | None = Field(description="from continuous usage, else unknown")


class RequestResult(Closed):
    """Everything kept of one measured request."""

    request_id: str
    phase: str
    scheduled_ns: int
    sent_ns: int | None
    first_byte_ns: int | None
    first_token_ns: int | None = Field(description="first chunk with text")
    last_token_ns: int | None
    end_ns: int
    status: int | None
    failure: FailureKind | None
    error: str | None
    text: str
    finish_reason: str | None
    tokens: int | None = Field(description="re-tokenized text")
    usage_tokens: int | None = Field(description="as the server reports it")
    prompt_tokens: int | None = Field(description="as the server reports it")
    requested_tokens: int
    model: str | None = Field(description="model id in the response")
    first_text: str = Field(description="text of the first non-empty chunk")
    chunks: tuple[Chunk, ...]


class Launch(Closed):
    """The supervised start of one submission."""

    outcome: LaunchOutcome
    detail: str
    ready_s: float | None = Field(description="launch to first /v1/models answer")
    sandbox: Literal["bwrap", "process_group"]
    warning: str | None = None
    served_models: tuple[str, ...] = ()
    log_tail: str = ""
    exit_code: int | None = None


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
    send_lag_p99_s: float | None
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
    request_rate_per_s: float
    token_rate_per_s: float
    goodput_per_s: float
    output_tokens: int


class Evidence(Closed):
    """Stage 3: what one server life showed. No judgement in it."""

    kind: Literal["evidence"] = "evidence"
    submission_sha256: Sha256
    launcher: str = Field(description="text of start_server.sh, first 20 kB")
    launch: Launch
    model_dir_name: str = Field(description="folder name of the model's snapshot")
    dialect: str | None = Field(description="how the output length is enforced")
    timestamp_source: Literal["kernel", "user"] = "user"
    phases: tuple[PhaseSummary, ...]
    objective: float | None = Field(description="scenario objective, larger is better")
    objective_detail: str
    failure_rate: float | None
    requests_sha256: Sha256
    questions_sha256: Sha256
    evaluator_changed: dict[str, str] = Field(
        description="evaluator files the agent changed, with their new hash"
    )
    left_behind: tuple[str, ...] = Field(description="processes or ports after stop")
    timings_s: dict[str, float]


class BaselineResult(Closed):
    """Stage 1: the reference submission's evidence on this host."""

    kind: Literal["baseline"] = "baseline"
    evidence: Evidence


class Trial(Closed):
    """One trial of a search."""

    index: int
    config: dict[str, bool | int | float | str]
    outcome: str = Field(description="ok, duplicate, or a LaunchOutcome / failure")
    objective: float | None
    started_s: float = Field(description="since the budget started")
    launch_s: float
    evaluate_s: float
    teardown_s: float
    log_tail: str = ""


class Evaluation(Closed):
    """One evaluation an agent ran in its session (evaluations.jsonl)."""

    t_s: float = Field(description="since the session started, at the end of it")
    quick: bool
    objective: float | None
    accuracy: float | None = Field(default=None, description="development questions")
    launcher_sha256: str
    completed: int
    requests: int
    note: str = ""


class Submission(Closed):
    """Stage 2: a folder with start_server.sh, and how it was made."""

    kind: Literal["submission"] = "submission"
    method: str
    path: str = Field(description="folder of the submission below the stage folder")
    sha256: Sha256 = Field(description="tree hash of the folder")
    outcome: Literal["finished", "deadline", "crashed", "no_launcher"]
    budget_s: float | None
    used_s: float
    sandbox: Literal["bwrap", "process_group", "none"]
    warnings: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    evaluator_changed: dict[str, str] = Field(default_factory=dict)
    best_seen: float | None = Field(default=None, description="development objective")
    shipped: float | None = Field(default=None, description="last one of what shipped")
    exit_code: int | None = None


class QualityVerdict(Closed):
    """Quality gate: accuracy against the baseline's, paired."""

    n: int
    correct: int
    unparsed: int
    failed: int
    baseline_correct: int
    ratio: float | None
    tau: float
    passed: bool
    only_baseline_correct: int
    only_run_correct: int
    mcnemar_p: float
    difference: float = Field(description="accuracy minus baseline accuracy")
    difference_low: float
    difference_high: float


class Finding(Closed):
    """One integrity rule's result."""

    rule: str
    status: Literal["passed", "failed", "not_applicable"]
    evidence: str


class Verdict(Closed):
    """Stage 4: the judgement over one run's evidence."""

    kind: Literal["verdict"] = "verdict"
    outcome: Outcome
    reason: str
    quality: QualityVerdict | None
    findings: tuple[Finding, ...]
    judge: Literal["not_run", "clean", "violation"]
    judge_detail: str = ""
    required_checks: tuple[str, ...]
    not_run: tuple[str, ...] = Field(description="checks that exist and were not run")
    objective: float | None
    baseline_objective: float | None


class StudyResult(Closed):
    """Stage 5: what the aggregation published."""

    kind: Literal["study"] = "study"
    runs: int
    outcomes: dict[str, int]
    report: str
    files: dict[str, Sha256]


Result: TypeAlias = Annotated[
    BaselineResult | Submission | Evidence | Verdict | StudyResult,
    Field(discriminator="kind"),
]


class TableRef(Closed):
    """A file beside the record, by content."""

    path: str
    sha256: Sha256
    bytes: int


class Provenance(Closed):
    """Where a record comes from."""

    parameters: dict[str, bool | int | float | str]
    git_commit: str | None
    git_dirty: bool | None
    notebook_sha256: Sha256
    lock_sha256: Sha256 | None
    inputs: dict[str, Sha256] = Field(description="upstream records by path")
    seeds: dict[str, int]
    versions: dict[str, str]
    host: dict[str, str | int]
    started_utc: str
    ended_utc: str
    wall_s: float
    attempt: int = Field(ge=1)


class Record(Closed):
    """``record.json``: written last, so that its existence means finished."""

    schema_version: Literal[1] = 1
    stage: str
    run_id: Sha256
    spec: dict[str, Any]
    provenance: Provenance
    files: dict[str, TableRef]
    result: Result
