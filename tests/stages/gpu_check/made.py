"""A made-up record of an H100: the numbers are round, not measured."""

from __future__ import annotations

from ibench import REPOSITORY
from ibench.metrics.roofline import Card, Lengths, bounds, objective_bound
from ibench.records import GpuUse
from ibench.stages.gpu_check.hardware import Hardware
from ibench.stages.gpu_check.record import CheckRecord, PhaseFound, ScenarioFinding
from ibench.stages.gpu_check.settings import ScenarioId, load_settings, shortened

PARAMS = REPOSITORY / "params"
SETTINGS = load_settings(PARAMS)
CARD = Card(host="h100", bandwidth_bytes_per_s=3.35e12, flops_per_s=989e12)
USE = GpuUse(
    gpus=("NVIDIA H100 80GB HBM3",),
    samples=10,
    peak_mib=17_000.0,
    peak_mib_by_pid={4242: 17_000.0},
    energy_j=1000.0,
    energy_source="counter",
)
OBJECTIVES = {"a": 1 / 0.84, "b": 1 / 0.041, "c": 0.026, "d": 1.68}


def made_finding(
    engine: str, scenario: ScenarioId, *, with_card: bool = True
) -> ScenarioFinding:
    """A finding of twice the bounds' times."""
    shape = SETTINGS.shapes["mistral-7b"]
    counts = SETTINGS.engines[engine].requests[scenario]
    asked, _ = shortened(PARAMS, scenario, shape, counts)
    best, phases = [], []
    for phase in asked.phases:
        mean = Lengths(int(0.9 * asked.input_tokens), int(0.9 * asked.output_tokens))
        top = bounds(shape, CARD, [mean] * phase.requests, phase.concurrency)
        best.append(top)
        phases.append(
            PhaseFound(
                name=phase.name,
                concurrency=phase.concurrency,
                requests=phase.requests,
                completed=phase.requests,
                failures={},
                input_tokens_mean=mean.input_tokens,
                output_tokens=phase.requests * mean.output_tokens,
                tokens_from=("continuous_usage",),
                wall_s=100.0,
                ttft_p50_s=2 * top.ttft_p50_s,
                tpot_p50_s=2 * top.tpot_p50_s,
                request_rate_per_s=top.request_rate_per_s / 2,
                timestamp_source="kernel",
                invalid=(),
                bounds=top if with_card else None,
            )
        )
    return ScenarioFinding(
        engine=engine,
        engine_version="1",
        scenario=scenario,
        input_tokens=asked.input_tokens,
        output_tokens=asked.output_tokens,
        outcome="measured",
        ready_s=20.0,
        dialect="ignore_eos",
        phases=tuple(phases),
        objective=OBJECTIVES[scenario],
        objective_bound=objective_bound(asked.objective, best) if with_card else None,
        gpu=USE,
        energy_per_token_j=5.0,
        wall_s=100.0,
    )


def made_record(*, with_card: bool = True) -> CheckRecord:
    """All scenarios, both engines."""
    return CheckRecord(
        key="0" * 64,
        begun_utc="2026-01-01T00:00:00+00:00",
        shape_name="mistral-7b",
        shape=SETTINGS.shapes["mistral-7b"],
        hardware=Hardware(
            device="cuda",
            name="NVIDIA H100 80GB HBM3",
            memory_mib=81_559,
            driver="580.82.07",
            cuda="13.0",
            torch="2.13.0",
            transformers="5.23.0",
            cpus=16,
        ),
        card=CARD if with_card else None,
        published=SETTINGS.published,
        findings=tuple(
            made_finding(engine, scenario, with_card=with_card)
            for engine in SETTINGS.engines
            for scenario in ("a", "b", "c", "d")
        ),
    )
