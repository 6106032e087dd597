"""Slurm for real: an array on two fake GPUs, a cancelled cell, a node that dies."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ibench.records import StudyResult
from ibench.store import load_record
from tests.cluster.grids import Grid
from tests.cluster.slurm_box import SlurmBox, wait_for, why_not
from tests.study.test_notebook import make

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


@pytest.fixture(scope="module")
def box() -> Iterator[SlurmBox]:
    # Short and open to munged's checks: pytest's folders are neither.
    folder = Path(tempfile.mkdtemp(prefix="ibench-slurm-"))
    folder.chmod(0o755)
    with SlurmBox(folder) as started:
        yield started
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def grid(box: SlurmBox, model_dir: Path) -> Grid:
    assert model_dir.is_dir()
    env = {"SLURM_CONF": str(box.folder / "slurm.conf"), "MY_API_KEY": "do-not-keep"}
    return Grid(box.folder, scenarios=("a", "b", "d"), env=env)


def drained(box: SlurmBox) -> bool:
    return not box("squeue", "-h", "-t", "PD,R,CG").strip()


def test_an_array_with_a_cancelled_cell_and_a_lost_node(
    grid: Grid, box: SlurmBox
) -> None:
    done = grid("submit")
    assert done.returncode == 0, done.stderr
    assert "submitted 6 cells to test: job " in done.stdout
    cancelled = list(grid.cells)[-1]
    said = grid("cancel", cancelled)
    assert said.stdout == f"{cancelled}: cancelled; submit it again to run it\n"

    def lost() -> list[str]:
        return [n for n, ends in grid.endings().items() if ends == [None]]

    wait_for(lambda: len(lost()) == 2, 60, "two cells at once")
    on = {a.owner.gpus for n in lost() for a in grid.cells[n].attempts()}
    assert on == {"0", "1"}
    during = grid("status").stdout
    assert "running" in during
    assert "scheduler: running" in during
    wait_for(lambda: any(grid.stage_attempts().values()), 60, "a stage")
    box.kill_node()
    killed = [n for n, ends in grid.endings().items() if "died" in ends]
    assert killed
    box.start_node()
    wait_for(lambda: drained(box), 300, "the end of the array")
    endings = grid.endings()
    assert endings[cancelled] == []
    assert all(endings[n] == ["died", "done"] for n in killed), endings
    left = [n for n in endings if n not in killed and n != cancelled]
    assert all(endings[n] == ["done"] for n in left), endings


def test_the_last_job_named_what_was_missing(grid: Grid) -> None:
    (log,) = grid.folder.glob("results/cpu/.cluster/submissions/0001/logs/finish.log")
    missing = f"the first is {list(grid.cells)[-1]}/submission"
    assert f"cpu: 2 measured stages are not there, {missing}" in log.read_text()


def test_the_second_submission_finishes_everything(grid: Grid, box: SlurmBox) -> None:
    before = grid.stage_attempts()
    done = grid("submit")
    assert "5 done" in done.stdout
    assert "submitted 1 cells to test" in done.stdout
    wait_for(lambda: drained(box), 200, "the end of the second array")
    (log,) = grid.folder.glob("results/cpu/.cluster/submissions/0002/logs/finish.log")
    assert "report: " in log.read_text(), log.read_text()
    result = load_record(grid.study.jobs["aggregation"].folder).result
    assert isinstance(result, StudyResult)
    assert result.runs == 3
    assert (grid.study.root / "report.html").exists()
    after = grid.stage_attempts()
    ran = {n for n in after if after[n] != before[n]}
    assert {n.rpartition("/")[0] for n in ran} == {list(grid.cells)[-1]}


def test_nothing_ran_twice_and_the_retries_are_counted(grid: Grid) -> None:
    endings = grid.endings()
    died = [n for n, ends in endings.items() if "died" in ends]
    begun = grid.stage_attempts()
    for name, cell in grid.cells.items():
        assert endings[name].count("done") == 1
        for job in cell.jobs:
            # Begun again only where the node took the first start with it.
            assert begun[job.name] == 1 or (name in died and begun[job.name] == 2)
            assert load_record(job.folder).run_id == job.run_id
    said = grid("status").stdout
    assert f"cells: 6 done; {len(died)} retries, 0 preemptions" in said
    assert "13 of 13 stages done" in said
    again = grid("submit")
    assert again.stdout == "6 cells: 6 done\n"


def test_the_scheduler_keeps_no_secret(grid: Grid, box: SlurmBox) -> None:
    kept = [p for p in box.folder.rglob("*") if p.is_file()]
    kept = [p for p in kept if "results" not in p.parts or ".cluster" in p.parts]
    assert kept
    assert not [p for p in kept if b"do-not-keep" in p.read_bytes()]


def test_a_machine_that_fails_is_tried_three_times(box: SlurmBox) -> None:
    """The job asks for its requeue itself, twice; a running one can be cancelled."""
    folder = box.folder / "failing"
    (folder / "notebooks").mkdir(parents=True)
    names = ("profile", "params_dir", "results_dir", "scenario", "seeds")
    for name, more, act in (
        ("1_baseline", "", "import time\ntime.sleep(300)"),
        ("2_agent_run", "method = ''", "raise SandboxError('no namespace')"),
    ):
        given = "\n".join(f"{n} = ''" for n in names)
        cell = f"from ibench.errors import SandboxError\n{act}"
        make(folder / "notebooks" / f"{name}.ipynb", f"{given}\n{more}", cell)
    grid = Grid(folder, env={"SLURM_CONF": str(box.folder / "slurm.conf")})
    base, failing = grid.cells
    done = grid("submit", "--notebooks", str(folder / "notebooks"))
    assert "submitted 2 cells" in done.stdout, done.stderr
    wait_for(lambda: grid.endings()[base] == [None], 60, "a running baseline")
    wait_for(lambda: grid.stage_attempts()[f"{base}/baseline"], 60, "its stage")
    assert grid("cancel", base).stdout.startswith(f"{base}: cancelled")
    wait_for(lambda: drained(box), 240, "the end")
    assert grid.endings() == {base: ["cancelled"], failing: ["infrastructure"] * 3}
    (log,) = folder.rglob("logs/1-2.log")
    assert f"{failing}: the machine failed 3 times" in log.read_text()
    said = grid("status").stdout
    assert "retries 2 of 2" in said
    assert "cells: 1 cancelled, 1 given up; 2 retries, 0 preemptions" in said
