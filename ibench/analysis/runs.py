"""The finished runs of a study, read back: one reader, one policy for broken records.

A record that cannot be read costs its own run and one line that names it; every other
run goes on. Only the aggregation publishes, and it takes no study with such a line.
"""

from __future__ import annotations

from typing import NamedTuple

from ibench.analysis.frames import Run
from ibench.errors import CorruptResultError
from ibench.records import BaselineResult, Evidence, Submission, Verdict
from ibench.store import RECORD, load_record
from ibench.study.definition import Cell, Study

__all__ = ["STAGES", "StudyRuns", "read_baseline", "read_runs"]

STAGES = ("submission", "relaunch", "gating")


class StudyRuns(NamedTuple):
    """What a study has to show.

    Attributes:
        finished: cells whose three stages have published, with what these say.
        planned: runs of the whole grid.
        problems: one line for each run that has published and cannot be read.
    """

    finished: tuple[tuple[Cell, Run], ...]
    planned: int
    problems: tuple[str, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """The finished runs, in the order of the grid."""
        return tuple(run for _, run in self.finished)

    def checked(self) -> tuple[Run, ...]:
        """The finished runs, where every record could be read.

        Raises:
            CorruptResultError: one could not.
        """
        if self.problems:
            raise CorruptResultError(self.problems[0])
        return self.runs


def read_runs(study: Study) -> StudyRuns:
    """Read every run of a study that has finished."""
    planned = [cell for cell in study.cells() if cell.method != "baseline"]
    finished, problems = [], []
    for cell in planned:
        folder = study.root / cell.path
        if not all((folder / stage / RECORD).exists() for stage in STAGES):
            continue
        try:
            finished.append((cell, _read_run(study, cell)))
        except CorruptResultError as error:
            problems.append(str(error))
    return StudyRuns(tuple(finished), len(planned), tuple(problems))


def read_baseline(study: Study, cell: Cell) -> BaselineResult:
    """Read the baseline that a cell is held against.

    Raises:
        CorruptResultError: its record is missing, edited, or of another kind.
    """
    base = Cell(cell.scenario, "baseline", cell.seeds)
    folder = study.root / base.path / "baseline"
    result = load_record(folder).result
    if not isinstance(result, BaselineResult):
        raise CorruptResultError(f"{folder}: not a baseline: move it away")
    return result


def _read_run(study: Study, cell: Cell) -> Run:
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
