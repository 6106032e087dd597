"""Measure a running server on a scenario: the one way for search, agents and scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ibench.errors import MetricUndefinedError
from ibench.load.arrivals import arrival_offsets_ns, save_arrivals
from ibench.load.client import HttpxClient
from ibench.load.driver import (
    Dialect,
    ask_questions,
    negotiate_dialect,
    run_phase,
    served_model_name,
)
from ibench.metrics import objective, summarize
from ibench.params import Measure, Phase, Scenario
from ibench.records import (
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


@dataclass(frozen=True)
class Measurement:
    """Results and summaries of all phases, and the scenario's objective."""

    results: tuple[RequestResult, ...]
    phases: tuple[PhaseSummary, ...]
    objective: float | None
    detail: str

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
    scenario: Scenario,
    settings: Measure,
) -> Server:
    """Find out under which name and dialect a ready server takes requests."""
    model = served_model_name(models, model_dir)
    dialect = negotiate_dialect(
        HttpxClient(),
        base_url,
        model,
        temperature=scenario.temperature,
        request_timeout_s=settings.request_timeout_s,
    )
    return Server(base_url, model, dialect)


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
        HttpxClient(),
        server.base_url,
        questions,
        server.model,
        concurrency=concurrency,
        request_timeout_s=settings.request_timeout_s,
        count_tokens=count_tokens,
    )


def measure_scenario(
    server: Server,
    scenario: Scenario,
    requests: Sequence[RequestSpec],
    warmup: Sequence[RequestSpec],
    settings: Measure,
    *,
    seed: int,
    count_tokens: Callable[[str], int],
    folder: Path | None = None,
    limit: int | None = None,
    progress: Callable[[str], None] = lambda phase: None,
) -> Measurement:
    """Warm up, run every phase one after the other, summarise.

    Args:
        server: where and how to send.
        scenario: phases and objective.
        requests: the request set; each phase has its own part of it.
        warmup: disjoint requests, sent first and thrown away.
        settings: time-outs, length contract, SLOs.
        seed: names the arrival vectors.
        count_tokens: re-tokenises a text, without special tokens.
        folder: where arrival vectors are saved, if anywhere.
        limit: requests a phase at most (a quick evaluation).
        progress: told the phase that starts.
    """
    send = partial(_send, server, settings, count_tokens)
    progress("warm-up")
    send("warmup", warmup, [0] * len(warmup), len(warmup))
    results: list[RequestResult] = []
    summaries: list[PhaseSummary] = []
    starts = scenario.starts(replay=settings.replay_phases)
    for start, phase in zip(starts, scenario.phases, strict=False):
        progress(f"load: {phase.name}")
        n = min(phase.requests, limit or phase.requests)
        offsets, sha256 = _arrivals(f"{seed}:arrivals:{scenario.id}", phase, n, folder)
        todo = requests[start : start + n]
        done = send(phase.name, todo, offsets, phase.concurrency)
        results.extend(done)
        summaries.append(
            summarize(
                name=phase.name,
                arrivals=phase.arrivals,
                concurrency=phase.concurrency,
                arrivals_sha256=sha256,
                offered_rate_per_s=phase.rate_per_s,
                results=done,
                ttft_slo_s=settings.ttft_slo_s,
                tpot_slo_s=settings.tpot_slo_s,
            )
        )
    try:
        value, detail = objective(scenario.objective, tuple(summaries)), ""
    except MetricUndefinedError as error:
        value, detail = None, str(error)
    return Measurement(tuple(results), tuple(summaries), value, detail)


def _send(
    server: Server,
    settings: Measure,
    count_tokens: Callable[[str], int],
    name: str,
    requests: Sequence[RequestSpec],
    offsets_ns: Sequence[int],
    concurrency: int,
) -> tuple[RequestResult, ...]:
    return run_phase(
        HttpxClient(),
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
    )


def _arrivals(
    seed_name: str, phase: Phase, n: int, folder: Path | None
) -> tuple[tuple[int, ...], str]:
    """Compute a phase's arrival vector and its hash; save it if there is a folder."""
    offsets = arrival_offsets_ns(
        phase.arrivals, n, phase.rate_per_s, f"{seed_name}:{phase.name}"
    )
    if folder is None:
        return offsets, sha256_of(list(offsets))
    return offsets, save_arrivals(folder / f"arrivals-{phase.name}.json", offsets)
