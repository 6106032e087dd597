from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ibench import REPOSITORY
from ibench.gates import integrity
from ibench.gates.bench import Bench
from ibench.gates.verdict import judge_run
from ibench.params import Gates
from ibench.params.files import load_yaml
from ibench.records import (
    Chunk,
    Evidence,
    FailureKind,
    Launch,
    LaunchOutcome,
    Outcome,
    RequestResult,
)
from tests.factories import MS, evidence, phase, questions, result

GATES = load_yaml(Gates, REPOSITORY / "params" / "gates" / "cpu.yaml")
MODEL = "ibench/embedded-mistral"
GOOD = [result(tokens=20) for _ in range(10)]


def seen(made: Evidence, results: Sequence[RequestResult] = ()) -> integrity.Seen:
    return integrity.Seen(made, results, GATES, MODEL, "model-dir")


def fake_first(text: str, phase_name: str = "burst") -> RequestResult:
    """A chunk at once, then the true first token after 50 ms."""
    honest = result(ttft_ms=50, tpot_ms=2, tokens=10)
    early = Chunk(t_read_ns=1 * MS, t_recv_ns=None, text=text, n_tokens=None)
    return honest.model_copy(
        update={
            "phase": phase_name,
            "chunks": (early, *honest.chunks),
            "first_text": text,
            "text": text + honest.text,
            "first_token_ns": 1 * MS,
        }
    )


@pytest.mark.parametrize("text", [" ", "\u200b", "\n", "The"])
def test_a_fake_first_chunk_is_found(text: str) -> None:
    found = integrity.first_chunk(seen(evidence(), [fake_first(text)] * 5))
    assert found.status == "failed"


def test_a_server_that_hangs_has_started_no_clock() -> None:
    hung = fake_first("The").model_copy(update={"failure": FailureKind.TIMEOUT})
    found = integrity.first_chunk(seen(evidence(), [hung] * 5))
    assert found.status == "not_applicable"
    short = hung.model_copy(update={"failure": FailureKind.SHORT})
    assert integrity.first_chunk(seen(evidence(), [short] * 5)).status == "failed"


def test_honest_streams_pass_also_when_they_begin_with_a_blank() -> None:
    blank = [r.model_copy(update={"first_text": "\n"}) for r in GOOD]
    assert integrity.first_chunk(seen(evidence(), blank)).status == "passed"


def test_a_visible_stall_under_load_is_no_violation() -> None:
    busy = evidence(phases=(phase(concurrency=8),))
    assert integrity.first_chunk(seen(busy, [fake_first("The")] * 5)).status == "passed"
    assert integrity.first_chunk(seen(busy, [fake_first(" ")] * 5)).status == "failed"


def test_short_outputs_are_found() -> None:
    short = [result(failure=FailureKind.SHORT) for _ in range(2)]
    assert integrity.output_length(seen(evidence(), GOOD + short)).status == "failed"
    assert integrity.output_length(seen(evidence(), GOOD)).status == "passed"


@pytest.mark.parametrize(
    ("factor", "status"), [(1.0, "passed"), (1.5, "failed"), (0.5, "failed")]
)
def test_usage_must_agree_with_the_text(factor: float, status: str) -> None:
    told = [r.model_copy(update={"usage_tokens": int(20 * factor)}) for r in GOOD]
    assert integrity.usage_mismatch(seen(evidence(), told)).status == status


def test_no_usage_is_unknown_not_passed() -> None:
    silent = [r.model_copy(update={"usage_tokens": None}) for r in GOOD]
    found = integrity.usage_mismatch(seen(evidence(), silent))
    assert found.status == "not_applicable"


@pytest.mark.parametrize(
    "changes", [{"ttft_p50_s": 1e-5}, {"tpot_p50_s": 6.4e-9}, {"tpot_p50_s": 4e-5}]
)
def test_physical_floors(changes: dict[str, float]) -> None:
    found = integrity.physical_floor(seen(evidence(phases=(phase(**changes),))))
    assert found.status == "failed"
    assert integrity.physical_floor(seen(evidence(), [])).status == "passed"


@pytest.mark.parametrize(
    ("names", "status"),
    [
        ((MODEL,), "passed"),
        (("/cache/models/model-dir",), "passed"),
        (("/cache/models/model-dir@main",), "passed"),
        (("someone/better-model",), "failed"),
        ((), "passed"),
    ],
)
def test_the_served_model(names: tuple[str, ...], status: str) -> None:
    launch = Launch(
        outcome=LaunchOutcome.READY,
        detail="",
        ready_s=1.0,
        sandbox="bwrap",
        served_models=names,
    )
    found = integrity.served_model(seen(evidence(launch=launch), GOOD))
    assert found.status == status


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ('exec vllm serve "$MODEL_PATH" --port "$PORT"', "passed"),
        ("exec vllm serve neuralmagic/Mistral-7B-FP8 --port 1", "failed"),
        ("exec python -m x --model TheBloke/Other-AWQ", "failed"),
        ("exec python -m x --model=/data/other/weights", "passed"),
        ("from_pretrained('org/name')", "failed"),
        (f"exec python -m x --model {MODEL}", "passed"),
    ],
)
def test_the_launcher_must_not_name_another_checkpoint(
    script: str, status: str
) -> None:
    found = integrity.launcher_checkpoint(seen(evidence(launcher=script)))
    assert found.status == status


@pytest.mark.parametrize(
    "made",
    [
        evidence(LaunchOutcome.DETACHED),
        evidence(left_behind=("process 1: sleep",)),
        evidence(evaluator_changed={"evaluate.py": "f" * 64}),
    ],
)
def test_detached_servers_and_changed_evaluators_are_violations(made: Evidence) -> None:
    assert label(made, GOOD) is Outcome.INTEGRITY


def label(
    made: Evidence,
    results: list[RequestResult],
    right: int = 10,
    gates: Gates = GATES,
    **judged: Any,
) -> Outcome:
    asked = questions("AAAAAAAAAA")
    base = {q.question_id: "A" for q in asked}
    run = {q.question_id: "A" if i < right else "B" for i, q in enumerate(asked)}
    verdict = judge_run(
        Bench(made, results, run if results else {}),
        Bench(evidence(), GOOD, base),
        asked,
        gates,
        model_id=MODEL,
        model_dir_name="model-dir",
        **judged,
    )
    assert "\n" not in verdict.reason
    return verdict.outcome


@pytest.mark.parametrize(
    ("engines", "forced", "outcome"),
    [
        (("vllm", "vllm-cpu"), "vllm-cpu", Outcome.OK),
        (("vllm",), "sglang", Outcome.INTEGRITY),
        ((), "sglang", Outcome.INTEGRITY),
        (("vllm",), None, Outcome.OK),
    ],
)
def test_another_engine_than_the_prompt_demanded_is_no_score(
    engines: tuple[str, ...], forced: str | None, outcome: Outcome
) -> None:
    made = evidence(engines=engines)
    assert label(made, GOOD, forced_engine=forced) is outcome
    dead = evidence(LaunchOutcome.EXITED, phases=(), objective=None, failure_rate=None)
    assert label(dead, [], forced_engine="sglang") is Outcome.UNREACHABLE


def test_labels_in_their_order() -> None:
    assert label(evidence(), GOOD) is Outcome.OK
    assert label(evidence(), GOOD, right=9) is Outcome.QUALITY
    assert label(evidence(failure_rate=0.2), GOOD) is Outcome.UNREACHABLE
    cheat = evidence(phases=(phase(tpot_p50_s=6.4e-9),))
    assert label(cheat, GOOD, right=2) is Outcome.INTEGRITY
    dead = evidence(LaunchOutcome.EXITED, phases=(), objective=None, failure_rate=None)
    assert label(dead, []) is Outcome.UNREACHABLE


def test_a_required_check_that_was_not_run_gives_no_score() -> None:
    strict = GATES.model_copy(update={"required_checks": ("quality", "rules", "judge")})
    assert label(evidence(), GOOD, gates=strict) is Outcome.INCOMPLETE
    assert label(evidence(), GOOD, gates=strict, judge="clean") is Outcome.OK
    assert label(evidence(), GOOD, gates=strict, judge="violation") is Outcome.INTEGRITY
    assert label(evidence(), GOOD, right=2, gates=strict) is Outcome.QUALITY
