"""Scenarios on a launched server, each as a finding."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ibench.errors import LaunchError, MetricUndefinedError
from ibench.load.life import Running
from ibench.load.measure import Measurement
from ibench.load.scenario import connect
from ibench.metrics.roofline import Bounds, Lengths, bounds, objective_bound
from ibench.params import Scenario
from ibench.records import GpuUse, Launch, PhaseSummary, RequestSpec
from ibench.serving.gpu import GpuMeter, energy_per_token_j
from ibench.stages.gpu_check.record import PhaseFound, ScenarioFinding
from ibench.stages.gpu_check.settings import ScenarioId
from ibench.stages.gpu_check.task import CheckRun, Task
from ibench.stages.gpu_check.workload import parts_of
from ibench.workloads import Workload

__all__ = ["Asked"]


@dataclass(frozen=True)
class Asked:
    """One engine and the model that it serves, asked one scenario after the other."""

    check: CheckRun
    task: Task
    model_dir: Path

    def measure(
        self, running: Running, name: ScenarioId, workload: Workload
    ) -> ScenarioFinding:
        """Measure one scenario; whatever the server does is a finding."""
        scenario, _ = self.task.scenarios[name]
        started = time.monotonic()
        try:
            running.check_alive()
            pids, gpus = running.pids, self.check.machine.gpus
            with GpuMeter(pids=lambda: set(pids()), gpus=gpus) as meter:
                dialect, measured = self._send(running, scenario, workload)
            running.check_alive()
        except (LaunchError, MetricUndefinedError) as error:
            self.check.say(f"{self.task.engine.name}: {error}")
            # Its detail may name paths and processes; the outcome does not.
            outcome = getattr(error, "outcome", None)
            reason = f"server {outcome}" if outcome else str(error)
            return self.failed(running.launch, name, reason)
        for error_text in {r.error for r in measured.results if r.failure}:
            self.check.say(f"{self.task.engine.name}: {error_text}")
        facts = self._facts(running.launch, name)
        facts |= {"dialect": dialect, "wall_s": time.monotonic() - started}
        is_cuda = self.check.machine.hardware.device == "cuda"
        facts |= _outcome(measured)
        facts |= _energy(meter.use() if is_cuda else None, measured)
        facts |= self._phases(scenario, workload, measured)
        return ScenarioFinding.model_validate(facts)

    def failed(self, launch: Launch, name: ScenarioId, reason: str) -> ScenarioFinding:
        """Make the finding of a scenario that could not be measured."""
        facts = self._facts(launch, name)
        return ScenarioFinding.model_validate(
            facts | {"outcome": "failed", "reason": reason}
        )

    def _facts(self, launch: Launch, name: ScenarioId) -> dict[str, object]:
        scenario, _ = self.task.scenarios[name]
        return {
            "engine": self.task.engine.name,
            "engine_version": self.task.engine.version,
            "scenario": name,
            "input_tokens": scenario.input_tokens,
            "output_tokens": scenario.output_tokens,
            "ready_s": launch.ready_s,
        }

    def _send(
        self, running: Running, scenario: Scenario, workload: Workload
    ) -> tuple[str, Measurement]:
        server = connect(
            running.base_url,
            running.launch.served_models,
            self.model_dir,
            self.model_dir.name,
            scenario,
            self.check.settings.measure,
        )
        measured = server.measure(
            scenario,
            workload,
            run_name=f"gpu-check:{time.monotonic_ns()}",
            # Text of random tokens does not re-tokenize to them: the server counts.
            count_tokens=None,
            calibrated=True,
        )
        return server.dialect.label, measured

    def _phases(
        self, scenario: Scenario, workload: Workload, measured: Measurement
    ) -> dict[str, object]:
        """Each phase beside the bounds of its own requests."""
        card, parts = self.check.machine.card, parts_of(scenario, workload)
        best: list[Bounds] = []
        if card is not None:
            best = [
                bounds(self.check.shape, card, _lengths(part), phase.concurrency)
                for part, phase in zip(parts, scenario.phases, strict=True)
            ]
        return {
            "phases": [
                _phase(summary, part, measured, best[i] if best else None)
                for i, (summary, part) in enumerate(
                    zip(measured.phases, parts, strict=True)
                )
            ],
            "objective_bound": (
                objective_bound(scenario.objective, best) if best else None
            ),
        }


def _lengths(requests: Sequence[RequestSpec]) -> list[Lengths]:
    return [Lengths(r.input_tokens, r.max_tokens) for r in requests]


def _phase(
    summary: PhaseSummary,
    asked: Sequence[RequestSpec],
    measured: Measurement,
    best: Bounds | None,
) -> PhaseFound:
    sources = {r.tokens_from for r in measured.results if r.phase == summary.name}
    client = summary.client
    return PhaseFound(
        name=summary.name,
        concurrency=summary.concurrency,
        requests=summary.requests,
        completed=summary.completed,
        failures=summary.failures,
        input_tokens_mean=sum(r.input_tokens for r in asked) / len(asked),
        output_tokens=summary.output_tokens,
        tokens_from=tuple(sorted(sources)),
        wall_s=summary.wall_s,
        ttft_p50_s=summary.ttft_p50_s,
        tpot_p50_s=summary.tpot_p50_s,
        request_rate_per_s=summary.request_rate_per_s,
        timestamp_source=None if client is None else client.timestamp_source,
        invalid=summary.invalid,
        bounds=best,
    )


def _outcome(measured: Measurement) -> dict[str, object]:
    """Measured when every request counts and the objective is defined."""
    asked = len(measured.results)
    kinds = Counter(r.failure.value for r in measured.results if r.failure)
    reason = measured.detail
    if kinds:
        named = ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items()))
        reason = f"{kinds.total()} of {asked} requests failed: {named}"
    return {
        "outcome": "failed" if reason else "measured",
        "reason": reason,
        "objective": measured.objective,
    }


def _energy(use: GpuUse | None, measured: Measurement) -> dict[str, object]:
    try:
        tokens = sum(p.output_tokens for p in measured.phases)
        energy: float | None = energy_per_token_j(use, tokens)
    except MetricUndefinedError:
        energy = None
    return {"gpu": use, "energy_per_token_j": energy}
