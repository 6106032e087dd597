"""Many records at once: the same as one by one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ibench import REPOSITORY
from ibench.analysis import runs
from ibench.analysis.runs import map_parts
from ibench.errors import CorruptResultError
from ibench.stages.aggregation import columns_of
from ibench.store import RECORD
from ibench.study import state
from ibench.study.definition import Study
from ibench.study.state import job_states
from perf.synthetic import make_study, publish_records

pytestmark = pytest.mark.slow

PARAMS = REPOSITORY / "params"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = make_study(PARAMS, tmp_path, methods=2, seed_pairs=2)
    publish_records(made)
    return made


def test_workers_read_what_one_process_reads(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alone,) = map_parts(study, columns_of)
    monkeypatch.setattr(runs, "MANY", 0)
    monkeypatch.setattr(runs, "PART", 3)
    first, *others = map_parts(study, columns_of)
    assert len(others) == 5
    for part in others:
        for table, later in zip(first, part, strict=True):
            table.extend(later)
    for table, expected in zip(first, alone, strict=True):
        pd.testing.assert_frame_equal(table.frame(), expected.frame())
    assert len(alone[0].frame()) == 16


def test_a_worker_that_meets_an_edited_record_says_so(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MANY", 0)
    path = next(study.root.rglob(f"gating/{RECORD}"))
    path.write_text(path.read_text().replace("passed every", "passed any"))
    with pytest.raises(CorruptResultError, match="edited after it was written"):
        list(map_parts(study, columns_of))


def test_states_are_the_same_on_all_cores(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = list(study.jobs.values())
    (jobs[0].folder / RECORD).unlink()
    (jobs[1].folder / RECORD).write_text("{")
    alone = job_states(study)
    assert [alone[j.name] for j in jobs[:3]] == ["missing", "broken", "stale"]
    monkeypatch.setattr(state, "MANY", 0)
    assert job_states(study) == alone
