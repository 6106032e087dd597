"""``make data`` from a loopback hub to request sets, and then without any hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.__main__ import main
from ibench.errors import DataError, OfflineError, WorkloadError
from ibench.study.assets import Assets
from ibench.study.data import make_data
from ibench.study.definition import Study
from tests.workloads.hub.conftest import DOCUMENTS, MODEL, made_study
from tests.workloads.hub.hub import Hub


def test_one_command_brings_everything_and_a_second_changes_nothing(
    hub: Hub, study: Study, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    argv = [sys.executable, "-m", "ibench", "data", "--profile", "h100"]
    argv += ["--params", str(study.params), "--cache", str(cache)]
    env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
    env["HF_DATASETS_CACHE"] = str(tmp_path / "not-used")
    first, second = (
        subprocess.run(
            argv, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    )
    assert first.count("first fetch, added to") == 3
    assert second.count(": verified, ") == 3
    assert [x for x in first.splitlines() if x[:2] in ("a/", "b/", "c/", "d/")] == [
        x for x in second.splitlines() if x[:2] in ("a/", "b/", "c/", "d/")
    ]
    sets = json.loads((cache / "workloads" / "h100.json").read_text())
    # 4 scenarios, 3 pairs: dev, eval and two warm-ups; two sets of questions.
    assert len(sets) == 4 * 3 * 4 + 2
    assert len({s["sha256"] for s in sets}) == len(sets)
    _offline(study, cache, hub)


def _offline(study: Study, cache: Path, hub: Hub) -> None:
    """Every set again, with a hub that would notice being asked."""
    hub.asked.clear()
    assets = Assets(study, cache)
    for scenario in study.scenarios.values():
        for pair in scenario.seed_pairs:
            dev = assets.requests(scenario.workload, pair.development, "dev")
            evaluated = assets.requests(scenario.workload, pair.evaluation, "eval")
            used = {r.document_id for r in dev} & {r.document_id for r in evaluated}
            assert not used
    scored, seen = assets.questions("eval"), assets.questions("dev")
    assert (len(scored), len(seen)) == (20, 10)
    assert not {q.question_id for q in scored} & {q.question_id for q in seen}
    assert hub.asked == []


def test_stages_name_the_command_that_is_missing(study: Study, tmp_path: Path) -> None:
    assets = Assets(study, tmp_path / "cache")
    for ask in (lambda: assets.model_dir, lambda: assets.documents):
        with pytest.raises(OfflineError, match="run `make data PROFILE=h100`"):
            ask()
    with pytest.raises(OfflineError, match="MMLU-Pro"):
        assets.questions("eval")


def test_one_source_that_fails_keeps_the_others(
    hub: Hub, study: Study, tmp_path: Path
) -> None:
    cache, lines = tmp_path / "cache", list[str]()
    hub.gated.add(MODEL)
    hub.repositories.pop(DOCUMENTS)
    with pytest.raises(DataError, match=r"h100: 2 of its data are missing, the first"):
        make_data(study, cache, endpoint=hub.url, say=lines.append)
    assert [line.split(":")[0] for line in lines] == ["dataset", "missing", "missing"]
    assert "MMLU-Pro" in lines[0]
    assert f"{DOCUMENTS}: no such dataset" in lines[1]
    assert f"{MODEL}: gated" in lines[2]


def test_a_hub_out_of_reach_is_asked_once_and_said_in_one_line(
    study: Study, tmp_path: Path
) -> None:
    argv = [sys.executable, "-m", "ibench", "data", "--profile", "h100"]
    argv += ["--params", str(study.params), "--cache", str(tmp_path / "cache")]
    env = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        argv, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("ibench: dataset:TIGER-Lab/MMLU-Pro@0123")
    assert "not fetched (" in line


def test_the_published_form_is_exported(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = made_study(tmp_path, compat="upstream")
    out, lines = tmp_path / "out", list[str]()
    make_data(study, tmp_path / "cache", export=out, endpoint=hub.url, say=lines.append)
    rows = (out / "b" / "248" / "requests.jsonl").read_text().splitlines()
    assert len(rows) == study.scenarios["b"].phases[0].requests
    assert "é" in rows[0] or "\\u" not in rows[0]
    record = json.loads(rows[0])
    assert record["gold_answer"] in "ABCD"
    assert record["sampling_range_ratio"] == 0.8


def test_sets_that_cannot_be_made_are_told_and_the_others_made(
    hub: Hub, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_file = Assets.request_file

    def failing(self: Assets, scenario: object, seed: int, *more: object) -> Path:
        if seed == 999:
            raise WorkloadError("no cut within 0 tokens")
        return request_file(self, scenario, seed, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Assets, "request_file", failing)
    lines = list[str]()
    with pytest.raises(DataError, match=r"8 of its data .* a/dev-999: no cut"):
        make_data(study, tmp_path / "cache", endpoint=hub.url, say=lines.append)
    assert any(line.startswith("d/eval-777") for line in lines)
    assert sum(line.startswith("missing: ") for line in lines) == 8


def test_a_profile_with_the_embedded_model_needs_no_hub(
    model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = str(model_dir.parents[1])
    params = str(REPOSITORY / "params")
    argv = ["data", "--profile", "smoke", "--cache", cache, "--params", params]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert "a/eval-1337: 6 requests" in printed
    assert "questions/dev: 20" in printed
