"""Measure a running server on a scenario: the one way for search, agents and scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from ibench.errors import MetricUndefinedError
from ibench.load.arrivals import arrival_offsets_ns, save_arrivals
from ibench.load.calibrate import calibrate
from ibench.load.choose import choose_client
from ibench.load.client import Enough, LoadClient
from ibench.load.dialect import Dialect, negotiate_dialect, served_model_name
from ibench.load.driver import PhaseRun, ask_questions, run_phase
from ibench.load.engine_metrics import hit_rate, read_counters
from ibench.load.stopping import monitor
from ibench.metrics.objectives import objective
from ibench.metrics.phase import PhasePlan
from ibench.metrics.requests import failure_rate, tpot_s, tpot_words_s
from ibench.metrics.summary import summarize
from ibench.params import Measure, Phase, Scenario
from ibench.records import (
    Calibration,
    PhaseSummary,
    Question,
    RequestResult,
    RequestSpec,
    sha256_of,
)
from ibench.workloads.sets import Workload

__all__ = ["Measurement", "Server", "connect"]


@dataclass(frozen=True)
class Measurement:
    """Results and summaries of all phases, and the scenario's objective."""

    results: tuple[RequestResult, ...]
    phases: tuple[PhaseSummary, ...]
    objective: float | None
    detail: str

    @property
    def invalid(self) -> tuple[str, ...]:
        """Why phases must not be used, if any."""
        return tuple(f"{p.name}: {why}" for p in self.phases for why in p.invalid)

    @property
    def completed(self) -> int:
        """Requests that count."""
        return sum(p.completed for p in self.phases)

    @property
    def failure_rate(self) -> float:
        """Share of requests that do not count, 0 to 1; see ``metrics.failure_rate``."""
        return failure_rate(self.results)


@dataclass(frozen=True)
class Server:
    """A server that answers, how it is spoken to, and with which client and settings.

    Attributes:
        base_url: address without ``/v1``.
        model: name that requests carry.
        dialect: fields that the server takes.
        client: sends and stamps.
        settings: time-outs, length contract, limits of goodput.
        also_named: names under which answers may speak of the model.
    """

    base_url: str
    model: str
    dialect: Dialect
    client: LoadClient
    settings: Measure
    also_named: tuple[str, ...] = ()

    def ask(
        self,
        questions: Sequence[Question],
        *,
        concurrency: int,
        count_tokens: Callable[[str], int],
    ) -> tuple[RequestResult, ...]:
        """Ask the quality questions in the server's present life."""
        return ask_questions(
            self.client,
            self.base_url,
            questions,
            self.model,
            concurrency=concurrency,
            request_timeout_s=self.settings.request_timeout_s,
            count_tokens=count_tokens,
            also_named=self.also_named,
        )

    def measure(
        self,
        scenario: Scenario,
        workload: Workload,
        *,
        run_name: str,
        count_tokens: Callable[[str], int] | None,
        folder: Path | None = None,
        limit: int | None = None,
        calibrated: bool = False,
        progress: Callable[[str], None] = lambda phase: None,
    ) -> Measurement:
        """Warm up, run every phase one after the other, summarise.

        Args:
            scenario: phases and objective.
            workload: the request set, of which each phase has its own part, and the
                warm-up; its seed names the arrival vectors.
            run_name: no other run has it; its nonces keep prefix caches cold.
            count_tokens: re-tokenises a text, without special tokens.
            folder: where arrival vectors are saved, if anywhere.
            limit: requests a phase at most (a quick evaluation).
            calibrated: drive the null server before and after, about a second a phase.
            progress: told the phase that starts.
        """
        settings = self.settings
        todo = _todo(scenario, workload, settings, folder, limit)
        check = calibrated and settings.client.calibrate
        before = [self._calibration(p, "before") for p in todo if check]
        send = partial(self.send, count_tokens, run_name)
        progress("warm-up")
        warmup = workload.warmup
        send("warmup", warmup, [0] * len(warmup), len(warmup), None)
        runs, hits = [], []
        counters = read_counters(self.base_url)
        for part in todo:
            phase = part.phase
            progress(f"load: {phase.name}")
            enough = monitor(scenario.objective, settings)
            runs.append(
                send(
                    phase.name,
                    part.requests,
                    part.offsets_ns,
                    phase.concurrency,
                    enough,
                )
            )
            earlier, counters = counters, read_counters(self.base_url)
            hits.append(hit_rate(earlier, counters))
        after = [self._calibration(p, "after") for p in todo if check]
        calibrated_by = [[c[i] for c in (before, after) if c] for i in range(len(todo))]
        return _measurement(scenario, settings, todo, runs, calibrated_by, hits)

    def _calibration(
        self, part: _Part, when: Literal["before", "after"]
    ) -> Calibration:
        spec = self.settings.client
        return calibrate(
            self.client,
            part.offsets_ns,
            part.phase.concurrency,
            when,
            spec.max_cpu_share,
        )

    def send(
        self,
        count_tokens: Callable[[str], int] | None,
        run_name: str,
        name: str,
        requests: Sequence[RequestSpec],
        offsets_ns: Sequence[int],
        concurrency: int,
        enough: Enough | None,
    ) -> PhaseRun:
        """Send requests at their instants, and keep what comes.

        Args:
            count_tokens: re-tokenises a text; None: the server's own counts.
            run_name: no other run has it; with ``name`` it names the nonces.
            name: of the phase.
            requests: what is sent.
            offsets_ns: when, since the start, nanoseconds.
            concurrency: requests in flight at most.
            enough: may end the phase early.
        """
        settings = self.settings
        return run_phase(
            self.client,
            self.base_url,
            requests,
            model_id=self.model,
            dialect=self.dialect,
            phase_name=name,
            offsets_ns=offsets_ns,
            concurrency=concurrency,
            request_timeout_s=settings.request_timeout_s,
            count_tokens=count_tokens,
            min_length_ratio=settings.min_length_ratio,
            nonce_seed=f"{run_name}:{name}" if settings.client.nonce else None,
            also_named=self.also_named,
            enough=enough,
        )


def connect(
    base_url: str,
    served_models: Sequence[str],
    model_dir: Path,
    model_id: str,
    scenario: Scenario,
    settings: Measure,
) -> Server:
    """Find out under which name and dialect a ready server takes requests.

    Args:
        base_url: address without ``/v1``.
        served_models: what its ``/v1/models`` lists.
        model_dir: folder of the model that it should serve.
        model_id: name that it should serve the model under.
        scenario: its temperature is that of the phases to come.
        settings: client, time-outs and limits of everything that is measured.
    """
    spec = settings.client
    client = choose_client(base_url, spec.kind, spec.processes)
    model = served_model_name(served_models, model_dir)
    dialect = negotiate_dialect(
        client,
        base_url,
        model,
        temperature=scenario.temperature,
        request_timeout_s=settings.request_timeout_s,
    )
    names = (model_id, *served_models, str(model_dir))
    return Server(base_url, model, dialect, client, settings, names)


class _Part(NamedTuple):
    """One phase with what it sends and when."""

    phase: Phase
    requests: Sequence[RequestSpec]
    offsets_ns: tuple[int, ...]
    arrivals_sha256: str


def _todo(
    scenario: Scenario,
    workload: Workload,
    settings: Measure,
    folder: Path | None,
    limit: int | None,
) -> list[_Part]:
    starts = scenario.starts(replay=settings.replay_phases)
    parts = []
    for start, phase in zip(starts, scenario.phases, strict=False):
        n = min(phase.requests, limit or phase.requests)
        seed_name = f"{workload.seed}:arrivals:{scenario.id}"
        offsets, sha256 = _arrivals(seed_name, phase, n, folder)
        requests = workload.requests[start : start + n]
        parts.append(_Part(phase, requests, offsets, sha256))
    return parts


def _measurement(
    scenario: Scenario,
    settings: Measure,
    todo: Sequence[_Part],
    runs: Sequence[PhaseRun],
    calibrations: Sequence[Sequence[Calibration]],
    hits: Sequence[float | None],
) -> Measurement:
    """Summarise what each phase showed, and compute the objective if it is defined."""
    seen = zip(todo, runs, calibrations, hits, strict=True)
    summaries = tuple(
        _summary(part, run, calibration, settings, hit)
        for part, run, calibration, hit in seen
    )
    results = tuple(r for run in runs for r in run.results)
    try:
        value, detail = objective(scenario.objective, summaries), ""
    except MetricUndefinedError as error:
        value, detail = None, str(error)
    return Measurement(results, summaries, value, detail)


def _summary(
    part: _Part,
    run: PhaseRun,
    calibration: Sequence[Calibration],
    settings: Measure,
    counted_hit_rate: float | None,
) -> PhaseSummary:
    phase = part.phase
    plan = PhasePlan(
        name=phase.name,
        arrivals=phase.arrivals,
        concurrency=phase.concurrency,
        arrivals_sha256=part.arrivals_sha256,
        offered_rate_per_s=phase.rate_per_s,
        ttft_slo_s=settings.ttft_slo_s,
        tpot_slo_s=settings.tpot_slo_s,
        requests=len(part.requests),
    )
    return summarize(
        plan,
        run.results,
        run.cost,
        calibration,
        settings.client,
        tpot_words_s if settings.tpot == "words" else tpot_s,
        counted_hit_rate,
    )


def _arrivals(
    seed_name: str, phase: Phase, n: int, folder: Path | None
) -> tuple[tuple[int, ...], str]:
    """Compute a phase's arrival vector and its hash; save it if there is a folder."""
    offsets = arrival_offsets_ns(
        phase.arrivals,
        n,
        phase.rate_per_s,
        f"{seed_name}:{phase.name}",
        shape=phase.shape,
    )
    if folder is None:
        return offsets, sha256_of(list(offsets))
    return offsets, save_arrivals(folder / f"arrivals-{phase.name}.json", offsets)
