"""The job of a cell: what it returns, what it counts, what it never tries again."""

from __future__ import annotations

import errno
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ibench.cluster.cell import run_cell
from ibench.cluster.cells import CellJob
from ibench.cluster.claims import CellClaim, Owner
from ibench.errors import (
    DiskFullError,
    InfrastructureError,
    OfflineError,
    ParameterError,
    PreemptedError,
    SandboxError,
    StageError,
    StageTimeoutError,
)
from ibench.records import LaunchOutcome
from ibench.stages.runner import StageRunner
from ibench.store import RECORD
from ibench.study.definition import Job, Study
from ibench.study.progress import Line
from perf.synthetic import publish_job
from tests.cluster.grids import Grid
from tests.study.test_notebook import make

CELL = "a/default-transformers-serve/21-1337"
Act = Callable[[Job], None]


class Stages(StageRunner):
    """A runner whose stages do what a test says."""

    act: Act

    def run(self, job: Job) -> None:
        if not (job.folder / RECORD).exists():
            self.act(job)


class Bench:
    """One cell and what its job said."""

    def __init__(self, folder: Path) -> None:
        self.grid = Grid(folder)
        self.study: Study = self.grid.study
        self.cell: CellJob = self.grid.cells[CELL]
        self.said: list[str] = []
        self.ran: list[str] = []
        self.slept_s: list[float] = []
        publish_job(self.study, self.baseline)

    @property
    def baseline(self) -> Job:
        """What the relaunch of the cell is beside."""
        return self.study.job("a/baseline/21-1337/baseline")

    def run(self, act: Act | None = None, job: str = "17_1") -> int:
        runner = Stages(self.study, Path("notebooks"), Line(io.StringIO()))

        def noted(stage: Job) -> None:
            self.ran.append(stage.stage)
            (act or self.publish)(stage)

        runner.act = noted
        return self.run_with(runner, job)

    def run_with(self, runner: StageRunner, job: str = "17_1") -> int:
        owner = Owner.this(job)
        return run_cell(
            self.cell,
            runner,
            owner,
            utc=lambda: "now",
            say=self.said.append,
            sleep=self.slept_s.append,
        )

    def publish(self, job: Job) -> None:
        publish_job(self.study, job)

    @property
    def endings(self) -> list[str | None]:
        return [a.ended for a in self.cell.attempts()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def failing(error: Exception) -> Act:
    def act(_: Job) -> None:
        raise error

    return act


def test_a_finished_cell_is_done_at_once(bench: Bench) -> None:
    assert bench.run() == 0
    assert bench.run() == 0
    assert bench.ran == ["submission", "relaunch"]
    assert bench.endings == ["done"]
    assert bench.said == [f"{CELL}: finished before"]


def test_a_baseline_that_another_job_measures_is_waited_for(bench: Bench) -> None:
    record = bench.baseline.folder / RECORD
    kept = record.read_bytes()
    record.unlink()
    assert bench.run() == 75  # within the limit of the stage it never came
    assert bench.ran == ["submission"]
    assert sum(bench.slept_s) == bench.study.limit_s("relaunch")
    assert "waited" in bench.said[0]
    record.write_bytes(kept)
    assert bench.run() == 0
    assert bench.ran == ["submission", "relaunch"]


def test_what_is_there_is_not_run_again(bench: Bench) -> None:
    bench.publish(bench.cell.jobs[0])
    assert bench.run() == 0
    assert bench.ran == ["relaunch"]


@pytest.mark.parametrize(
    ("error", "code", "ended"),
    [
        (SandboxError("no namespace"), 75, "infrastructure"),
        (InfrastructureError("gone"), 75, "infrastructure"),
        (OfflineError("the hub is away"), 75, "infrastructure"),
        (PreemptedError("saved"), 85, "preempted"),
        (StageError("the notebook failed"), 1, "failed"),
        (StageTimeoutError("too long"), 1, "failed"),
        (ParameterError("f", "k", 1, "r"), 2, "blocked"),
        (DiskFullError("no space left on the disk"), 2, "blocked"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 2, "blocked"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_failure_has_its_end(
    bench: Bench, error: Exception, code: int, ended: str
) -> None:
    assert bench.run(failing(error)) == code
    assert bench.endings == [ended]
    assert all("\n" not in line for line in bench.said)


def test_the_machine_may_fail_twice(bench: Bench) -> None:
    broken = failing(SandboxError("no namespace"))
    assert [bench.run(broken) for _ in range(4)] == [75, 75, 1, 1]
    assert bench.endings == ["infrastructure"] * 3  # the fourth did not start
    assert "the machine failed 3 times" in bench.said[-1]
    assert "AGAIN=1" in bench.said[-1]


def test_preemptions_are_no_retries(bench: Bench) -> None:
    assert [bench.run(failing(PreemptedError("saved"))) for _ in range(5)] == [85] * 5
    assert bench.run() == 0


def test_failures_with_other_parameters_do_not_count(bench: Bench) -> None:
    for _ in range(3):
        with CellClaim(bench.cell.folder, "another key", Owner.this(), "now") as claim:
            claim.end("infrastructure")
    assert bench.run() == 0


def test_who_is_second_says_one_line_and_runs_nothing(bench: Bench) -> None:
    with CellClaim(
        bench.cell.folder, bench.cell.key, Owner.this("9_1"), "now"
    ) as claim:
        assert bench.run() == 0
        claim.end("done")
    assert bench.ran == []
    (line,) = bench.said
    assert "job 9_1, since now; nothing is left for this job to do" in line


def test_a_taken_port_is_the_machines_fault(bench: Bench) -> None:
    def taken(job: Job) -> None:
        publish_job(bench.study, job, launch=LaunchOutcome.PORT_TAKEN)

    bench.publish(bench.cell.jobs[0])
    assert bench.run(taken) == 75
    relaunch = bench.cell.jobs[1].folder
    assert not (relaunch / RECORD).exists()
    assert (relaunch / "attempts" / "1" / RECORD).exists()
    assert bench.run() == 0
    assert bench.endings == ["infrastructure", "done"]


def stop(_: Job) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_of_a_scheduler_is_tried_again(bench: Bench) -> None:
    assert bench.run(stop) == 75
    assert bench.endings == ["killed"]
    assert "stopped by SIGTERM" in bench.said[0]


def test_a_signal_after_a_cancellation_is_not(bench: Bench) -> None:
    def cancelled(job: Job) -> None:
        bench.cell.cancel_path.touch()
        stop(job)

    assert bench.run(cancelled) == 0
    assert bench.endings == ["cancelled"]
    assert bench.run() == 0
    assert bench.ran == ["submission"]
    assert bench.said[-1] == f"{CELL}: cancelled; submit it again to run it"


@pytest.mark.slow
def test_a_sandbox_that_fails_in_a_real_stage(bench: Bench, tmp_path: Path) -> None:
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    names = ["profile", "params_dir", "results_dir", "scenario", "seeds", "method"]
    make(
        notebooks / "2_agent_run.ipynb",
        "\n".join(f"{name} = ''" for name in names),
        "from ibench.errors import SandboxError\nraise SandboxError('no namespace')",
    )
    runner = StageRunner(bench.study, notebooks, Line(io.StringIO()))
    assert bench.run_with(runner) == 75
    (attempt,) = bench.cell.attempts()
    assert attempt.ended == "infrastructure"
    assert "submission: SandboxError: no namespace (evidence in " in attempt.detail
