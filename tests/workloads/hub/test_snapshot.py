"""A base model that was changed: seen by content, cheap when nothing moved."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ibench.errors import DataError
from ibench.params.data_lock import LockedFile
from ibench.workloads.hub import snapshot
from ibench.workloads.hub.lock import file_entry
from ibench.workloads.hub.snapshot import check_snapshot, hashes, take_snapshot


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "base"
    (folder / "parts").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "parts" / "one.safetensors").write_bytes(b"weights")
    return folder


def test_a_model_that_stands_still_is_read_once(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = check_snapshot(model, None)
    read: list[Path] = []

    def noted(path: Path) -> LockedFile:
        read.append(path)
        return file_entry(path)

    monkeypatch.setattr(snapshot, "file_entry", noted)
    assert check_snapshot(model, None) == first
    assert read == []
    os.utime(model / "config.json")
    again = check_snapshot(model, None)
    assert (hashes(again), [p.name for p in read]) == (hashes(first), ["config.json"])
    check_snapshot(model, None)
    assert len(read) == 1


def test_other_weights_of_the_same_size_and_time_are_seen(model: Path) -> None:
    check_snapshot(model, None)
    path = model / "parts" / "one.safetensors"
    times = path.stat()
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DataError, match=r"one\.safetensors: sha256 .* was ") as error:
        check_snapshot(model, None)
    assert "\n" not in str(error.value)
    assert ".base.snapshot.json" in str(error.value)
    path.write_bytes(b"weights")
    assert set(check_snapshot(model, None)) == {
        "config.json",
        "parts/one.safetensors",
    }


@pytest.mark.parametrize("change", ["added", "removed"])
def test_a_file_that_came_or_went_is_seen(model: Path, change: str) -> None:
    check_snapshot(model, None)
    if change == "added":
        (model / "adapter.safetensors").write_bytes(b"more")
    else:
        (model / "config.json").unlink()
    with pytest.raises(DataError, match=r"adapter|config"):
        check_snapshot(model, None)


def test_a_lock_decides_from_the_first_look_on(model: Path) -> None:
    locked = hashes(take_snapshot(model))
    (model / "unlisted.txt").write_text("left by the hub's client")
    assert "unlisted.txt" in check_snapshot(model, locked)
    (model / "config.json").write_text('{"changed": true}')
    with pytest.raises(DataError, match="make data"):
        check_snapshot(model, locked)


def test_a_broken_note_is_one_line(model: Path) -> None:
    check_snapshot(model, None)
    note = model.with_name(".base.snapshot.json")
    assert set(json.loads(note.read_text())) == {
        "config.json",
        "parts/one.safetensors",
    }
    note.write_text("[1")
    with pytest.raises(DataError, match="not a snapshot: remove it"):
        check_snapshot(model, None)
