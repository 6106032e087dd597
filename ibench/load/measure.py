"""Measure servers on a scenario: alone, or two in turns on the same blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ibench.errors import MetricUndefinedError
from ibench.load.blocks import Block, Part, joined_costs, one_after_the_other
from ibench.load.calibrate import calibrate
from ibench.load.choose import choose_client
from ibench.load.driver import PhaseRun
from ibench.load.engine_metrics import CacheCounters, hit_rate, read_counters
from ibench.load.stopping import monitor
from ibench.metrics.objectives import objective
from ibench.metrics.phase import PhasePlan
from ibench.metrics.requests import failure_rate, tpot_s, tpot_words_s
from ibench.metrics.summary import summarize
from ibench.params import Measure, Scenario
from ibench.records import (
    Calibration,
    PhaseSummary,
    RequestResult,
    RequestSpec,
)

if TYPE_CHECKING:
    from ibench.load.scenario import Server

__all__ = ["Measurement", "Side", "calibrations", "load_in_turns", "summed_up"]


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


def _nothing() -> None:
    """A server that is alone needs nobody to be stopped for its turn."""


@dataclass
class Side:
    """One server life under load, and what it showed, block by block.

    Attributes:
        server: how it is spoken to.
        run_name: no other run has it; two sides in turns share it, so that both are
            sent the same bytes.
        count_tokens: re-tokenises a text; None: the server's own counts.
        resume: called before each of its turns.
        pause: called after each of its turns; a server that is stopped cannot work
            while the other one is measured.
        runs: its blocks by phase, in order.
        hits: cache hit rate by phase, as its engine's counters say.
        has_counters: it has not answered without any yet.
    """

    server: Server
    run_name: str
    count_tokens: Callable[[str], int] | None
    resume: Callable[[], None] = _nothing
    pause: Callable[[], None] = _nothing
    runs: dict[str, list[PhaseRun]] = field(default_factory=dict)
    hits: dict[str, float | None] = field(default_factory=dict)
    has_counters: bool = True

    def warm_up(self, requests: Sequence[RequestSpec]) -> None:
        """Send what is thrown away."""
        self.resume()
        offsets = [0] * len(requests)
        self.server.send(
            self.count_tokens, self.run_name, "warmup", requests, offsets,
            len(requests), None,
        )  # fmt: skip
        self.pause()

    def take(self, block: Block, scenario: Scenario) -> None:
        """Send one block and await it."""
        self.resume()
        name = block.phase.name
        counters = self._counters()
        run = self.server.send(
            self.count_tokens, self.run_name, name, block.requests, block.offsets_ns,
            block.phase.concurrency, monitor(scenario.objective, self.server.settings),
        )  # fmt: skip
        hit = hit_rate(counters, self._counters()) if counters else None
        self.pause()
        self.runs.setdefault(name, []).append(run)
        known = [h for h in (self.hits.get(name), hit) if h is not None]
        self.hits[name] = max(known, default=None)

    def _counters(self) -> CacheCounters | None:
        """An engine that once had none is not asked again."""
        if self.has_counters:
            found = read_counters(self.server.base_url)
            self.has_counters = found is not None
            return found
        return None


def load_in_turns(
    sides: Sequence[Side],
    scenario: Scenario,
    parts: Sequence[Part],
    warmup: Sequence[RequestSpec],
    progress: Callable[[str], None] = lambda phase: None,
    *,
    first: int = 0,
) -> None:
    """Warm every side up, then send each block to each side before the next block.

    Which side is first changes from block to block (R S, S R), so that what drifts
    steadily cancels.

    Args:
        sides: one server, or two; each keeps what it showed.
        scenario: its objective is what stopping watches.
        parts: phases with their blocks.
        warmup: requests disjoint from the measured ones.
        progress: told the phase that starts.
        first: number of the side that begins.
    """
    progress("warm-up")
    for side in sides:
        side.warm_up(warmup)
    number = first
    for part in parts:
        progress(f"load: {part.phase.name}")
        for block in part.blocks:
            order = sides if number % 2 == 0 else tuple(reversed(sides))
            for side in order:
                side.take(block, scenario)
            number += 1


def calibrations(
    settings: Measure, parts: Sequence[Part], when: Literal["before", "after"]
) -> tuple[Calibration, ...]:
    """Drive the null server with the head of each phase, about a second a phase."""
    spec = settings.client
    client = choose_client("http://127.0.0.1", spec.kind, spec.processes)
    return tuple(
        calibrate(client, p.offsets_ns, p.phase.concurrency, when, spec.max_cpu_share)
        for p in parts
    )


def summed_up(
    scenario: Scenario,
    settings: Measure,
    parts: Sequence[Part],
    sides: Sequence[Side],
    calibrated: Sequence[Sequence[Calibration]] = (),
) -> Measurement:
    """Summarise what lives of one server showed; the objective if it is defined.

    Args:
        scenario: its objective is computed.
        settings: limits and confidence.
        parts: what these lives were sent together.
        sides: the lives, in order.
        calibrated: of the client, before and after, one a phase; may be empty.
    """
    summaries, results = [], []
    for i, part in enumerate(parts):
        runs = [run for side in sides for run in side.runs.get(part.phase.name, ())]
        hits = [side.hits.get(part.phase.name) for side in sides]
        checks = [found[i] for found in calibrated if found]
        summaries.append(_summary(part, runs, checks, settings, hits))
        results += [r for run in runs for r in run.results]
    try:
        value, detail = objective(scenario.objective, summaries), ""
    except MetricUndefinedError as error:
        value, detail = None, str(error)
    return Measurement(tuple(results), tuple(summaries), value, detail)


def _summary(
    part: Part,
    runs: Sequence[PhaseRun],
    calibration: Sequence[Calibration],
    settings: Measure,
    hits: Sequence[float | None],
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
        requests=sum(len(block.requests) for block in part.blocks),
    )
    return summarize(
        plan,
        one_after_the_other([run.results for run in runs]),
        joined_costs([run.cost for run in runs]),
        calibration,
        settings.client,
        tpot_words_s if settings.tpot == "words" else tpot_s,
        max((h for h in hits if h is not None), default=None),
    )
