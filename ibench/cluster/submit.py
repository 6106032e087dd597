"""Submit what is missing, once, whoever else submits the same grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ibench.cluster.cells import CellJob, State, cell_jobs, state_of
from ibench.cluster.claims import Attempt, Claim, HeldError, Owner
from ibench.cluster.submissions import (
    Batch,
    Queued,
    Scheduler,
    Submission,
    publish_submission,
    read_submissions,
    submissions_root,
)
from ibench.errors import ClusterError, ParameterError, unknown_name
from ibench.params.clusters import Cluster
from ibench.study.definition import Study
from ibench.study.state import JobState, job_states

__all__ = ["Seen", "Submitter", "cancel", "look", "queued_cells"]


@dataclass(frozen=True)
class Seen:
    """A cell as shared storage and the scheduler show it."""

    cell: CellJob
    state: State
    tried: list[Attempt]
    queued: Queued | None


def look(
    study: Study, records: Mapping[str, JobState], queued: Mapping[str, Queued]
) -> list[Seen]:
    """Bring together records, attempts and the scheduler's view, cell by cell.

    Args:
        study: the profile.
        records: state of every job of the grid.
        queued: what schedulers still hold.
    """
    seen = []
    for name, cell in cell_jobs(study).items():
        done = all(records[job.name] == "done" for job in cell.jobs)
        tried = cell.attempts()
        state = state_of(cell, tried, done=done)
        seen.append(Seen(cell, state, tried, queued.get(name)))
    return seen


def queued_cells(
    study: Study, scheduler_of: Callable[[str], Scheduler]
) -> tuple[dict[str, Queued], list[str]]:
    """Ask the schedulers of every submission what they still hold.

    Returns:
        Their view, and a line for each that cannot be asked. That is no error: a cell
        that is queued twice runs once, by its claim.
    """
    found: dict[str, Queued] = {}
    silent: list[str] = []
    for submission in read_submissions(study):
        try:
            found |= scheduler_of(submission.scheduler).poll(submission)
        except ClusterError as error:
            silent.append(f"submission {submission.number}: not asked: {error}")
    return found, silent


@dataclass(frozen=True)
class Submitter:
    """Everything a submission needs beside the cells.

    Args:
        study: the profile.
        cluster: the parameters of the cluster.
        name: of their file.
        scheduler_of: from the scheduler's name to the scheduler.
        owner: this process.
        utc: the time for people.
        home: where jobs start.
        notebooks: folder of the stage notebooks.
    """

    study: Study
    cluster: Cluster
    name: str
    scheduler_of: Callable[[str], Scheduler]
    owner: Owner
    utc: Callable[[], str]
    home: Path
    notebooks: Path

    def submit(self, *, again: bool) -> list[str]:
        """Submit every cell that is neither finished, nor running, nor in a queue.

        Args:
            again: also cells whose stage failed or whose machines failed too often.

        Returns:
            Lines for people.

        Raises:
            ClusterError: a scheduler is missing or refuses, or somebody else submits
                the same grid at this moment.
            ParameterError: a cell may take longer than the cluster lets it.
        """
        self._check_time()
        lock = submissions_root(self.study) / "lock"
        try:
            with Claim(lock, "submit", self.owner, self.utc()) as claim:
                lines = self._submit(again=again)
                claim.end("done")
                return lines
        except HeldError as error:
            raise ClusterError(
                f"{self.study.profile.name}: this grid is being submitted, {error}: "
                "wait until that has ended, then look at `make status`"
            ) from error

    def _check_time(self) -> None:
        """A scheduler's limit must not be the one that ends a stage."""
        longest = max(
            sum(job.limit_s for job in cell.jobs)
            for cell in cell_jobs(self.study).values()
        )
        if self.cluster.time_limit_s < longest:
            raise ParameterError(
                self.study.params / "clusters" / f"{self.name}.yaml",
                "time_limit_s",
                self.cluster.time_limit_s,
                f"one cell may take {longest:g} s by the profile's limits: raise it",
            )

    def _submit(self, *, again: bool) -> list[str]:
        queued, lines = queued_cells(self.study, self.scheduler_of)
        records = job_states(self.study)
        seen = look(self.study, records, queued)
        failed = [s for s in seen if s.state in ("failed", "given up")]
        if again:
            for one in failed:
                _set_aside(one.cell.folder)
        wanted = ("waiting", "cancelled", *(("failed", "given up") if again else ()))
        todo = [s.cell for s in seen if s.state in wanted and s.queued is None]
        lines.append(_left_out(seen, failed if not again else []))
        if todo:
            for cell in todo:
                cell.cancel_path.unlink(missing_ok=True)
            lines.append(self._hand_over(tuple(cell.name for cell in todo)))
        return lines

    def _hand_over(self, cells: tuple[str, ...]) -> str:
        earlier = read_submissions(self.study)
        number = earlier[-1].number + 1 if earlier else 1
        # A folder of a submission that a crash cut off keeps its scripts: never reuse.
        while (folder := submissions_root(self.study) / f"{number:04d}").exists():
            number += 1
        folder.mkdir(parents=True)
        batch = Batch(
            self.study,
            self.cluster,
            self.name,
            folder,
            cells,
            self.home,
            self.notebooks,
        )
        jobs, finish = self.scheduler_of(self.cluster.scheduler).submit(batch)
        submission = Submission(
            number=number,
            cluster=self.name,
            scheduler=self.cluster.scheduler,
            by=self.owner.user,
            host=self.owner.host,
            utc=self.utc(),
            job_ids=jobs,
            finish_id=finish,
            array_size=self.cluster.array_size,
            cells=cells,
        )
        publish_submission(folder, submission)
        return f"submitted {len(cells)} cells to {self.name}: job {', '.join(jobs)}"


def _left_out(seen: list[Seen], failed: list[Seen]) -> str:
    """Say in one line how far the cells are, and what is not submitted."""
    counts = Counter(
        s.queued if s.queued and s.state == "waiting" else s.state for s in seen
    )
    line = (
        f"{len(seen)} cells: {', '.join(f'{n} {what}' for what, n in counts.items())}"
    )
    if failed:
        line += f" (AGAIN=1 runs failed ones again, the first is {failed[0].cell.name})"
    return line


def _set_aside(folder: Path) -> None:
    """Keep the attempts of a failed cell under another name and start to count anew."""
    number = 1
    while (target := folder.with_name(f"{folder.name}.before-{number}")).exists():
        number += 1
    if folder.exists():
        folder.rename(target)


def cancel(
    study: Study, scheduler_of: Callable[[str], Scheduler], names: list[str]
) -> list[str]:
    """Cancel cells, or with no name everything that is not finished.

    A mark on shared storage comes first: a job that starts meanwhile sees it, and one
    that is stopped counts as cancelled and not as a failure of its machine.
    """
    jobs = cell_jobs(study)
    for name in names:
        if name not in jobs:
            raise unknown_name(study.profile_path, "cell", name, jobs)
    queued, lines = queued_cells(study, scheduler_of)
    records = job_states(study)
    active = [
        s.cell.name
        for s in look(study, records, queued)
        if s.state != "done" and (s.queued or s.state == "running")
    ]
    wanted = [n for n in active if not names or n in names]
    for name in wanted:
        jobs[name].cancel_path.parent.mkdir(parents=True, exist_ok=True)
        jobs[name].cancel_path.touch()
    for submission in read_submissions(study):
        of = [n for n in wanted if n in submission.cells]
        if names and not of:
            continue
        try:
            scheduler_of(submission.scheduler).cancel(submission, of if names else None)
        except ClusterError as error:
            # An old pool of another host, a job long forgotten: the others count.
            lines.append(f"submission {submission.number}: {error}")
    lines += [f"{n}: cancelled; submit it again to run it" for n in wanted]
    return lines or ["nothing of this grid is running or queued"]
