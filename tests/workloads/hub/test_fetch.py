"""Fetching from a hub that answers, refuses, breaks off, changes or is not there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.errors import DataError, OfflineError
from ibench.study.definition import Study
from ibench.workloads.hub.fetch import fetch
from ibench.workloads.hub.lock import locked_place, read_lock
from ibench.workloads.hub.sources import (
    Source,
    document_source,
    model_source,
    place,
    question_source,
)
from tests.workloads.hub.conftest import DOCUMENTS, MODEL
from tests.workloads.hub.hub import Hub

PARQUET = "data/test-00000-of-00001.parquet"
# The hub's library keeps whole chunks of 10 MiB: half of this holds one.
LARGE = bytes(24 * 2**20)


def documents_of(study: Study) -> Source:
    source = document_source(study.profile)
    assert source is not None
    return source


def questions_of(study: Study) -> Source:
    source = question_source(study.profile)
    assert source is not None
    return source


def model_of(study: Study) -> Source:
    source = model_source(study.model, study.profile.model)
    assert source is not None
    return source


def bring(hub: Hub, study: Study, source: Source, lines: list[str]) -> Path:
    cache = study.root.parents[1] / "cache"
    return fetch(source, cache, study.params, endpoint=hub.url, say=lines.append)


def refused(hub: Hub, study: Study, source: Source) -> str:
    with pytest.raises((DataError, OfflineError)) as caught:
        bring(hub, study, source, [])
    line = str(caught.value)
    assert "\n" not in line
    assert caught.value.exit_code == 2
    return line


def test_a_first_fetch_writes_the_lock_and_a_second_holds_to_it(
    hub: Hub, study: Study
) -> None:
    lines: list[str] = []
    source = model_of(study)
    folder = bring(hub, study, source, lines)
    assert folder.name == "Mistral-7B-Instruct-v0.3"
    names = {p.name for p in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not names & {"consolidated.safetensors", "README.md", ".cache"}
    assert not any(p.is_symlink() for p in folder.iterdir())
    assert "first fetch" in lines[0]
    lock = (study.params / "data.lock").read_bytes()
    assert set(read_lock(study.params).sources[source.key]) == names
    asked = len(hub.asked)
    assert bring(hub, study, source, lines) == folder
    assert lines[1].endswith("GiB") and "verified" in lines[1]
    assert len(hub.asked) == asked, "what is verified asks no hub"
    assert (study.params / "data.lock").read_bytes() == lock
    shutil.rmtree(folder)
    bring(hub, study, source, lines)
    assert "as locked" in lines[2]
    assert (study.params / "data.lock").read_bytes() == lock


def test_a_gated_repository_says_what_to_do(
    hub: Hub, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated.add(MODEL)
    line = refused(hub, study, model_of(study))
    assert line.startswith(f"{MODEL}: gated: ")
    assert "HF_TOKEN" in line
    monkeypatch.setenv("HF_TOKEN", "hf_made_up_for_this_test")
    lines: list[str] = []
    assert bring(hub, study, model_of(study), lines).is_dir()
    assert "hf_made_up" not in "".join(lines)


def test_a_missing_repository_and_a_moved_commit_are_told_apart(
    hub: Hub, study: Study
) -> None:
    files = hub.repositories.pop(MODEL)
    assert "no such model, or a private one" in refused(hub, study, model_of(study))
    hub.repositories[MODEL] = files
    hub.commit = "f" * 40
    line = refused(hub, study, documents_of(study))
    assert f"{DOCUMENTS}: commit 0123" in line
    assert line.endswith("params/profiles/h100.yaml: documents_revision")


def test_no_hub_is_offline_and_keeps_what_came(
    hub: Hub, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the library's tries
    hub.url = "http://127.0.0.1:9"
    line = refused(hub, study, documents_of(study))
    assert "not fetched (" in line
    assert "files that came whole are kept" in line


def test_a_commit_without_the_file_is_named(hub: Hub, study: Study) -> None:
    hub.repositories[DOCUMENTS] = {"README.md": b"moved"}
    assert "holds no file like data.json" in refused(hub, study, documents_of(study))


def test_a_body_cut_short_is_taken_up_where_it_broke(hub: Hub, study: Study) -> None:
    hub.repositories[DOCUMENTS]["data.json"] = LARGE
    hub.cuts["data.json"] = 1
    folder = bring(hub, study, documents_of(study), [])
    assert (folder / "data.json").read_bytes() == LARGE
    assert hub.gets("data.json") == [None, f"bytes={10 * 2**20}-"]


def test_a_killed_fetch_is_taken_up_by_the_next(hub: Hub, study: Study) -> None:
    hub.repositories[MODEL] |= {"a.safetensors": b"whole", "b.safetensors": LARGE}
    hub.stall.add("b.safetensors")
    cache = study.root.parents[1] / "cache"
    script = (
        "import sys; from pathlib import Path; "
        "from ibench.workloads.hub.fetch import fetch; "
        "from ibench.workloads.hub.sources import Source; "
        "fetch(Source.model_validate_json(sys.argv[1]), Path(sys.argv[2]), "
        "Path(sys.argv[3]))"
    )
    source = model_of(study)
    argv = [sys.executable, "-c", script, source.model_dump_json()]
    argv += [str(cache), str(study.params)]
    env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
    with subprocess.Popen(argv, env=env, cwd=REPOSITORY) as process:
        assert hub.stalled.wait(30)
        _until_written(place(source, cache).parent)
        process.kill()
    assert not place(source, cache).exists()
    with pytest.raises(OfflineError, match="not fetched: run `make data PROFILE=h100`"):
        locked_place(source, cache, study.params, "h100")
    hub.stall.clear()
    folder = bring(hub, study, source, [])
    assert (folder / "b.safetensors").read_bytes() == LARGE
    assert len(hub.gets("a.safetensors")) == 1, "what was whole is kept"
    assert len(hub.gets("b.safetensors")) == 2
    assert list(folder.parent.rglob("*.incomplete")) == []


def _until_written(folder: Path) -> None:
    for _ in range(300):
        if any(p.stat().st_size > 0 for p in folder.rglob("*.incomplete")):
            return
        time.sleep(0.05)
    pytest.fail("nothing was written")


def test_a_file_gone_or_cut_in_the_cache_is_fetched_again(
    hub: Hub, study: Study
) -> None:
    source = model_of(study)
    hub.repositories[MODEL]["whole.safetensors"] = b"weights"
    folder = bring(hub, study, source, [])
    cache = study.root.parents[1] / "cache"
    (folder / "config.json").unlink()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(OfflineError, match=r"2 of \d files missing or cut short"):
        locked_place(source, cache, study.params, "h100")
    hub.asked.clear()
    assert bring(hub, study, source, []) == folder
    assert len(hub.gets("/config.json")) == 1
    assert len(hub.gets("/model.safetensors")) == 1
    assert hub.gets("whole.safetensors") == [], "known by its hash"
    assert locked_place(source, cache, study.params, "h100") == folder


def test_a_file_damaged_on_the_disk_is_one_line(hub: Hub, study: Study) -> None:
    source = questions_of(study)
    folder = bring(hub, study, source, [])
    locked = read_lock(study.params).sources[source.key][PARQUET].sha256
    content = bytearray((folder / PARQUET).read_bytes())
    content[100] ^= 1
    (folder / PARQUET).write_bytes(content)
    line = refused(hub, study, source)
    assert line.startswith(str(folder / PARQUET))
    assert f"locked is {locked}" in line
    assert "remove this file" in line
    (folder / PARQUET).unlink()
    assert bring(hub, study, source, []) == folder


def test_a_file_damaged_on_the_way_is_removed_and_fetched_anew(
    hub: Hub, study: Study
) -> None:
    content = hub.repositories[DOCUMENTS]["data.json"]
    hub.sent["data.json"] = b"[" + b" " * (len(content) - 2) + b"]"
    line = refused(hub, study, documents_of(study))
    assert "damaged on the way and removed" in line
    assert read_lock(study.params).sources == {}
    hub.sent.clear()
    folder = bring(hub, study, documents_of(study), [])
    assert (folder / "data.json").read_bytes() == content


def test_a_source_that_changed_under_its_commit_is_refused(
    hub: Hub, study: Study
) -> None:
    source = documents_of(study)
    shutil.rmtree(bring(hub, study, source, []))
    lock = (study.params / "data.lock").read_bytes()
    hub.repositories[DOCUMENTS]["data.json"] = json.dumps([]).encode()
    line = refused(hub, study, source)
    assert f"{source.key}: data.json: the hub's file has sha256 4f53cda18c2b" in line
    assert "the source changed" in line
    assert (study.params / "data.lock").read_bytes() == lock


def test_a_lock_that_is_no_lock_is_one_line(hub: Hub, study: Study) -> None:
    (study.params / "data.lock").write_text('{"sources": {"a": {"b": {"bytes": 1}}}}')
    line = refused(hub, study, documents_of(study))
    assert "data.lock: sources.a.b.sha256: Field required" in line


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
@pytest.mark.parametrize(("size_mib", "said"), [(8, "no room for"), (80, "No space")])
def test_a_full_disk_is_one_line(
    hub: Hub, study: Study, size_mib: int, said: str
) -> None:
    """On a file system of a given size: too small at first sight, or only later."""
    cache = study.root.parents[1] / "cache"
    cache.mkdir()
    hub.repositories[DOCUMENTS]["data.json"] = LARGE
    script = (
        "import sys; from pathlib import Path; from ibench.workloads.hub import fetch; "
        "from ibench.workloads.hub.sources import Source\n"
        "from ibench.errors import IbenchError\n"
        "cache = Path(sys.argv[2])\n"
        "(cache / 'ballast').write_bytes(bytes(int(sys.argv[4])))\n"
        "fetch._SPARE_BYTES = -(2 ** 40) if sys.argv[4] != '0' else 0\n"
        "try: fetch.fetch(Source.model_validate_json(sys.argv[1]), cache, "
        "Path(sys.argv[3]))\n"
        "except IbenchError as error: print(error)\n"
        "print(*cache.rglob('data.json'))"
    )
    # The second has room for 16 of 24 MiB, and the first look is made blind.
    ballast = 0 if size_mib == 8 else 64 * 2**20
    argv = ["bwrap", "--dev-bind", "/", "/", "--size", str(size_mib * 2**20)]
    argv += ["--tmpfs", str(cache), sys.executable, "-c", script]
    argv += [documents_of(study).model_dump_json(), str(cache), str(study.params)]
    env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [*argv, str(ballast)],
        env=env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    line, came = done.stdout.splitlines()
    assert said in line
    assert "files that came whole are kept" in line
    assert came == ""
