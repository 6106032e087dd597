"""What is submitted and what is left out; fake schedulers check command lines only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.cluster.claims import Claim, Owner
from ibench.cluster.submissions import (
    Batch,
    Queued,
    Submission,
    read_submissions,
    submissions_root,
)
from ibench.cluster.submit import Submitter, cancel
from ibench.cluster.table import cluster_table
from ibench.errors import ClusterError, ParameterError
from ibench.params.clusters import load_cluster
from ibench.study.state import job_states
from ibench.terminal import plain
from perf.synthetic import publish_job
from tests.cluster.grids import Grid


class Paper:
    """A scheduler that only keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[str, ...]] = []
        self.queued: dict[str, Queued] = {}
        self.cancelled: list[Sequence[str] | None] = []
        self.error: ClusterError | None = None
        self.gone: set[int] = set()

    def submit(self, batch: Batch) -> tuple[tuple[str, ...], str | None]:
        if self.error:
            raise self.error
        self.given.append(batch.cells)
        self.queued |= dict.fromkeys(batch.cells, "pending")
        return ("17",), "18"

    def poll(self, _: Submission) -> Mapping[str, Queued]:
        if self.error:
            raise self.error
        return self.queued

    def cancel(self, of: Submission, cells: Sequence[str] | None) -> None:
        if of.number in self.gone:
            raise ClusterError("its pool is on another host: ask there")
        self.cancelled.append(cells)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.grid = Grid(folder, scenarios=("a", "b"))
        self.study, self.cells = self.grid.study, self.grid.cells
        self.names = list(self.cells)
        self.paper = Paper()

    def scheduler_of(self, _: str) -> Paper:
        return self.paper

    def submit(self, *, again: bool = False) -> list[str]:
        cluster = load_cluster(self.study.params, "test")
        owner = Owner.this().model_copy(update={"user": "ann"})
        submitter = Submitter(
            self.study,
            cluster,
            "test",
            self.scheduler_of,
            owner,
            lambda: "now",
            REPOSITORY,
            REPOSITORY / "notebooks",
        )
        return submitter.submit(again=again)

    def end(self, name: str, ended: str) -> None:
        cell = self.cells[name]
        with Claim(cell.folder, cell.key, Owner.this("17_1"), "now") as claim:
            claim.end(ended, "as the test says")  # type: ignore[arg-type]

    def finish(self, name: str) -> None:
        for job in self.cells[name].jobs:
            publish_job(self.study, job)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_everything_missing_is_submitted_once(bench: Bench) -> None:
    assert bench.submit() == [
        "4 cells: 4 waiting",
        "submitted 4 cells to test: job 17",
    ]
    assert bench.submit() == ["4 cells: 4 pending"]
    assert bench.paper.given == [tuple(bench.names)]
    (kept,) = read_submissions(bench.study)
    assert (kept.by, kept.job_ids, kept.finish_id) == ("ann", ("17",), "18")


def test_what_is_done_running_or_failed_is_left_out(bench: Bench) -> None:
    done, running, failed, left = bench.names
    bench.finish(done)
    bench.end(failed, "failed")
    cell = bench.cells[running]
    with Claim(cell.folder, cell.key, Owner.this("9"), "now") as claim:
        first, _ = bench.submit()
        claim.end("done")
    assert bench.paper.given == [(left,)]
    assert "1 done, 1 running, 1 failed, 1 waiting" in first
    assert f"AGAIN=1 runs failed ones again, the first is {failed}" in first


def test_again_keeps_the_old_attempts_aside(bench: Bench) -> None:
    for _ in range(3):
        bench.end(bench.names[0], "died")
    bench.submit()
    assert bench.names[0] not in bench.paper.given[0]
    bench.submit(again=True)
    assert bench.paper.given[1] == (bench.names[0],)
    assert bench.cells[bench.names[0]].attempts() == []
    aside = bench.cells[bench.names[0]].folder.parent / "21-1337.before-1"
    assert len(list(aside.glob("*.json"))) == 3


def test_two_people_at_once_are_told_apart(bench: Bench) -> None:
    lock = submissions_root(bench.study) / "lock"
    other = Owner.this().model_copy(update={"user": "bob"})
    with Claim(lock, "submit", other, "noon") as claim:
        with pytest.raises(
            ClusterError, match="being submitted, run by bob on"
        ) as seen:
            bench.submit()
        claim.end("done")
    assert "\n" not in str(seen.value)
    assert bench.paper.given == []


def test_a_scheduler_that_refuses_leaves_nothing_claimed(bench: Bench) -> None:
    bench.paper.error = ClusterError("sbatch: Invalid partition")
    with pytest.raises(ClusterError, match="Invalid partition"):
        bench.submit()
    bench.paper.error = None
    assert bench.submit()[-1] == "submitted 4 cells to test: job 17"


def test_a_scheduler_that_cannot_be_asked_is_said(bench: Bench) -> None:
    bench.submit()
    bench.paper.error = ClusterError("squeue: not found")
    lines = cluster_table(bench.study, job_states(bench.study), bench.scheduler_of)
    assert lines[0] == "submission 1: not asked: squeue: not found"


def test_a_limit_below_the_stages_is_refused(bench: Bench) -> None:
    bench.grid.cluster["time_limit_s"] = 300
    path = bench.study.params / "clusters" / "test.yaml"
    path.write_text(path.read_text().replace("600", "300"))
    with pytest.raises(ParameterError, match=r"time_limit_s: 300: .* 540 s"):
        bench.submit()


def test_cancel_marks_before_it_asks(bench: Bench) -> None:
    bench.submit()
    name = bench.names[1]
    lines = cancel(bench.study, bench.scheduler_of, [name])
    assert lines == [f"{name}: cancelled; submit it again to run it"]
    assert bench.paper.cancelled == [[name]]
    assert bench.cells[name].cancel_path.exists()
    bench.paper.queued.clear()
    bench.submit()
    assert not bench.cells[name].cancel_path.exists()


def test_a_submission_that_cannot_be_cancelled_does_not_save_the_others(
    bench: Bench,
) -> None:
    bench.submit()
    bench.paper.queued.clear()
    bench.submit()
    first, second = read_submissions(bench.study)
    bench.paper.gone = {first.number}
    lines = cancel(bench.study, bench.scheduler_of, [])
    assert bench.paper.cancelled == [None]
    assert (
        lines[0] == f"submission {first.number}: its pool is on another host: ask there"
    )
    assert len(lines) == 1 + len(second.cells)


def test_cancel_of_everything_takes_the_last_job_too(bench: Bench) -> None:
    bench.submit()
    assert len(cancel(bench.study, bench.scheduler_of, [])) == 4
    assert bench.paper.cancelled == [None]
    with pytest.raises(ParameterError, match="'no/such': unknown; choose"):
        cancel(bench.study, bench.scheduler_of, ["no/such"])


def test_status_shows_states_hosts_and_retries(bench: Bench) -> None:
    bench.submit()
    bench.finish(bench.names[0])
    bench.end(bench.names[1], "infrastructure")
    bench.paper.queued = {bench.names[1]: "pending"}
    parts = cluster_table(bench.study, job_states(bench.study), bench.scheduler_of)
    host = Owner.this().host
    assert plain(*parts) == [
        f"waiting  {bench.names[1]}  scheduler: pending, host {host}, job 17_1, "
        "infrastructure: as the test says, retries 1 of 2",
        "cells: 1 done, 3 waiting; 1 retries, 0 preemptions; last submitted by ann to "
        "test, now",
    ]


def test_a_torn_submission_is_one_line(bench: Bench) -> None:
    bench.submit()
    (path,) = submissions_root(bench.study).glob("*/submission.json")
    path.write_text("{")
    done = bench.grid("status")
    assert done.returncode == 2
    assert "not a submission: move it away; records are kept" in done.stderr
