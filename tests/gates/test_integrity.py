from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ibench import REPOSITORY
from ibench.gates import integrity, timing
from ibench.gates.bench import Bench
from ibench.gates.checkpoint import launcher_checkpoint
from ibench.gates.verdict import judge_run
from ibench.metrics.roofline import Card, Roof
from ibench.params import Gates, ModelSpec
from ibench.params.files import load_yaml
from ibench.records import (
    Chunk,
    Evidence,
    FailureKind,
    Finding,
    Launch,
    LaunchOutcome,
    Outcome,
    RequestResult,
    Verdict,
)
from tests.factories import MS, evidence, phase, questions, result

GATES = load_yaml(Gates, REPOSITORY / "params" / "gates" / "cpu.yaml")
MODEL = "ibench/embedded-mistral"
RULES_ONLY = GATES.model_copy(update={"required_checks": ("rules",)})
GOOD = [result(tokens=20) for _ in range(10)]


def seen(made: Evidence, results: Sequence[RequestResult] = ()) -> integrity.RunSeen:
    return integrity.RunSeen(made, results, GATES, MODEL, "model-dir")


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
    found = timing.first_chunk(seen(evidence(), [fake_first(text)] * 5))
    assert found.status == "failed"


def test_a_server_that_hangs_has_started_no_clock() -> None:
    hung = fake_first("The").model_copy(update={"failure": FailureKind.TIMEOUT})
    found = timing.first_chunk(seen(evidence(), [hung] * 5))
    assert found.status == "not_applicable"
    short = hung.model_copy(update={"failure": FailureKind.SHORT})
    assert timing.first_chunk(seen(evidence(), [short] * 5)).status == "failed"


def test_honest_streams_pass_also_when_they_begin_with_a_blank() -> None:
    blank = [r.model_copy(update={"first_text": "\n"}) for r in GOOD]
    assert timing.first_chunk(seen(evidence(), blank)).status == "passed"


def test_a_visible_stall_under_load_is_no_violation() -> None:
    busy = evidence(phases=(phase(concurrency=8),))
    assert timing.first_chunk(seen(busy, [fake_first("The")] * 5)).status == "passed"
    assert timing.first_chunk(seen(busy, [fake_first(" ")] * 5)).status == "failed"


def test_an_answer_that_ends_early_is_no_lie_and_a_false_count_is_one() -> None:
    short = [result(failure=FailureKind.SHORT, requested_tokens=20) for _ in range(2)]
    assert integrity.output_length(seen(evidence(), GOOD + short)).status == "passed"
    lies = [r.model_copy(update={"usage_tokens": 20}) for r in short]
    found = integrity.output_length(seen(evidence(), GOOD + lies))
    assert found.status == "failed"
    assert "2 of 12 requests lie (limit 5%)" in found.evidence


def beside(results: Sequence[RequestResult], base: Sequence[RequestResult]) -> str:
    made = seen(evidence(), results)._replace(baseline=Bench(evidence(), base, {}))
    return integrity.output_length(made).status


def test_lengths_are_held_against_the_baselines_recount() -> None:
    def recounted(tokens: int, usage: int = 20) -> list[RequestResult]:
        asked: dict[str, Any] = {"requested_tokens": 20, "usage_tokens": usage}
        return [result(tokens=tokens, request_id=f"r{i}", **asked) for i in range(10)]

    # Text that recounts to fewer tokens does so for the baseline too.
    assert beside(recounted(16), recounted(16)) == "passed"
    assert beside(recounted(16), recounted(20)) == "failed"
    # A false count within the tolerance of each answer adds up.
    assert beside(recounted(19), recounted(20)) == "failed"
    assert beside(recounted(20), recounted(20)) == "passed"


H100 = Card(host="h100", bandwidth_bytes_per_s=3.35e12, flops_per_s=9.89e14)


def test_a_known_card_bounds_every_number() -> None:
    model = load_yaml(ModelSpec, REPOSITORY / "params" / "models" / "mistral-7b.yaml")
    assert model.shape is not None
    asked = [result(tokens=900, prompt_tokens=7373) for _ in range(4)]

    def judged(**changes: float) -> Finding:
        numbers = {"ttft_p50_s": 0.25, "tpot_p50_s": 0.002, "request_rate_per_s": 0.4}
        made = seen(evidence(phases=(phase(**numbers | changes),)), asked)
        roof = Roof(H100, model.shape) if model.shape else None
        return timing.physical_floor(made._replace(roof=roof))

    assert judged().status == "passed"
    for impossible in (
        {"ttft_p50_s": 0.03},
        {"tpot_p50_s": 0.00012},
        {"request_rate_per_s": 40.0},
    ):
        found = judged(**impossible)
        assert found.status == "failed"
        assert "(at " in found.evidence


def test_a_baseline_that_breaks_a_rule_or_fails_gives_no_score() -> None:
    def against(base: Evidence, results: Sequence[RequestResult] = GOOD) -> Verdict:
        run = Bench(evidence(), GOOD, {})
        return judge_run(
            run,
            Bench(base, results, {}),
            (),
            RULES_ONLY,
            model_id=MODEL,
            model_dir_name="model-dir",
        )

    assert against(evidence()).outcome is Outcome.OK
    failing = against(evidence(failure_rate=0.5))
    assert failing.outcome is Outcome.INCOMPLETE
    assert failing.reason.startswith("the baseline fails 50% of its requests")
    guessing = against(evidence(), [fake_first("The")] * 10)
    assert guessing.outcome is Outcome.INCOMPLETE
    assert guessing.reason.startswith("the baseline breaks a rule: first_chunk")


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
    found = timing.physical_floor(seen(evidence(phases=(phase(**changes),))))
    assert found.status == "failed"
    assert timing.physical_floor(seen(evidence(), [])).status == "passed"


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
        ("# not someone/else-7b\nexec vllm serve $MODEL_PATH # nor a/b", "passed"),
        ("W=TheBloke/Other-AWQ\nexec vllm serve $W", "failed"),
        ("M=${1:-org/other}\nexec trtllm-serve ${M} --port 1", "failed"),
        ("hf download org/other --local-dir w; exec vllm serve ./w", "failed"),
        ("exec vllm serve $MODEL_PATH --speculative-model org/draft", "passed"),
        ("exec vllm serve ${MODEL_PATH:-org/other}", "passed"),
        (f"exec python -m x --model {MODEL}", "passed"),
    ],
)
def test_the_launcher_must_not_name_another_checkpoint(
    script: str, status: str
) -> None:
    found = launcher_checkpoint(seen(evidence(launcher=script)))
    assert found.status == status


SERVES = "vllm serve"


@pytest.mark.parametrize(
    ("command", "opened", "status"),
    [
        (f"{SERVES} /cache/model-dir", (), "passed"),
        (f"{SERVES} org/other", (), "failed"),
        # What the submission quantised itself, under a name of its own.
        (f"{SERVES} out/model-w4", ("local out/model-w4",), "passed"),
        (f"{SERVES} /x", ("file /x/model.safetensors",), "passed"),
        (f"{SERVES} /x", ("hub org/other",), "failed"),
        (f"{SERVES} /x", (f"hub {MODEL}",), "passed"),
        (f"{SERVES} /x --draft-model-path org/d", ("hub org/d",), "passed"),
        (
            f'{SERVES} /x --speculative-config {{"model": "org/d", "n": 3}}',
            ("hub org/d",),
            "passed",
        ),
    ],
)
def test_the_running_server_decides_what_it_serves(
    command: str, opened: tuple[str, ...], status: str
) -> None:
    # The launcher names a step of its own that no process shows.
    launcher = "quantise --model out/model-w4\nexec ./serve"
    made = evidence(processes=(command,), opened=opened, launcher=launcher)
    assert launcher_checkpoint(seen(made)).status == status


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
