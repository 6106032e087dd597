"""A run that is read from records that were edited says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.analysis.runs import read_runs
from ibench.errors import CorruptResultError
from ibench.stages.aggregation import frames_of
from ibench.store import RECORD
from perf.synthetic import make_study, publish_records

pytestmark = pytest.mark.slow


def test_an_edited_record_is_not_read(tmp_path: Path) -> None:
    study = make_study(REPOSITORY / "params", tmp_path, methods=2, seed_pairs=2)
    publish_records(study)
    assert len(frames_of(read_runs(study).checked())[0]) == 16
    path = next(study.root.rglob(f"gating/{RECORD}"))
    path.write_text(path.read_text().replace("passed every", "passed any"))
    with pytest.raises(CorruptResultError, match="edited after it was written"):
        frames_of(read_runs(study).checked())
