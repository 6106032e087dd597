"""What is handed on? The closed, frozen, versioned records of the stages.

No behaviour beyond what a record can say of itself. Times are ``CLOCK_MONOTONIC``
nanoseconds (``*_ns``) or seconds (``*_s``); wall time stands in ``Provenance`` only.
``None`` means unknown or undefined, never zero.
"""

from ibench.records.base import (
    Closed,
    Sha256,
    canonical_json,
    model_base_name,
    sha256_of,
)
from ibench.records.kinds import Result, register_results
from ibench.records.paired import (
    HostProbe,
    HostWatch,
    LifeSpread,
    Paired,
    PairedLife,
    Speedup,
)
from ibench.records.phases import (
    Calibration,
    ClientCost,
    ClientHealth,
    EnergySource,
    GpuUse,
    PhaseSummary,
    Range,
    StoppedEarly,
)
from ibench.records.record import Provenance, Record, TableRef
from ibench.records.requests import (
    Chunk,
    FailureKind,
    Question,
    RequestResult,
    RequestSpec,
    TokenSource,
    chunk_rows,
    request_rows,
)
from ibench.records.results import (
    BaselineResult,
    Confirmation,
    Evaluation,
    Evidence,
    Finding,
    Launch,
    LaunchOutcome,
    Outcome,
    QualityVerdict,
    ScoreResult,
    Selection,
    StudyResult,
    Submission,
    Trial,
    Verdict,
)

__all__ = [
    "BaselineResult", "Calibration", "Chunk", "ClientCost", "ClientHealth", "Closed",
    "Confirmation", "EnergySource", "Evaluation", "Evidence", "FailureKind", "Finding",
    "GpuUse", "HostProbe", "HostWatch", "Launch", "LaunchOutcome", "LifeSpread",
    "Outcome", "Paired", "PairedLife", "PhaseSummary", "Provenance", "QualityVerdict",
    "Question", "Range", "Record", "RequestResult", "RequestSpec", "Result",
    "ScoreResult", "Selection", "Sha256", "Speedup", "StoppedEarly", "StudyResult",
    "Submission", "TableRef", "TokenSource", "Trial", "Verdict", "canonical_json",
    "chunk_rows", "model_base_name", "register_results", "request_rows", "sha256_of",
]  # fmt: skip
