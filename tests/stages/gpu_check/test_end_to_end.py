"""The command with the shape ``tiny`` on a CPU: real servers, real load client."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import torch

from ibench import REPOSITORY
from ibench.__main__ import main
from ibench.serving.linux import command_line
from ibench.stages.gpu_check.record import RECORD, CheckRecord

pytestmark = pytest.mark.long

FEWER = {
    "burst: 64, poisson: 32, constant: 16": "burst: 4, poisson: 2, constant: 2",
    "  tpot_slo_s: 0.05\n": "  tpot_slo_s: 0.05\n  client: {calibrate: false}\n",
}


class Ran(NamedTuple):
    """A run that was cut off, and the one that went on."""

    params: Path
    results: Path
    cut: CheckRecord
    left: list[str]
    code: int
    said: str
    record: CheckRecord


def _params(folder: Path, changes: dict[str, str]) -> Path:
    shutil.copytree(REPOSITORY / "params", folder)
    path = folder / "gpu-check.yaml"
    text = path.read_text()
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    return folder


def _argv(params: Path, results: Path, *more: str) -> list[str]:
    places = ["--params", str(params), "--results", str(results)]
    return ["gpu-check", "--shape", "tiny", "--device", "cpu", *places, *more]


def _read(results: Path) -> CheckRecord:
    path = results / "gpu-check" / "cpu" / RECORD
    return CheckRecord.model_validate_json(path.read_bytes(), strict=True)


def _cut_off(argv: list[str]) -> list[str]:
    """Interrupt the command after its first scenario; return servers left behind."""
    command = [sys.executable, "-m", "ibench", *argv]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "scenario a: " in line:
                process.send_signal(signal.SIGINT)
                break
        process.wait(60)
    assert process.returncode != 0
    lines = [command_line(pid) for pid in psutil.pids()]
    return [c for c in lines if "ibench.serving.reference" in c and "gpu-check" in c]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    root = tmp_path_factory.mktemp("gpu-check")
    params, results = _params(root / "params", FEWER), root / "results"
    argv = _argv(params, results)
    left = _cut_off(argv)
    cut = _read(results)
    said = root / "said"
    with said.open("w") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "ibench", *argv],
            stdout=stream,
            check=False,
            cwd=REPOSITORY,
        )
    text = said.read_text()
    return Ran(params, results, cut, left, done.returncode, text, _read(results))


@pytest.mark.slow
def test_both_servers_answer_every_request_of_every_scenario(ran: Ran) -> None:
    assert ran.code == 0, ran.said
    pairs = {(f.engine, f.scenario) for f in ran.record.findings}
    assert len(pairs) == len(ran.record.findings) == 8
    for found in ran.record.findings:
        assert (found.outcome, found.reason) == ("measured", "")
        assert found.objective is not None
        assert found.objective > 0
        for phase in found.phases:
            assert phase.completed == phase.requests
            assert phase.ttft_p50_s is not None
            assert phase.tpot_p50_s is not None
            assert phase.request_rate_per_s > 0


@pytest.mark.slow
def test_lengths_are_as_asked_and_counted_by_the_server(ran: Ran) -> None:
    for found in ran.record.findings:
        assert found.dialect in (
            "ignore_eos+continuous_usage",
            "generation_config+continuous_usage",
        )
        for phase in found.phases:
            assert set(phase.tokens_from) <= {"continuous_usage", "usage"}
            longest = phase.requests * found.output_tokens
            assert 0.98 * 0.8 * longest <= phase.output_tokens <= longest
            assert 0.8 * found.input_tokens <= phase.input_tokens_mean
            assert phase.input_tokens_mean <= found.input_tokens


@pytest.mark.slow
def test_a_second_run_goes_on_where_the_first_was_cut_off(ran: Ran) -> None:
    kept = [(f.engine, f.scenario) for f in ran.cut.findings]
    assert kept == [("reference", "a")]
    assert ran.cut.findings[0] == ran.record.finding("reference", "a")
    assert "reference: scenario a:" not in ran.said
    assert "reference: scenario b:" in ran.said
    assert ran.left == []


@pytest.mark.slow
def test_the_table_is_printed_and_says_that_lengths_are_scaled(ran: Ran) -> None:
    assert "lengths divided by 64" in ran.said
    assert re.search(r"transformers-serve +4/4", ran.said)
    assert "PyTorch baseline, H100" in ran.said
    assert ran.said.rstrip().endswith("gpu-check/cpu/record.json")


@pytest.mark.slow
def test_no_machine_is_named_in_the_record(ran: Ran) -> None:
    text = (ran.results / "gpu-check" / "cpu" / RECORD).read_text()
    assert str(REPOSITORY) not in text
    assert "127.0.0.1" not in text
    assert "/tmp" not in text


@pytest.mark.slow
def test_a_third_run_shows_what_is_there_and_starts_nothing(
    ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_argv(ran.params, ran.results, "--engines", "reference")) == 0
    said = capsys.readouterr().out
    assert "launch" not in said
    assert "transformers-serve" in said
    assert _read(ran.results) == ran.record


@pytest.mark.slow
def test_a_server_that_does_not_start_is_a_line_and_is_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = _params(tmp_path / "params", FEWER)
    engine = params / "engines" / "transformers-serve.yaml"
    engine.write_text(engine.read_text().replace("serve, ", "servee, "))
    results = tmp_path / "results"
    assert main(_argv(params, results, "--scenarios", "d")) == 1
    said = capsys.readouterr().out
    assert "FAILED transformers-serve, scenario D: server exited" in said
    good, bad = _read(results).findings
    assert (good.engine, good.outcome) == ("reference", "measured")
    assert (bad.outcome, bad.phases, bad.objective) == ("failed", (), None)
    assert main(_argv(params, results, "--scenarios", "d")) == 1
    said = capsys.readouterr().out
    assert "reference: launch" not in said
    assert "transformers-serve: launch" in said


@pytest.mark.slow
def test_a_scenario_that_fails_is_a_line_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = FEWER | {"request_timeout_s: 900.0": "request_timeout_s: 0.0001"}
    params, results = _params(tmp_path / "params", changes), tmp_path / "results"
    argv = _argv(params, results, "--engines", "reference", "--scenarios", "d")
    assert main(argv) == 1
    assert "D: 1 of 1 requests failed: timeout 1" in capsys.readouterr().out
    (found,) = _read(results).findings
    assert found.phases[0].failures == {"timeout": 1}


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_the_same_path_on_a_gpu_reads_its_card_and_its_energy(tmp_path: Path) -> None:
    params, results = _params(tmp_path / "params", FEWER), tmp_path / "results"
    argv = [*_argv(params, results, "--scenarios", "a"), "--device", "cuda"]
    assert main(argv) == 0
    (path,) = (results / "gpu-check").glob("*/record.json")
    record = CheckRecord.model_validate_json(path.read_bytes(), strict=True)
    assert record.hardware.memory_mib is not None
    assert [f.outcome for f in record.findings] == ["measured"] * 2
    assert all(f.gpu is not None for f in record.findings)
