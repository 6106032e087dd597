"""``ibench score``: a launcher folder or a running server, one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ibench.__main__ import main
from ibench.records import ScoreResult
from ibench.serving.engines import launcher_script
from ibench.serving.launch import LAUNCHER
from ibench.serving.processes import free_port
from ibench.store import load_record, verify
from ibench.study.definition import Study
from tests.stages.stage_bench import IN_TURNS, Bench
from tests.waiting import until_it_answers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("score")
    return Bench(model_dir, folder / "cache").study(folder, IN_TURNS)


@pytest.fixture(scope="module")
def submission(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submission")
    script = launcher_script(study.engine("reference"), {"threads": 1})
    (folder / LAUNCHER).write_text(script)
    (folder / LAUNCHER).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def running(
    submission: Path, model_dir: Path, study: Study
) -> Iterator[tuple[str, int]]:
    port = free_port()
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    env |= {"HOST": "127.0.0.1", "PORT": str(port), "MODEL_PATH": str(model_dir)}
    env |= {"MODEL_ID": study.model.model_id}
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([f"./{LAUNCHER}"], cwd=submission, env=env) as server:
        try:
            until_it_answers(url)
            yield url, server.pid
        finally:
            server.kill()


def _score(study: Study, target: str, out: Path, *options: str) -> int:
    folders = ["--params", str(study.params), "--results", str(study.results)]
    named = ["--profile", "smoke", "--out", str(out)]
    return main(["score", target, *named, *folders, *options])


def test_a_folder_beside_a_baseline_measured_here(
    study: Study,
    submission: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _score(study, str(submission), tmp_path, "--baseline") == 0
    *table, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert (found["outcome"], found["timestamp_source"]) == ("ok", "kernel")
    # The reference against itself: other threads, same answers.
    assert 0.2 < found["speedup"] < 5
    alone = found["objective"] / found["baseline_objective"]
    assert found["unpaired"] == pytest.approx(alone)
    assert found["speedup_low"] < found["speedup"] < found["speedup_high"]
    assert found["correct"] == found["baseline_correct"] > 0
    text = "\n".join(table)
    assert "TTFT p50" in text
    assert f"speedup    {found['speedup']:.2f}x (" in text
    assert f"against the baseline alone {found['unpaired']:.2f}x" in text
    assert (tmp_path / "requests.parquet").is_file()
    assert (tmp_path / "baseline" / "answers.parquet").is_file()
    record = load_record(tmp_path)
    assert isinstance(record.result, ScoreResult)
    assert record.result.verdict.outcome == found["outcome"]
    assert record.result.evidence.objective == found["objective"]
    assert {"target", "seed", "model", "measure", "gates"} <= set(record.spec)
    assert verify(tmp_path) == verify(tmp_path / "baseline") == []


def test_an_earlier_score_is_kept_and_verify_reads_both(
    study: Study,
    running: tuple[str, int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = study.results / "scores" / "smoke" / "kept"
    assert _score(study, running[0], out) == _score(study, running[0], out) == 0
    first, last = load_record(out / "attempts" / "1"), load_record(out)
    assert first.run_id == last.run_id
    assert first.provenance.started_utc <= last.provenance.started_utc
    folders = ["--params", str(study.params), "--results", str(study.results)]
    assert main(["verify", "--profile", "smoke", *folders]) == 0
    path = out / "record.json"
    path.write_text(path.read_text().replace('"ok"', '"integrity"'))
    capsys.readouterr()
    assert main(["verify", "--profile", "smoke", *folders]) == 2
    assert "kept/record.json: edited" in capsys.readouterr().err


def test_a_folder_with_other_things_is_left_alone(
    study: Study,
    submission: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    assert _score(study, str(submission), tmp_path) == 2
    assert "name a new folder" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_running_server_is_scored_and_left_running(
    study: Study,
    running: tuple[str, int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, pid = running
    assert _score(study, url, tmp_path) == 0
    *table, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert (found["outcome"], found["speedup"]) == ("ok", None)
    assert found["objective"] > 0
    assert found["questions"] == 20
    assert any("no baseline of this host" in line for line in table)
    os.kill(pid, 0)  # still there
    assert httpx.get(f"{url}/v1/models").status_code == 200


@pytest.mark.parametrize(
    ("target", "options", "named"),
    [
        ("/nowhere", (), "start_server.sh"),
        ("http://127.0.0.1:9", (), "http://127.0.0.1:9"),
        ("/nowhere", ("--scenario", "b"), "'b'"),
    ],
)
def test_a_mistake_is_one_line(
    study: Study,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    target: str,
    options: tuple[str, ...],
    named: str,
) -> None:
    assert _score(study, target, tmp_path, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert named in line
