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
from ibench.metrics.requests import objective, tpot_s, tpot_words_s
from ibench.metrics.summary import Plan, summarize
from ibench.params import ClientSpec, Measure, Phase, Scenario
from ibench.records import (
    Calibration,
    PhaseSummary,
    Question,
    RequestResult,
    RequestSpec,
    sha256_of,
)

__all__ = ["Measurement", "Server", "ask", "connect", "measure_scenario"]


@dataclass(frozen=True)
class Server:
    """A server that answers, and how to talk to it."""

    base_url: str
    model: str
    dialect: Dialect
    also_named: tuple[str, ...] = ()


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
        """Share of requests that do not count."""
        return 1 - self.completed / len(self.results)


def connect(
    base_url: str,
    models: Sequence[str],
    model_dir: Path,
    model_id: str,
    scenario: Scenario,
    settings: Measure,
) -> Server:
    """Find out under which name and dialect a ready server takes requests."""
    model = served_model_name(models, model_dir)
    dialect = negotiate_dialect(
        _client(base_url, settings.client),
        base_url,
        model,
        temperature=scenario.temperature,
        request_timeout_s=settings.request_timeout_s,
    )
    return Server(base_url, model, dialect, (model_id, *models, str(model_dir)))


def ask(
    server: Server,
    questions: Sequence[Question],
    settings: Measure,
    *,
    concurrency: int,
    count_tokens: Callable[[str], int],
) -> tuple[RequestResult, ...]:
    """Ask the quality questions in the server's present life."""
    return ask_questions(
        _client(server.base_url, settings.client),
        server.base_url,
        questions,
        server.model,
        concurrency=concurrency,
        request_timeout_s=settings.request_timeout_s,
        count_tokens=count_tokens,
        also_named=server.also_named,
    )


def measure_scenario(
    server: Server,
    scenario: Scenario,
    requests: Sequence[RequestSpec],
    warmup: Sequence[RequestSpec],
    settings: Measure,
    *,
    seed: int,
    run_name: str,
    count_tokens: Callable[[str], int] | None,
    folder: Path | None = None,
    limit: int | None = None,
    calibrated: bool = False,
    progress: Callable[[str], None] = lambda phase: None,
) -> Measurement:
    """Warm up, run every phase one after the other, summarise.

    Args:
        server: where and how to send.
        scenario: phases and objective.
        requests: the request set; each phase has its own part of it.
        warmup: disjoint requests, sent first and thrown away.
        settings: time-outs, length contract, SLOs, client.
        seed: names the arrival vectors.
        run_name: no other run has it; its nonces keep prefix caches cold.
        count_tokens: re-tokenises a text, without special tokens.
        folder: where arrival vectors are saved, if anywhere.
        limit: requests a phase at most (a quick evaluation).
        calibrated: drive the null server before and after, about a second a phase.
        progress: told the phase that starts.
    """
    todo = _todo(scenario, requests, settings, seed, folder, limit)
    client = _client(server.base_url, settings.client)
    check = calibrated and settings.client.calibrate
    before = [_calibration(client, p, "before", settings.client) for p in todo if check]
    send = partial(_send, client, server, settings, count_tokens, run_name)
    progress("warm-up")
    send("warmup", warmup, [0] * len(warmup), len(warmup), None)
    runs, hits = [], []
    counters = read_counters(server.base_url)
    for part in todo:
        progress(f"load: {part.phase.name}")
        runs.append(
            send(
                part.phase.name,
                part.requests,
                part.offsets_ns,
                part.phase.concurrency,
                monitor(scenario.objective, settings),
            )
        )
        earlier, counters = counters, read_counters(server.base_url)
        hits.append(hit_rate(earlier, counters))
    after = [_calibration(client, p, "after", settings.client) for p in todo if check]
    summaries = tuple(
        _summary(part, run, [c[i] for c in (before, after) if c], settings, hits[i])
        for i, (part, run) in enumerate(zip(todo, runs, strict=True))
    )
    results = tuple(r for run in runs for r in run.results)
    try:
        value, detail = objective(scenario.objective, summaries), ""
    except MetricUndefinedError as error:
        value, detail = None, str(error)
    return Measurement(results, summaries, value, detail)


class _Part(NamedTuple):
    """One phase with what it sends and when."""

    phase: Phase
    requests: Sequence[RequestSpec]
    offsets_ns: tuple[int, ...]
    arrivals_sha256: str


def _todo(
    scenario: Scenario,
    requests: Sequence[RequestSpec],
    settings: Measure,
    seed: int,
    folder: Path | None,
    limit: int | None,
) -> list[_Part]:
    starts = scenario.starts(replay=settings.replay_phases)
    parts = []
    for start, phase in zip(starts, scenario.phases, strict=False):
        n = min(phase.requests, limit or phase.requests)
        offsets, sha256 = _arrivals(f"{seed}:arrivals:{scenario.id}", phase, n, folder)
        parts.append(_Part(phase, requests[start : start + n], offsets, sha256))
    return parts


def _client(base_url: str, spec: ClientSpec) -> LoadClient:
    return choose_client(base_url, spec.kind, spec.processes)


def _calibration(
    client: LoadClient,
    part: _Part,
    when: Literal["before", "after"],
    spec: ClientSpec,
) -> Calibration:
    return calibrate(
        client, part.offsets_ns, part.phase.concurrency, when, spec.max_cpu_share
    )


def _summary(
    part: _Part,
    run: PhaseRun,
    calibration: Sequence[Calibration],
    settings: Measure,
    counted_hit_rate: float | None,
) -> PhaseSummary:
    phase = part.phase
    plan = Plan(
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


def _send(
    client: LoadClient,
    server: Server,
    settings: Measure,
    count_tokens: Callable[[str], int] | None,
    run_name: str,
    name: str,
    requests: Sequence[RequestSpec],
    offsets_ns: Sequence[int],
    concurrency: int,
    enough: Enough | None,
) -> PhaseRun:
    return run_phase(
        client,
        server.base_url,
        requests,
        model_id=server.model,
        dialect=server.dialect,
        phase_name=name,
        offsets_ns=offsets_ns,
        concurrency=concurrency,
        request_timeout_s=settings.request_timeout_s,
        count_tokens=count_tokens,
        min_length_ratio=settings.min_length_ratio,
        nonce_seed=f"{run_name}:{name}" if settings.client.nonce else None,
        also_named=server.also_named,
        enough=enough,
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
