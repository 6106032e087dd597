"""Stages 3 and 4 over real launchers, most of them bad: evidence, record, verdict."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ibench.analysis.scores import score
from ibench.records import BaselineResult, LaunchOutcome, Outcome
from ibench.serving.engines import launcher_script
from ibench.serving.processes import free_port
from ibench.stages.baseline import measure_baseline
from ibench.stages.gating import gate
from ibench.store import load_record, verify
from ibench.study.definition import Study
from tests.stages.stage_bench import (
    BASE,
    CELL,
    MARK,
    REQUESTS,
    Bench,
    Ran,
    is_free,
    run_stage_3,
)
from tests.stages.test_runner import gone

pytestmark = [pytest.mark.slow, pytest.mark.long]


@dataclass(frozen=True)
class Case:
    """A launcher, what stage 3 has to see of it, and what stage 4 has to say."""

    name: str
    script: str | None
    launch: LaunchOutcome
    outcome: Outcome
    detail: str
    failures: dict[str, int] | None = None  # None: nothing was measured
    mode: int = 0o755
    measure: dict[str, float] = field(default_factory=dict)


def served(name: str, failure: str, outcome: Outcome, **measure: float) -> Case:
    return Case(
        name=name,
        script=f"exec python serve.py {name} $PORT {MARK}",
        launch=LaunchOutcome.READY,
        outcome=outcome,
        detail="no request completed",
        failures={failure: REQUESTS},
        measure=measure,
    )


WAIT = f"exec python -c 'import time; time.sleep(60)' {MARK}"
OTHER_PORT = free_port()
CASES = (
    Case(
        "missing",
        None,
        LaunchOutcome.MISSING,
        Outcome.UNREACHABLE,
        "no start_server.sh",
    ),
    Case(
        "not-executable",
        WAIT,
        LaunchOutcome.NOT_EXECUTABLE,
        Outcome.UNREACHABLE,
        "not exec",
        mode=0o644,
    ),
    Case(
        "exits",
        "echo flag --fast is unknown; exit 3",
        LaunchOutcome.EXITED,
        Outcome.UNREACHABLE,
        "launcher returned 3",
    ),
    Case(
        "daemonises",
        f"setsid python serve.py good $PORT {MARK} & exit 0",
        LaunchOutcome.DETACHED,
        Outcome.INTEGRITY,
        "launcher returned 0; left 1 process",
    ),
    Case(
        "never-ready",
        WAIT,
        LaunchOutcome.NEVER_READY,
        Outcome.UNREACHABLE,
        "port never opened",
        measure={"ready_timeout_s": 2.0},
    ),
    Case(
        "other-port",
        f"exec python serve.py good {OTHER_PORT} {MARK}",
        LaunchOutcome.NEVER_READY,
        Outcome.UNREACHABLE,
        f"listen on {OTHER_PORT}",
        # Long enough for its interpreter to start beside other work.
        measure={"ready_timeout_s": 4.0},
    ),
    served("status_500", "http_status", Outcome.UNREACHABLE),
    served("broken_json", "malformed", Outcome.UNREACHABLE),
    served("hang", "timeout", Outcome.UNREACHABLE, request_timeout_s=0.4),
    # An answer that ends early is a failed request; tokens told and not sent, a lie.
    served("short", "short", Outcome.UNREACHABLE),
    served("false_count", "short", Outcome.INTEGRITY),
    Case(
        "dies",
        f"exec python serve.py dies $PORT {MARK}",
        LaunchOutcome.DIED,
        Outcome.UNREACHABLE,
        "launcher returned 7",
        failures={"connect": 2},
    ),
)


@pytest.fixture(scope="module")
def bench(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(model_dir, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def relaunched(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Case], Ran]:
    """Relaunch each case once, whichever test asks first."""
    done: dict[str, Ran] = {}

    def ran(case: Case) -> Ran:
        if case.name not in done:
            study = bench.study(tmp_path_factory.mktemp(case.name), **case.measure)
            script = None if case.script is None else f"#!/bin/sh\n{case.script}\n"
            bench.submit(study, script, case.mode)
            done[case.name] = run_stage_3(bench, study)
        return done[case.name]

    return ran


@pytest.fixture(scope="module")
def baseline(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study whose baseline was measured for real."""
    study = bench.study(tmp_path_factory.mktemp("baseline"))
    job = bench.open(study, f"{BASE}/baseline")
    job.publish(measure_baseline(job))
    return study


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert gone(MARK)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_bad_launcher_is_evidence_and_leaves_nothing(
    case: Case, relaunched: Callable[[Case], Ran]
) -> None:
    ran = relaunched(case)
    evidence = ran.evidence
    assert evidence.launch.outcome is case.launch
    assert case.detail in evidence.objective_detail or case.detail in (
        evidence.launch.detail
    )
    if case.failures is None:
        assert evidence.phases == ()
        assert (evidence.objective, evidence.failure_rate) == (None, None)
    else:
        (phase,) = evidence.phases
        assert phase.failures == case.failures
        assert phase.requests == REQUESTS
        assert evidence.failure_rate == pytest.approx(
            sum(case.failures.values()) / REQUESTS
        )
    assert evidence.left_behind == ()
    assert is_free(ran.port)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_its_record_is_published_and_verifies(
    case: Case, relaunched: Callable[[Case], Ran]
) -> None:
    ran = relaunched(case)
    job = ran.study.job(f"{CELL}/relaunch")
    record = load_record(job.folder)
    assert record.result == ran.evidence
    assert record.run_id == job.run_id
    assert {"requests.parquet", "chunks.parquet", "answers.parquet"} <= set(
        record.files
    )
    assert verify(job.folder) == []
    assert not list((ran.study.root / ".work").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_its_verdict_scores_one(
    case: Case, relaunched: Callable[[Case], Ran], bench: Bench, baseline: Study
) -> None:
    study = relaunched(case).study
    bench.lend(baseline, study)
    job = bench.open(study, f"{CELL}/gating")
    verdict = gate(job)
    assert verdict.outcome is case.outcome, verdict.reason
    assert case.launch in verdict.reason or case.failures is not None
    assert verdict.baseline_objective is not None
    value = score(
        verdict.outcome, verdict.objective, verdict.baseline_objective, floor=False
    )
    assert value == 1.0
    job.publish(verdict)
    assert verify(job.folder) == []


@pytest.mark.slow
def test_the_baseline_itself_passes_every_check(
    bench: Bench, baseline: Study, tmp_path: Path
) -> None:
    """The control: the labels above do not come from the bench."""
    base = load_record(baseline.job(f"{BASE}/baseline").folder).result
    assert isinstance(base, BaselineResult)
    assert base.evidence.failure_rate == 0.0
    assert verify(baseline.job(f"{BASE}/baseline").folder) == []
    study = bench.study(tmp_path)
    script = launcher_script(study.baseline_engine, dict(study.profile.baseline_config))
    bench.submit(study, script)
    evidence = run_stage_3(bench, study).evidence
    shutil.copytree(baseline.root / BASE, study.root / BASE)
    verdict = gate(bench.open(study, f"{CELL}/gating"))
    assert verdict.outcome is Outcome.OK, verdict.reason
    assert evidence.objective is not None
    assert verdict.baseline_objective is not None
    assert verdict.speedup is not None
    ratio, base_objective = verdict.speedup.value, verdict.baseline_objective
    value = score(verdict.outcome, ratio, base_objective, floor=False)
    assert value == pytest.approx(evidence.objective / base_objective)
