"""The pool of one machine, and what a full disk does to a job."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.cluster.claims import CellClaim, Owner
from ibench.cluster.local import Pool, gpu_slots
from ibench.errors import ClusterError
from ibench.records import StudyResult
from ibench.serving.sandbox import detect
from ibench.store import load_record
from tests.cluster.grids import Grid, one_line
from tests.cluster.slurm_box import wait_for

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.spread]

LOCAL = {"scheduler": "local", "gpus": 1}
# Leaves a line with its slot when it starts and ends; fails as often as it is told.
JOB = """
import os, sys, time
cell, slot, folder, fails, code = sys.argv[1:]
with open(f"{folder}/log", "a") as log:
    log.write(f"+ {slot}\\n")
time.sleep(0.6)
with open(f"{folder}/log", "a") as log:
    log.write(f"- {slot}\\n")
with open(f"{folder}/{cell}", "a") as tries:
    tries.write("x")
sys.exit(int(code) if os.path.getsize(f"{folder}/{cell}") <= int(fails) else 0)
"""


def pool_of(folder: Path, slots: list[str], fails: int = 0, code: int = 0) -> Pool:
    def start(cell: str, slot: str) -> subprocess.Popen[bytes]:
        rest = [cell, slot, str(folder), str(fails), str(code)]
        return subprocess.Popen([sys.executable, "-c", JOB, *rest])

    return Pool(start, slots)


def test_every_gpu_has_one_cell_at_a_time(tmp_path: Path) -> None:
    cells = [f"cell-{i}" for i in range(6)]
    codes = pool_of(tmp_path, ["0", "1"]).run(cells)
    assert codes == dict.fromkeys(cells, 0)
    running, most = Counter[str](), 0
    for line in (tmp_path / "log").read_text().splitlines():
        sign, slot = line.split()
        running[slot] += 1 if sign == "+" else -1
        assert running[slot] in (0, 1)
        most = max(most, running.total())
    assert most == 2


@pytest.mark.parametrize(("code", "tries"), [(75, 3), (85, 3), (1, 1), (2, 1)])
def test_only_a_machines_failure_comes_back(
    tmp_path: Path, code: int, tries: int
) -> None:
    pool_of(tmp_path, ["0"], fails=2, code=code).run(["cell"])
    assert len((tmp_path / "cell").read_text()) == tries


def test_gpus_are_cut_into_slots() -> None:
    ids = ["0", "1", "2", "3", "4"]
    assert gpu_slots(0, []) == [""]
    assert gpu_slots(1, ids) == ids
    assert gpu_slots(2, ids) == ["0,1", "2,3"]
    with pytest.raises(ClusterError, match="1 GPUs here and 2 asked for a cell"):
        gpu_slots(2, ["0"])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_pool_runs_a_grid_to_its_report(tmp_path: Path, model_dir: Path) -> None:
    """For real: submitted, one cell cancelled while it waits, submitted again."""
    assert model_dir.is_dir()
    grid = Grid(tmp_path, cluster=LOCAL)
    base, other = grid.cells
    assert "submitted 2 cells to test: job pool-" in grid("submit").stdout
    assert grid("cancel", other).stdout.startswith(f"{other}: cancelled")
    assert "1 cancelled" in grid("submit").stdout

    def log() -> str:
        return (grid.study.root / ".cluster/submissions/0001/logs/pool.log").read_text()

    wait_for(lambda: "measured stages are not there" in log(), 120, "the first pool")
    assert grid.endings() == {base: ["done"], other: []}
    wait_for(lambda: "submitted 1 cells" in grid("submit").stdout, 10, "a second")
    report = grid.study.root / "report.html"
    wait_for(report.exists, 150, "the report")
    assert grid.endings() == {base: ["done"], other: ["done"]}
    assert set(grid.stage_attempts().values()) == {1}
    result = load_record(grid.study.jobs["aggregation"].folder).result
    assert isinstance(result, StudyResult)
    assert result.runs == 1


def test_a_cell_that_runs_elsewhere_is_one_line(tmp_path: Path) -> None:
    grid = Grid(tmp_path, cluster=LOCAL)
    name, cell = next(iter(grid.cells.items()))
    with CellClaim(cell.folder, cell.key, Owner.this("9_1"), "noon") as claim:
        done = grid("cell", name)
        claim.end("cancelled")
    assert done.returncode == 0
    assert one_line(done.stderr)
    assert "job 9_1, since noon; nothing is left for this job to do" in done.stderr
    assert set(grid.stage_attempts().values()) == {0}


def test_an_unknown_cell_is_one_line(tmp_path: Path) -> None:
    done = Grid(tmp_path, cluster=LOCAL)("cell", "a/no/21-1337")
    assert done.returncode == 2
    assert one_line(done.stderr)


@pytest.mark.skipif(detect() != "bwrap", reason="needs a small file system")
@pytest.mark.parametrize("left_bytes", [0, 40_000])
def test_a_full_disk_is_one_line_and_loses_nothing(
    tmp_path: Path, left_bytes: int
) -> None:
    """No room for the claim, or none for what the stage writes."""
    grid = Grid(tmp_path, cluster=LOCAL)
    name = next(iter(grid.cells))
    (tmp_path / "results").mkdir()
    fill = f"head -c {262144 - left_bytes} /dev/zero > {tmp_path}/results/other 2>&-"
    argv = [sys.executable, "-m", "ibench", "cell", "--profile", "cpu"]
    argv += ["--params", f"{tmp_path}/params", "--results", f"{tmp_path}/results"]
    argv += ["--cluster", "test", name]
    keep = f"cp -r {tmp_path}/results/cpu {tmp_path}/kept"
    script = f'{fill}; "$@"; code=$?; {keep}; exit $code'
    small = ["bwrap", "--dev-bind", "/", "/", "--size", "262144", "--tmpfs"]
    done = subprocess.run(
        [*small, f"{tmp_path}/results", "sh", "-c", script, "sh", *argv],
        cwd=REPOSITORY,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [x for x in done.stderr.splitlines() if x.startswith("ibench: ")]
    assert done.returncode == 2, done.stderr
    assert len(said) == 1
    assert "space" in said[0]
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "kept").rglob("record.json"))
    assert not list((tmp_path / "kept").rglob(".*partial"))
