"""A run of a study, read back from the three records that make it."""

from __future__ import annotations

from collections.abc import Iterator

from ibench.analysis.frames import Run
from ibench.errors import CorruptResultError
from ibench.records import Evidence, Submission, Verdict
from ibench.store import RECORD, load_record
from ibench.study.definition import Cell, Study

__all__ = ["STAGES", "is_finished", "read_run", "read_runs"]

STAGES = ("submission", "relaunch", "gating")


def is_finished(study: Study, cell: Cell) -> bool:
    """Whether all three stages of a cell have published."""
    folder = study.root / cell.path
    return all((folder / stage / RECORD).exists() for stage in STAGES)


def read_run(study: Study, cell: Cell) -> Run:
    """Read submission, evidence and verdict of one cell.

    Raises:
        CorruptResultError: a record is missing, edited, or of another kind.
    """
    folder = study.root / cell.path
    submission, evidence, verdict = (load_record(folder / s).result for s in STAGES)
    if not (
        isinstance(submission, Submission)
        and isinstance(evidence, Evidence)
        and isinstance(verdict, Verdict)
    ):
        raise CorruptResultError(f"{folder}: records of another kind: move it away")
    return Run(
        cell.scenario,
        cell.method,
        study.method(cell.method).kind,
        cell.seeds.label,
        submission,
        evidence,
        verdict,
    )


def read_runs(study: Study) -> Iterator[Run]:
    """Read the grid's runs in order.

    Raises:
        CorruptResultError: a record is missing or was edited.
    """
    cells = (cell for cell in study.cells() if cell.method != "baseline")
    return (read_run(study, cell) for cell in cells)
