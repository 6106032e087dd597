"""The record: closed, kept whole, gone on with, set aside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ibench.errors import CorruptResultError
from ibench.stages.gpu_check.record import RECORD, CheckRecord, keep, resume
from tests.stages.gpu_check.made import made_finding, made_record


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    record = made_record()
    keep(tmp_path, record)
    fresh = record.model_copy(update={"findings": ()})
    assert resume(tmp_path, fresh) == record


def test_nothing_there_is_begun_with(tmp_path: Path) -> None:
    assert resume(tmp_path, made_record()) == made_record()


def test_a_record_of_other_settings_is_set_aside(tmp_path: Path) -> None:
    keep(tmp_path, made_record())
    fresh = made_record().model_copy(update={"key": "1" * 64, "findings": ()})
    assert resume(tmp_path, fresh) == fresh
    assert [p.name for p in tmp_path.iterdir()] == ["record-000000000000.json"]


def test_a_pair_measured_again_replaces_the_first() -> None:
    record = made_record()
    again = made_finding("reference", "c").model_copy(update={"wall_s": 7.0})
    record = record.with_finding(again)
    assert len(record.findings) == 8
    assert record.finding("reference", "c") == again
    assert record.finding("vllm", "c") is None


@pytest.mark.parametrize("change", [{"extra": 1}, {"schema_version": 2}])
def test_another_schema_is_refused(tmp_path: Path, change: dict[str, int]) -> None:
    data = made_record().model_dump(mode="json") | change
    (tmp_path / RECORD).write_text(json.dumps(data))
    with pytest.raises(CorruptResultError, match="move it away and run again"):
        resume(tmp_path, made_record())


def test_the_record_is_closed() -> None:
    record = made_record()
    with pytest.raises(ValidationError, match="frozen"):
        record.key = "2" * 64  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra"):
        CheckRecord.model_validate(record.model_dump() | {"hostname": "here"})
