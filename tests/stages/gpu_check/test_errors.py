"""Every mistake ends in one line and exit code 2, before anything is started."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from ibench import REPOSITORY
from ibench.__main__ import main
from ibench.errors import DataError, UserError
from ibench.params.engines import load_engine
from ibench.stages.gpu_check.hardware import cuda_machine
from ibench.stages.gpu_check.model import ensure_model
from ibench.stages.gpu_check.settings import load_settings, shortened
from ibench.stages.gpu_check.task import Check, Task
from tests.study.doctor.test_doctor import FakeNvml

PARAMS = REPOSITORY / "params"
SETTINGS = load_settings(PARAMS)
GIB = 2**30


def _error(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> str:
    code = main(["gpu-check", "--results", str(folder), *options])
    said = capsys.readouterr()
    assert code == 2, said
    assert said.err.count("\n") == 1
    assert list(folder.iterdir()) == []
    return said.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_cuda_the_command_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = _error(capsys, tmp_path)
    assert "CUDA" in said
    assert "make gpu-check SHAPE=tiny DEVICE=cpu" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--shape", "tiyn"],
            "shapes: 'tiyn': unknown; did you mean 'tiny'? choose one of mi",
        ),
        (
            ["--engines", "vllm"],
            "engines: 'vllm': unknown; choose one of reference, tr",
        ),
        (["--scenarios", "a,e"], "scenarios: 'e': unknown; choose one of a, b, c, d"),
        (["--scenarios", ","], "scenarios: ',': unknown"),
        (
            ["--device", "cpu"],
            "'mistral-7b': full lengths need a GPU; choose one of ti",
        ),
    ],
)
def test_an_unknown_name_is_told_with_what_there_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], said: str
) -> None:
    assert said in _error(capsys, tmp_path, *options)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("b: {burst: 1}", "b: {bursts: 1}", "requests.b: {'bursts': 1}: give each"),
        ("b: {burst: 1}", "b: {burst: 0}", "requests.b: {'burst': 0}: give each"),
        ("      b: {burst: 1}\n", "", "requests need a, b, c and d"),
        ("layers: 2", "layer: 2", "shapes.tiny.layer: 2: unknown key; did you mean"),
        ("  transformers-serve:", "  transformer:", "'transformer': unknown; did you"),
    ],
)
def test_a_mistake_in_the_file_is_told(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    before: str,
    after: str,
    said: str,
) -> None:
    params, results = tmp_path / "params", tmp_path / "results"
    shutil.copytree(PARAMS, params)
    results.mkdir()
    path = params / "gpu-check.yaml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    options = ["--shape", "tiny", "--device", "cpu", "--params", str(params)]
    assert said in _error(capsys, results, *options)


def _check(folder: Path, scenario: str, memory_gib: int) -> Check:
    nvml = FakeNvml(names=["NVIDIA L4"], total=memory_gib * GIB, power_mw=72_000)
    run, name = SETTINGS.engines["transformers-serve"], "transformers-serve"
    shape = SETTINGS.shapes["mistral-7b"]
    asked = {
        s: shortened(PARAMS, s, shape, run.requests[s])
        for s in run.requests
        if s == scenario
    }
    engine = load_engine(PARAMS, name)
    return Check(
        settings=SETTINGS,
        shape_name="mistral-7b",
        machine=cuda_machine(nvml, "13.0", PARAMS, None),
        engines=(engine,),
        tasks=(Task(engine, run, asked),),
        cache=folder,
        folder=folder,
        say=print,
    )


def test_a_gpu_that_is_too_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"NVIDIA L4: 24\.0 GiB, .* need 31\.5: leave"):
        _check(tmp_path, "c", 24).refuse_small_gpu()
    _check(tmp_path, "a", 24).refuse_small_gpu()
    _check(tmp_path, "c", 40).refuse_small_gpu()


def test_a_disk_that_is_too_full_is_refused(tmp_path: Path) -> None:
    endless = SETTINGS.shapes["tiny"].model_copy(update={"layers": 10**12})
    with pytest.raises(DataError, match="GiB free, the weights of endless need"):
        ensure_model(tmp_path, "endless", endless, 0, "cpu", print)
    assert list(tmp_path.iterdir()) == []
