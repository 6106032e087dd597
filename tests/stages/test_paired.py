"""A submission and the baseline up together, loaded in turns: real servers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import pytest

from ibench.errors import CorruptResultError
from ibench.params import Pairing
from ibench.params.types import Value
from ibench.records import BaselineResult, Outcome
from ibench.serving.engines import launcher_script
from ibench.stages import evidence as evidence_of
from ibench.stages.baseline import measure_baseline
from ibench.stages.gating import gate
from ibench.stages.relaunch import relaunch
from ibench.store import load_record, read_rows
from ibench.study.definition import Study
from tests.stages.stage_bench import BASE, CELL, IN_TURNS, Bench, run_stage_3

pytestmark = [pytest.mark.slow]
two_cores = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="the client has no core of its own"
)


@pytest.fixture(scope="module")
def bench(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(model_dir, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def baseline(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = bench.study(tmp_path_factory.mktemp("baseline"), IN_TURNS)
    job = bench.open(study, f"{BASE}/baseline")
    job.publish(measure_baseline(job))
    return study


@pytest.fixture
def study(bench: Bench, baseline: Study, tmp_path: Path) -> Study:
    """A study of its own over the same measured baseline."""
    made = bench.study(tmp_path, IN_TURNS)
    bench.lend(baseline, made)
    return made


def reference(study: Study, prefix: str = "") -> str:
    config: dict[str, Value | None] = dict(study.profile.baseline_config)
    script = launcher_script(study.baseline_engine, config)
    return script.replace("exec ", f"{prefix}exec ", 1)


def test_the_baseline_against_itself_is_compared_life_by_life(
    bench: Bench, study: Study
) -> None:
    bench.submit(study, reference(study))
    evidence = run_stage_3(bench, study).evidence
    assert evidence.paired is not None
    lives = evidence.paired.lives
    assert len(lives) == study.profile.pairing.lives == 2
    assert all(life.ratio for life in lives)
    assert all(life.blocks for life in lives)
    assert len(evidence.host) == 2
    assert (evidence.strays, evidence.intrusions) == (0, 0)
    assert not list((study.root / ".work").iterdir())  # of neither side
    folder = study.job(f"{CELL}/relaunch").folder
    ours, theirs = (
        [r["request_id"] for r in read_rows(folder / f"{name}.parquet")]
        for name in ("requests", "beside")
    )
    assert ours == theirs  # the same requests, each of them once
    assert len(set(ours)) == len(ours) > 0
    verdict = gate(bench.open(study, f"{CELL}/gating"))
    assert verdict.outcome is Outcome.OK, verdict.reason
    assert verdict.speedup is not None
    assert verdict.speedup.lives == 2
    assert verdict.speedup.unpaired is not None


@two_cores
def test_a_server_that_takes_the_clients_core_is_seen(
    bench: Bench, study: Study
) -> None:
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    widens = f"while :; do taskset -acp {cores} $$ >/dev/null; sleep 0.1; done &\n"
    bench.submit(study, reference(study, widens))
    evidence = run_stage_3(bench, study).evidence
    assert evidence.strays > 0
    verdict = gate(bench.open(study, f"{CELL}/gating"))
    assert verdict.outcome is Outcome.INTEGRITY
    assert "own_cores" in verdict.reason


def test_requests_that_wait_at_the_baseline_are_seen(
    bench: Bench, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody connects to it while it is stopped, to be answered on its time."""
    held: list[socket.socket] = []
    take_turns = evidence_of._take_turns

    def intrude(seen: Any, running: Any, other: Any, cores: Any) -> None:
        take_turns(seen, running, other, cores)
        held.append(socket.create_connection(("127.0.0.1", other.port)))

    monkeypatch.setattr(evidence_of, "_take_turns", intrude)
    bench.submit(study, reference(study))
    try:
        evidence = run_stage_3(bench, study).evidence
    finally:
        for connection in held:
            connection.close()
    assert evidence.intrusions > 0
    verdict = gate(bench.open(study, f"{CELL}/gating"))
    assert verdict.outcome is Outcome.INTEGRITY
    assert "left_alone" in verdict.reason


def test_a_machine_that_others_use_is_said_in_the_verdict(
    bench: Bench, study: Study
) -> None:
    """One process too many on every core: the point is invalid by itself."""
    spin = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(spin) for _ in os.sched_getaffinity(0)]
    try:
        bench.submit(study, reference(study))
        evidence = run_stage_3(bench, study).evidence
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert min(host.others_cores for host in evidence.host) > 0.3
    verdict = gate(bench.open(study, f"{CELL}/gating"))
    assert any("other programs" in why for why in verdict.invalid)


def test_a_baseline_that_does_not_start_gives_no_score(
    bench: Bench, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is to blame for it: without the other side there is no comparison."""
    base = study.job(f"{BASE}/baseline").folder
    broken = base / "submission" / "start_server.sh"
    kept = broken.read_text()
    bench.submit(study, reference(study))
    broken.write_text("#!/bin/sh\nexit 3\n")
    job = bench.open(study, f"{CELL}/relaunch")
    with pytest.raises(CorruptResultError, match="its record says"):
        relaunch(job)  # stage 1 measured something else
    monkeypatch.setattr("ibench.stages.relaunch._baseline", lambda _: broken.parent)
    job.publish(relaunch(job))
    broken.write_text(kept)
    verdict = gate(bench.open(study, f"{CELL}/gating"))
    assert verdict.outcome is not Outcome.OK
    assert verdict.speedup is None
    assert isinstance(load_record(base).result, BaselineResult)


def test_lives_of_the_baseline_before_and_after(bench: Bench, tmp_path: Path) -> None:
    """Where one GPU cannot hold both: nothing is up beside anything."""
    pairing = Pairing(kind="lives", lives=2, baseline_after=1)
    study = bench.study(tmp_path, pairing)
    profile = study.profile.model_copy(update={"baseline_repeats": 2})
    study.profile = profile
    job = bench.open(study, f"{BASE}/baseline")
    base = measure_baseline(job)
    job.publish(base)
    assert len(base.lives) == 2
    bench.submit(study, reference(study))
    evidence = run_stage_3(bench, study).evidence
    paired = evidence.paired
    assert paired is not None
    assert [life.baseline_objective for life in paired.lives] == [None, None]
    assert all(life.objective for life in paired.lives)
    assert len(paired.baseline_after) == 1
    assert not (study.job(f"{CELL}/relaunch").folder / "beside.parquet").exists()
    assert (
        len(read_rows(study.job(f"{CELL}/relaunch").folder / "requests.parquet")) == 3
    )
    verdict = gate(bench.open(study, f"{CELL}/gating"))
    assert verdict.outcome is Outcome.OK, verdict.reason
    found = verdict.speedup
    assert found is not None
    assert found.lives == 2  # of the side with fewer
    ours = [life.objective for life in paired.lives if life.objective]
    everything = [*base.lives, *paired.baseline_after]
    ratio = geometric_mean(ours) / geometric_mean(everything)
    assert found.value == pytest.approx(ratio)
    assert found.low is not None
    assert found.low < ratio
