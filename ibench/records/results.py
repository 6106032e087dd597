"""What each stage publishes."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Literal

from pydantic import Field

from ibench.records.base import Closed, Sha256
from ibench.records.kinds import register_results
from ibench.records.paired import HostWatch, Paired, Speedup
from ibench.records.phases import GpuUse, PhaseSummary

__all__ = [
    "BaselineResult", "Confirmation", "Evaluation", "Evidence", "Finding", "Launch",
    "LaunchOutcome", "Outcome", "QualityVerdict", "ScoreResult", "Selection",
    "StudyResult", "Submission", "Trial", "Verdict",
]  # fmt: skip


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
    OVER_LIMIT = "over_limit"  # ended for passing its memory or disk limit


class Outcome(StrEnum):
    """The one label of a run (paper Table 3)."""

    OK = "ok"
    QUALITY = "quality"
    INTEGRITY = "integrity"
    UNREACHABLE = "unreachable"
    INCOMPLETE = "incomplete"  # a check the score requires was not run: no score


class Launch(Closed):
    """The supervised start of one submission."""

    outcome: LaunchOutcome
    detail: str
    ready_s: float | None = Field(description="launch to first /v1/models answer")
    sandbox: Literal["bwrap", "process_group", "apptainer", "podman", "none"]
    warning: str | None = None
    served_models: tuple[str, ...] = ()
    log_tail: str = ""
    exit_code: int | None = None


class Evidence(Closed):
    """Stage 3: what one server life showed. No judgement in it."""

    kind: Literal["evidence"] = "evidence"
    submission_sha256: Sha256
    launcher: str = Field(description="text of start_server.sh, first 20 kB")
    launch: Launch
    model_dir_name: str = Field(description="folder name of the model's snapshot")
    processes: tuple[str, ...] = Field(
        default=(), description="command lines of the server, when it was ready"
    )
    opened: tuple[str, ...] = Field(
        default=(),
        description="weights of its processes: `file PATH` open or mapped, "
        "`hub OWNER/NAME` in their cache, `local PATH` a folder that they were told",
    )
    engines: tuple[str, ...] = Field(
        default=(), description="engines that its processes show, by their patterns"
    )
    dialect: str | None = Field(description="how the output length is enforced")
    phases: tuple[PhaseSummary, ...]
    gpu: GpuUse | None = Field(
        default=None, description="during the load; unknown without a GPU"
    )
    energy_per_token_j: float | None = Field(
        default=None, description="GPU energy over output tokens, prompts included"
    )
    objective: float | None = Field(description="scenario objective, larger is better")
    objective_detail: str
    paired: Paired | None = Field(
        default=None, description="held against the baseline in the same lives"
    )
    failure_rate: float | None
    requests_sha256: Sha256
    questions_sha256: Sha256
    evaluator_changed: dict[str, str] = Field(
        description="files of the evaluator, and of the base model as "
        "$MODEL_PATH/..., that changed during the session, with their new hash"
    )
    left_behind: tuple[str, ...] = Field(description="processes or ports after stop")
    host: tuple[HostWatch, ...] = Field(
        default=(), description="the machine around each server life"
    )
    strays: int = Field(
        default=0, description="threads on cores that the server was not given"
    )
    intrusions: int = Field(
        default=0,
        description="connections with the baseline beside it when that was not on turn",
    )
    timings_s: dict[str, float]


class BaselineResult(Closed):
    """Stage 1: the reference submission's evidence on this host."""

    kind: Literal["baseline"] = "baseline"
    evidence: Evidence
    repeats: tuple[float, ...] = Field(
        default=(), description="objective of every server life, the evidence's first"
    )

    @property
    def lives(self) -> tuple[float, ...]:
        """Objective of every server life; empty where none gave one."""
        alone = self.evidence.objective
        return self.repeats or ((alone,) if alone else ())

    @property
    def objective(self) -> float | None:
        """Geometric mean over the server lives; what speedups divide by."""
        if not self.repeats:
            return self.evidence.objective
        return math.exp(sum(map(math.log, self.repeats)) / len(self.repeats))

    @property
    def averaged(self) -> Evidence:
        """The first life's evidence under the mean objective."""
        return self.evidence.model_copy(update={"objective": self.objective})


class Trial(Closed):
    """One trial of a search."""

    index: int
    config: dict[str, bool | int | float | str]
    outcome: str = Field(
        description="ok, late, over_time, quality, or a launch's or load's"
    )
    objective: float | None
    requests: int | None = Field(default=None, description="a phase at most, of it")
    rungs: tuple[float, ...] = Field(
        default=(), description="objective at each request count, the lowest first"
    )
    started_s: float = Field(description="since the budget started")
    sampler_s: float = Field(
        default=0.0, description="between the last trial's end and this one's start"
    )
    launch_s: float
    evaluate_s: float
    teardown_s: float
    asked_s: float = Field(
        default=0.0, description="of evaluate_s, for the quality questions of a leader"
    )
    log_tail: str = ""


class Confirmation(Closed):
    """One full evaluation of a search, charged to its budget like a trial."""

    trial: int | None = Field(description="index; None: an engine's default launch")
    engine: str
    outcome: str = Field(
        description="ok, quality, failed_requests, no_measurement, no_reference, late "
        "(the budget ended), or a LaunchOutcome"
    )
    detail: str = ""
    requests: int | None = Field(default=None, description="a phase at most")
    objective: float | None = None
    correct: int | None = Field(default=None, description="development questions")
    reference_correct: int | None = None
    questions: int
    started_s: float
    launch_s: float
    evaluate_s: float
    teardown_s: float


class Selection(Closed):
    """How a search chose what it shipped, and the time that no row names."""

    trial: int | None = Field(description="index of what shipped")
    confirmed: bool = Field(description="passed the gates at full evaluation")
    confirmations: tuple[Confirmation, ...]
    references: tuple[Confirmation, ...] = Field(
        description="default launches, for the accuracy to compare with"
    )
    rest_s: float = Field(
        description="used time outside trials, samplers and confirmations"
    )


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
    outcome: Literal[
        "finished", "deadline", "crashed", "refused", "over_limit", "no_launcher"
    ]
    budget_s: float | None
    used_s: float
    sandbox: Literal["bwrap", "process_group", "apptainer", "podman", "none"]
    image: str = Field(default="workbench", description="what a container runs on")
    warnings: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()
    selection: Selection | None = Field(default=None, description="of a search")
    evaluations: tuple[Evaluation, ...] = ()
    evaluator_changed: dict[str, str] = Field(default_factory=dict)
    best_seen: float | None = Field(default=None, description="development objective")
    shipped: float | None = Field(default=None, description="last one of what shipped")
    exit_code: int | None = None
    turns: int = Field(default=0, description="runs of an agent's program")
    resumes: int = Field(default=0, description="of them, with the conversation so far")
    preemptions: int = 0
    pauses: tuple[str, ...] = Field(
        default=(), description="infrastructure outcomes that the session outlived"
    )
    input_tokens: int | None = Field(default=None, description="cached ones included")
    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = Field(default=None, description="as the agent reports it")


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
    invalid: tuple[str, ...] = Field(
        default=(), description="why the timing of a phase must not be used"
    )
    credited: tuple[str, ...] = Field(
        default=(), description="claimed numbers that count as others (metrics.credit)"
    )
    objective: float | None = Field(description="as it counts")
    baseline_objective: float | None
    speedup: Speedup | None = Field(
        default=None, description="over the baseline; None: a side has no objective"
    )


class ScoreResult(Closed):
    """A submission or a running server, scored outside a study's grid."""

    kind: Literal["score"] = "score"
    target: str = Field(description="folder, or address of a running server")
    evidence: Evidence
    baseline: BaselineResult | None = Field(
        description="of this host; None where there was none to compare with"
    )
    verdict: Verdict = Field(
        description="without a baseline its quality is that of the run against itself"
    )


class StudyResult(Closed):
    """Stage 5: what the aggregation published."""

    kind: Literal["study"] = "study"
    runs: int
    outcomes: dict[str, int]
    report: str
    files: dict[str, Sha256]


register_results(
    BaselineResult, Submission, Evidence, Verdict, ScoreResult, StudyResult
)
