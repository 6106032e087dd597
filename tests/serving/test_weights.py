"""Weights that real processes opened, cached or were told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ibench.serving import linux
from ibench.serving.weights import opened_by

HOLDS = """
import mmap, sys, time
files = [open(p, "rb") for p in sys.argv[1:3]]
mapped = mmap.mmap(files[0].fileno(), 0, access=mmap.ACCESS_READ)
files[0].close()
print(1, flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with one weight file mapped, one open, a cache, and a folder told."""
    cached = tmp_path / "hub" / "models--org--other"
    (cached / "blobs").mkdir(parents=True)
    (cached / "blobs" / "0a").write_bytes(b"w")
    (tmp_path / "hub" / "models--only--asked" / "blobs").mkdir(parents=True)
    (tmp_path / "out" / "model-w4").mkdir(parents=True)
    paths = [tmp_path / "out" / "model-w4" / "a.safetensors", tmp_path / "b.gguf"]
    for path in paths:
        path.write_bytes(b"weights")
    words = ["--model", "out/model-w4", "--tokenizer", "org/else"]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, *map(str, paths), *words],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={"HF_HUB_CACHE": str(tmp_path / "hub")},
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child
        child.kill()


def test_what_is_open_mapped_cached_and_told_is_seen(
    holder: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert opened_by([holder.pid]) == (
        f"file {tmp_path}/b.gguf",
        f"file {tmp_path}/out/model-w4/a.safetensors",
        "hub org/other",
        "local out/model-w4",
    )
    assert linux.variable(holder.pid, "HF_HUB_CACHE") == str(tmp_path / "hub")
    assert linux.variable(holder.pid, "HF_HOME") is None


def test_a_process_that_is_gone_has_nothing(holder: subprocess.Popen[bytes]) -> None:
    assert not linux.is_ending(holder.pid)
    holder.kill()
    holder.wait()
    assert opened_by([holder.pid]) == ()
    assert not linux.is_ending(holder.pid)
