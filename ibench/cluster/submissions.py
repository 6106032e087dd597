"""What was given to a scheduler: written once, beside the scripts that it runs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from ibench.errors import CorruptResultError
from ibench.files import write_atomic
from ibench.params.clusters import Cluster
from ibench.records import Closed
from ibench.study.definition import Study

__all__ = [
    "Batch",
    "Queued",
    "Scheduler",
    "Submission",
    "read_submissions",
    "submissions_root",
]

FILE = "submission.json"
Queued: TypeAlias = Literal["pending", "running", "held"]


class Submission(Closed):
    """One call of ``make submit``.

    ``job_ids`` are the scheduler's: of arrays in order, or of one DAG or pool.
    """

    number: int
    cluster: str
    scheduler: Literal["local", "slurm", "condor"]
    by: str
    host: str
    utc: str
    job_ids: tuple[str, ...]
    finish_id: str | None
    array_size: int
    cells: tuple[str, ...]


class Scheduler(Protocol):
    """The one way to every scheduler.

    Its view is advice: what is finished is said by records on shared storage.
    """

    def submit(self, batch: Batch) -> tuple[tuple[str, ...], str | None]:
        """Hand cells over; return the job ids and that of the last job.

        Raises:
            ClusterError: the scheduler is missing or refuses.
        """

    def poll(self, submission: Submission) -> Mapping[str, Queued]:
        """Ask what it still holds; a cell that is not named is not with it.

        Raises:
            ClusterError: the scheduler cannot be asked.
        """

    def cancel(self, submission: Submission, cells: Sequence[str] | None) -> None:
        """Take cells back, or everything with the last job (None)."""


@dataclass(frozen=True)
class Batch:
    """Cells on their way to a scheduler.

    Args:
        study: the profile.
        cluster: the parameters; ``name`` is that of their file.
        folder: of this submission; scripts and logs go there.
        cells: what to run, in order.
        home: where jobs start: the checkout.
        notebooks: folder of the stage notebooks.
    """

    study: Study
    cluster: Cluster
    name: str
    folder: Path
    cells: tuple[str, ...]
    home: Path
    notebooks: Path

    @property
    def logs(self) -> Path:
        """Folder of what jobs print."""
        return self.folder / "logs"

    def command(self, verb: str, *arguments: str) -> list[str]:
        """Build a command line of ours; it holds names and no secret."""
        study = self.study
        cluster = () if verb == "finish" else ("--cluster", self.name)
        return [
            *(sys.executable, "-m", "ibench", verb),
            *("--profile", study.profile.name, *cluster),
            *("--params", str(study.params), "--results", str(study.results)),
            *("--notebooks", str(self.notebooks), *arguments),
        ]

    def script(self, verb: str) -> Path:
        """Write what runs on a node: ``<verb>.sh [CELL JOB]``."""
        wanted = ' --job "$2" "$1"' if verb == "cell" else ""
        lines = [
            "#!/bin/bash",
            "set -eu",
            f"cd {shlex.quote(str(self.home))}",
            "export HF_HUB_OFFLINE=1",
            *self.cluster.setup,
            f"exec {shlex.join(self.command(verb))}{wanted}",
        ]
        return self.write(f"{verb}.sh", lines, mode=0o755)

    def write(self, name: str, lines: Sequence[str], mode: int = 0o644) -> Path:
        """Write a file of this submission."""
        path = self.folder / name
        write_atomic(path, ("\n".join(lines) + "\n").encode())
        path.chmod(mode)
        return path


def submissions_root(study: Study) -> Path:
    """Folder of every submission of a profile."""
    return study.root / ".cluster" / "submissions"


def publish_submission(folder: Path, submission: Submission) -> None:
    """Write ``submission.json``."""
    write_atomic(folder / FILE, submission.model_dump_json(indent=1).encode())


def read_submissions(study: Study) -> list[Submission]:
    """Read every submission, oldest first.

    Raises:
        CorruptResultError: one was edited by hand.
    """
    found = []
    for path in submissions_root(study).glob(f"*/{FILE}"):
        try:
            found.append(Submission.model_validate_json(path.read_bytes()))
        except ValueError as error:
            raise CorruptResultError(
                f"{path}: not a submission: move it away; records are kept"
            ) from error
    return sorted(found, key=lambda s: s.number)
