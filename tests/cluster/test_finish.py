"""The last job: it never measures, and judges what was judged by other rules again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ibench.cluster.claims import CellClaim, HeldError, Owner
from ibench.cluster.finish import finish
from ibench.errors import CorruptResultError, StageError
from ibench.store import RECORD, attempt_count
from perf.synthetic import publish_job
from tests.cluster.grids import Grid

pytestmark = pytest.mark.slow


def test_missing_measurements_are_named_and_nothing_starts(tmp_path: Path) -> None:
    grid = Grid(tmp_path)
    done = grid("finish")
    assert done.returncode == 1
    assert done.stderr == (
        "ibench: cpu: 3 measured stages are not there, the first is "
        "a/baseline/21-1337/baseline: `make status`, then `make submit` runs them\n"
    )
    assert set(grid.stage_attempts().values()) == {0}


def test_make_gets_the_rest_and_outdated_verdicts_are_set_aside(tmp_path: Path) -> None:
    grid = Grid(tmp_path)
    for job in grid.study.jobs.values():
        if job.cell:
            publish_job(grid.study, job)
    gates = tmp_path / "params" / "gates" / "cpu.yaml"
    text = gates.read_text()
    study = grid.study
    gates.write_text(text.replace("tau: 0.", "tau: 0.1", 1))
    changed = grid.study
    gating = study.jobs["a/default-transformers-serve/21-1337/gating"].folder
    assert changed.job("aggregation").run_id != study.job("aggregation").run_id
    called: list[list[str]] = []

    def make(argv: list[str]) -> int:
        called.append(argv)
        return 0

    with pytest.raises((CorruptResultError, FileNotFoundError)):  # nothing was made
        finish(changed, Owner.this(), "now", ["stage"], make)
    assert not (gating / RECORD).exists()
    assert attempt_count(gating) == 1
    (argv,) = called
    assert argv[-2:] == ["STAGE=stage", "all"]


def test_a_failing_stage_and_a_second_last_job_are_one_line(tmp_path: Path) -> None:
    grid = Grid(tmp_path)
    study = grid.study
    for job in study.jobs.values():
        if job.cell:
            publish_job(study, job)
    with pytest.raises(StageError, match="cpu: a stage failed: see above"):
        finish(study, Owner.this(), "now", ["stage"], lambda _: 2)
    lock = study.root / ".cluster" / "finish"
    with CellClaim(lock, "finish", Owner.this("7"), "noon") as claim:
        with pytest.raises(HeldError, match="job 7, since noon"):
            finish(study, Owner.this(), "now", ["stage"], lambda _: 0)
        done = grid("finish")
        claim.end("done")
    assert done.returncode == 0
    assert "cpu: the last job is run by" in done.stderr
