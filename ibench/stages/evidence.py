"""Server lives of one submission, alone or beside the baseline: what they showed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from ibench.errors import LaunchError, MetricUndefinedError
from ibench.load.blocks import Part
from ibench.load.life import OK, Life, Running, serve_while_used
from ibench.load.measure import Measurement, Side, load_in_turns, summed_up
from ibench.records import (
    Calibration,
    GpuUse,
    HostWatch,
    LaunchOutcome,
    PairedLife,
    RequestResult,
)
from ibench.serving.cores import Cores, move, on_cores, strays
from ibench.serving.fingerprint import command_lines, engines_in
from ibench.serving.gpu import GpuMeter, energy_per_token_j
from ibench.serving.host_watch import Watch
from ibench.serving.linux import connections_to
from ibench.serving.weights import opened_by
from ibench.study.job import OpenJob
from ibench.study.live import answers_of, client_cores, connected, cores_of
from ibench.workloads import Workload

__all__ = ["LifeSeen", "Lives"]


@dataclass
class LifeSeen:
    """What one server life allowed to be measured; a death on the way keeps the rest.

    Attributes:
        side: its load, block by block.
        beside: the baseline's, if one was up beside it.
        processes: command lines.
        opened: weights that they use (``serving.weights``).
        engines: that these show.
        answers: to the quality questions, if they were asked in this life.
        dialect: how the output length is enforced.
        gpu: what GPUs were used for.
        host: the machine meanwhile.
        strays: threads that could run on cores that the server was not given.
        intrusions: connections with the baseline when it was not on turn.
    """

    side: Side | None = None
    beside: Side | None = None
    processes: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    answers: tuple[RequestResult, ...] = ()
    dialect: str | None = None
    gpu: GpuUse | None = None
    host: HostWatch | None = None
    strays: int = 0
    intrusions: int = 0


@dataclass
class Lives:
    """The server lives of one submission, one after the other.

    Args:
        job: the stage.
        workload: what is sent.
        parts: its phases, block by block.
        shares: lives that share the blocks; with 1 every life is sent all of them.
        calibrated: of the client, before and after, one a phase.
        ended: how each life went.
        seen: what each life showed.
    """

    job: OpenJob
    workload: Workload
    parts: tuple[Part, ...]
    shares: int = 1
    calibrated: list[tuple[Calibration, ...]] = field(default_factory=list)
    ended: list[Life] = field(default_factory=list)
    seen: list[LifeSeen] = field(default_factory=list)

    def live(
        self,
        start: Callable[[], Running],
        beside: Callable[[], Running] | None = None,
        *,
        ask: bool,
    ) -> Life:
        """Live the next life: launch, load, ask, stop.

        Args:
            start: launches the submission.
            beside: launches the baseline, at the same time.
            ask: ask the quality questions at the end of the load.
        """
        seen = LifeSeen()
        self.seen.append(seen)
        if beside is None:
            life = serve_while_used(
                start, lambda running, _: self._use(seen, running, None, ask=ask)
            )
        else:
            with ThreadPoolExecutor(1) as pool:
                other = pool.submit(beside)
                try:
                    life = serve_while_used(
                        start,
                        lambda running, _: self._use(
                            seen, running, other.result(), ask=ask
                        ),
                    )
                finally:
                    other.result().stop()
        self.ended.append(life)
        return life

    def _use(
        self, seen: LifeSeen, running: Running, other: Running | None, *, ask: bool
    ) -> None:
        job, cores = self.job, cores_of(self.job)
        number = len(self.ended)
        run_name = f"{job.job.run_id}:{time.monotonic_ns()}"
        pids = (lambda: set(running.pids())) if running.pids() else None
        bound = on_cores(client_cores(job))
        with GpuMeter(pids=pids, gpus=job.gpus) as meter, bound:
            seen.side = self._side(running, run_name)
            server = seen.side.server
            seen.dialect = server.dialect.label
            sides = [seen.side]
            if other is not None:
                seen.beside = self._beside(other, run_name)
                sides.append(seen.beside)
                _take_turns(seen, running, other, cores)
            watch = Watch(
                cores.servers if cores else None,
                lambda: (*running.pids(), *(other.pids() if other else ())),
            )
            load_in_turns(
                sides,
                job.scenario.workload,
                self._parts_of(number),
                self.workload.warmup,
                job.status.phase,
                first=number,
            )
            seen.host = watch.end()
            seen.side.resume()
            if cores:
                seen.strays += len(strays(running.pids(), cores.servers))
        seen.processes = command_lines(running.pids())
        seen.opened = opened_by(running.pids())
        seen.engines = engines_in(running.pids(), job.study.process_patterns)
        seen.gpu = meter.use()
        if ask:
            job.status.phase("quality questions")
            seen.answers = answers_of(job, server, self.workload)

    def _beside(self, other: Running, run_name: str) -> Side:
        if other.launch.outcome is not LaunchOutcome.READY:
            raise LaunchError(
                "baseline", f"the baseline beside it: {other.launch.detail}"
            )
        return self._side(other, run_name)

    def _side(self, running: Running, run_name: str) -> Side:
        count = self.job.assets.tokenizer.count_text
        return Side(connected(self.job, running), run_name, count)

    def _parts_of(self, number: int) -> tuple[Part, ...]:
        share = number % self.shares
        return tuple(p.shared(share, self.shares) for p in self.parts)

    def measured(self, *, beside: bool = False) -> Measurement | None:
        """Sum up the lives that share the blocks; None where none was loaded.

        Args:
            beside: those of the baseline instead of the submission's.
        """
        seen = self.seen[: self.shares]
        sides = [s.beside if beside else s.side for s in seen]
        loaded = [s for s in sides if s is not None and s.runs]
        return self._summed_up(self.parts, loaded) if loaded else None

    def _summed_up(self, parts: tuple[Part, ...], sides: Sequence[Side]) -> Measurement:
        settings = self.job.study.profile.measure
        calibrated = self.calibrated if parts is self.parts else ()
        return summed_up(self.job.scenario.workload, settings, parts, sides, calibrated)

    def pairs(self) -> tuple[PairedLife, ...]:
        """Every life against the baseline's beside it."""
        return tuple(self._pair(i, s) for i, s in enumerate(self.seen))

    def _pair(self, number: int, seen: LifeSeen) -> PairedLife:
        life = self.ended[number]
        parts = self._parts_of(number)
        found = [
            self._summed_up(parts, [side]) if side and side.runs else None
            for side in (seen.side, seen.beside)
        ]
        ours, base = found
        details = [f"{life.outcome}: {life.detail}"] * (life.outcome != OK)
        details += [m.detail for m in found if m and m.detail]
        return PairedLife(
            objective=ours.objective if ours else None,
            baseline_objective=base.objective if base else None,
            blocks=self._block_ratios(parts, seen),
            detail="; ".join(details),
        )

    def _block_ratios(
        self, parts: tuple[Part, ...], seen: LifeSeen
    ) -> tuple[float, ...]:
        if seen.side is None or seen.beside is None:
            return ()
        ratios = []
        for part in parts:
            name = part.phase.name
            runs = (side.runs.get(name, []) for side in (seen.side, seen.beside))
            for block, ours, base in zip(part.blocks, *runs, strict=False):
                only = (part._replace(blocks=(block,)),)
                values = [
                    self._summed_up(only, [replace(side, runs={name: [run]})]).objective
                    for side, run in ((seen.side, ours), (seen.beside, base))
                ]
                if values[0] and values[1]:
                    ratios.append(values[0] / values[1])
        return tuple(ratios)

    def energy_per_token_j(self) -> float | None:
        """Joules per output token of the first life; None without a reading."""
        sides = [s.side for s in self.seen[:1] if s.side is not None and s.side.runs]
        if not sides:
            return None
        found = self._summed_up(self._parts_of(0), sides)
        tokens = sum(p.output_tokens for p in found.phases)
        try:
            return energy_per_token_j(self.seen[0].gpu, tokens)
        except MetricUndefinedError:
            return None


def _take_turns(
    seen: LifeSeen, running: Running, other: Running, cores: Cores | None
) -> None:
    """Let each server run in its own turns only, on the cores of servers."""

    def after_turn() -> None:
        if cores:
            seen.strays += len(strays(running.pids(), cores.servers))
        running.pause()

    def before_its_turn() -> None:
        # The client has closed what it had: what waits there now is somebody else's,
        # and would be answered on the baseline's time.
        seen.intrusions += connections_to(urlsplit(other.base_url).port or 0)
        other.resume()

    for server in (running, other):
        if cores:
            move(server.pids(), cores.servers)
        server.pause()
    if seen.side is not None:
        seen.side.resume, seen.side.pause = running.resume, after_turn
    if seen.beside is not None:
        seen.beside.resume, seen.beside.pause = before_its_turn, other.pause
