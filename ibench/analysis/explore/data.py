"""What there is to explore: a profile's records, or else the published numbers."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ibench import REPOSITORY
from ibench.analysis.frames import Run, run_row
from ibench.analysis.paper.data import Published
from ibench.analysis.runs import read_runs
from ibench.analysis.scores import with_speedups
from ibench.errors import UserError
from ibench.study.definition import Cell, Study

__all__ = ["PanelData", "find_source"]


@dataclass(frozen=True)
class PanelData:
    """The published numbers, and a profile's finished runs where there are any.

    ``why`` says why there are none, or which could not be read.
    """

    published: Published
    profile: str
    study: Study | None
    finished: tuple[tuple[Cell, Run], ...]
    planned: int
    why: str

    @property
    def runs(self) -> tuple[Run, ...]:
        """The finished runs."""
        return tuple(run for _, run in self.finished)

    @property
    def name(self) -> str:
        """What the pictures are of."""
        if self.study is None:
            return "published numbers"
        part = f"{len(self.finished)} of {self.planned} runs"
        return f"profile {self.profile}, {part}"

    def sentence(self) -> str:
        """Say which data is shown, and why no other, in Markdown."""
        if self.study is None:
            return (
                "**Data: published numbers** (the paper's tables and its site's). "
                f"Profile `{self.profile}` is not shown: {self.why}"
            )
        return (
            f"**Data: profile `{self.profile}`**, {len(self.finished)} of "
            f"{self.planned} runs finished, model {self.study.profile.model}; "
            f"published numbers only where they are named so.{self.why}"
        )

    def frame(self) -> pd.DataFrame:
        """The runs table with speedups by the profile's floor rule; empty without."""
        if self.study is None:
            return pd.DataFrame()
        rows = pd.DataFrame([run_row(run) for run in self.runs])
        return with_speedups(rows, self.study.profile.statistics)


def find_source(
    profile: str,
    *,
    params: str = "params",
    results: str = "results",
    published: str = "results/published",
) -> PanelData:
    """Take a profile's finished runs if there are any, else the published numbers.

    Args:
        profile: name of a profile.
        params: parameter folder; relative paths are the repository's.
        results: results root.
        published: folder of the published CSV files.

    Raises:
        ParameterError: the published files' schema is missing or wrong.
    """
    numbers = Published(published)
    try:
        study = Study(profile, REPOSITORY / params, REPOSITORY / results)
    except UserError as error:
        return PanelData(numbers, profile, None, (), 0, str(error))
    found = read_runs(study)
    if not found.runs:
        why = f"no run is finished: `make reproduce PROFILE={profile}` makes them."
        why = found.problems[0] if found.problems else why
        return PanelData(numbers, profile, None, (), found.planned, why)
    left_out = "".join(f" Left out: {line}." for line in found.problems)
    return PanelData(numbers, profile, study, found.finished, found.planned, left_out)
