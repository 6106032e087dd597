from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ibench.errors import CorruptResultError
from ibench.files import tree_sha256
from ibench.records import Provenance, Record, StudyResult, sha256_of
from ibench.serving.sandbox import detect
from ibench.store import (
    RECORD,
    file_ref,
    load_record,
    publish,
    read_rows,
    retire,
    run_id_on_disk,
    verify,
    write_rows,
)


def provenance(**changes: Any) -> Provenance:
    values: dict[str, Any] = {
        "parameters": {"profile": "smoke"},
        "git_commit": None,
        "git_dirty": None,
        "notebook_sha256": "0" * 64,
        "lock_sha256": None,
        "inputs": {},
        "seeds": {},
        "versions": {},
        "host": {},
        "started_utc": "2026-01-01T00:00:00+00:00",
        "ended_utc": "2026-01-01T00:00:01+00:00",
        "wall_s": 1.0,
        "attempt": 1,
    }
    return Provenance.model_validate(values | changes)


def finished(folder: Path, run_id: str = "a" * 64) -> Record:
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "rows.parquet", [{"x": 1}, {"x": 2}])
    record = Record(
        stage="aggregation",
        run_id=run_id,
        spec={"stage": "aggregation"},
        provenance=provenance(),
        files={"rows.parquet": file_ref(folder / "rows.parquet", folder)},
        result=StudyResult(runs=1, outcomes={"ok": 1}, report="report.html", files={}),
    )
    publish(folder, record)
    return record


def test_a_record_comes_back_as_it_was_published(tmp_path: Path) -> None:
    record = finished(tmp_path)
    assert load_record(tmp_path) == record
    assert run_id_on_disk(tmp_path) == "a" * 64
    assert verify(tmp_path) == []


def test_an_edited_record_is_refused_in_one_line(tmp_path: Path) -> None:
    finished(tmp_path)
    path = tmp_path / RECORD
    path.write_text(path.read_text().replace('"runs":1', '"runs":9'))
    with pytest.raises(
        CorruptResultError, match="edited after it was written"
    ) as caught:
        load_record(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(verify(tmp_path)) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": "x"}'])
def test_a_half_written_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(CorruptResultError, match="move the folder"):
        load_record(tmp_path)


def test_verify_names_a_changed_and_a_missing_table(tmp_path: Path) -> None:
    finished(tmp_path)
    write_rows(tmp_path / "rows.parquet", [{"x": 3}])
    assert "changed" in verify(tmp_path)[0]
    (tmp_path / "rows.parquet").unlink()
    assert "missing" in verify(tmp_path)[0]


def test_a_half_written_table_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_rows(path, [{"x": i} for i in range(1000)])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CorruptResultError, match="make reproduce"):
        read_rows(path)


def test_rows_survive_a_round_trip(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"a": 1, "b": None, "c": "ü"},
        {"a": None, "b": 2.5, "c": ""},
    ]
    write_rows(tmp_path / "t.parquet", rows)
    assert read_rows(tmp_path / "t.parquet") == rows
    write_rows(tmp_path / "empty.parquet", [])
    assert read_rows(tmp_path / "empty.parquet") == []


FULL_DISK = """
from pathlib import Path
from ibench.errors import DiskFullError
from ibench.files import write_atomic
target = Path("/mnt/value")
write_atomic(target, b"old")
try:
    write_atomic(target, b"x" * 2**20)
except DiskFullError as error:
    print(error)
print(target.read_bytes(), [p.name for p in target.parent.iterdir()])
"""


@pytest.mark.skipif(detect() != "bwrap", reason="needs a small file system")
def test_a_full_disk_leaves_the_old_file_and_no_part() -> None:
    small = ["bwrap", "--dev-bind", "/", "/", "--size", "65536", "--tmpfs", "/mnt"]
    argv = [*small, sys.executable, "-c", FULL_DISK]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("/mnt/value: no space left on the disk")
    assert second == "b'old' ['value']"


def test_retire_keeps_every_attempt(tmp_path: Path) -> None:
    folder = tmp_path / "stage"
    assert retire(folder) == 1
    for n in (2, 3):
        (folder / "left.txt").write_text(str(n))
        assert retire(folder) == n
    kept = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.txt"))
    assert kept == ["attempts/1/left.txt", "attempts/2/left.txt"]


def test_tree_hash_sees_names_contents_and_the_executable_bit(tmp_path: Path) -> None:
    (tmp_path / "start_server.sh").write_text("exit 0")
    seen = {tree_sha256(tmp_path)}
    (tmp_path / "start_server.sh").chmod(0o755)
    seen.add(tree_sha256(tmp_path))
    (tmp_path / "start_server.sh").write_text("exit 1")
    seen.add(tree_sha256(tmp_path))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "x").symlink_to("../start_server.sh")
    seen.add(tree_sha256(tmp_path))
    assert len(seen) == 4


def test_unknown_record_keys_are_refused(tmp_path: Path) -> None:
    finished(tmp_path)
    path = tmp_path / RECORD
    data = json.loads(path.read_text())
    data["record"]["extra"] = 1
    data["sha256"] = sha256_of(data["record"])
    path.write_text(json.dumps(data))
    with pytest.raises(CorruptResultError, match="schema"):
        load_record(tmp_path)


def test_an_intact_record_of_an_earlier_schema_is_outdated(tmp_path: Path) -> None:
    finished(tmp_path)
    path = tmp_path / RECORD
    body = json.loads(path.read_text())["record"] | {"schema_version": 1}
    path.write_text(json.dumps({"record": body, "sha256": sha256_of(body)}))
    assert run_id_on_disk(tmp_path) == "schema 1"
    path.write_text(json.dumps({"record": body, "sha256": "0" * 64}))
    with pytest.raises(CorruptResultError, match="edited"):
        run_id_on_disk(tmp_path)
