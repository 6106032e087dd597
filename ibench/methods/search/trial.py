"""One trial of a search: launch, quick evaluation, the gate for a leader, teardown."""

from __future__ import annotations

import time

from ibench.load.life import OK, Life
from ibench.load.scenario import Server
from ibench.methods.search import Config, Halving, Leaders, TrialResult, climb
from ibench.methods.search.gate import SPANS, Gate
from ibench.methods.search.site import Site

__all__ = ["TrialRunner"]


class TrialRunner:
    """Evaluates configurations; a crash is a result.

    Args:
        site: where servers are launched.
        halving: requests at each rung, and who is measured on.
        gate: asked of a trial that would be among the leaders, in the same server
            life: what fails it is no success that the sampler should follow. None:
            selection is on the objective alone.
        top: how many lead.
    """

    def __init__(
        self, site: Site, halving: Halving, gate: Gate | None, top: int
    ) -> None:
        """Nothing was evaluated yet."""
        self._site, self._halving, self._gate = site, halving, gate
        self._leaders = Leaders(top)

    def __call__(self, config: Config, index: int, left_s: float) -> TrialResult:
        """Evaluate one configuration in the seconds left."""
        site, engine = self._site, self._site.space.split(config)[0]
        if self._gate is not None:
            begun = time.monotonic()
            self._gate.prepare(engine)
            left_s -= time.monotonic() - begun
        site.job.status.phase(f"trial {index + 1}", left_s)
        limit_s = min(left_s, site.job.study.budget.trial_limit_s)
        quick = _Quick(site, self._halving, limit_s)
        asked_s = 0.0

        def use(target: Server, life: Life) -> None:
            nonlocal asked_s
            quick.measure(target, life)
            gate = self._gate
            if gate and life.outcome == OK and self._leads(quick, engine):
                begun = time.monotonic()
                gate.judge(target, engine, life)
                asked_s = time.monotonic() - begun

        image, name = site.image(engine), f"{index:02d}"
        life = site.live(name, site.script(config), image, limit_s, use)
        if life.cut:
            # What was measured before the limit stands.
            late = "late" if limit_s == left_s else "over_time"
            life.outcome = OK if quick.values else late
        ok = life.outcome == OK
        if ok:
            self._leaders.add(quick.requests, quick.values[-1])
        return TrialResult(
            outcome=life.outcome,
            rungs=tuple(quick.values) if ok else (),
            requests=quick.requests if ok else None,
            asked_s=asked_s,
            log_tail="" if ok else life.launch.log_tail,
            **dict(zip(SPANS, life.spans_s, strict=True)),
        )

    def _leads(self, quick: _Quick, engine: str) -> bool:
        is_known = self._gate is not None and self._gate.is_ready(engine)
        return is_known and self._leaders.has_room(quick.requests, quick.values[-1])


class _Quick:
    """The quick evaluation of one server life, rung by rung while time allows."""

    def __init__(self, site: Site, halving: Halving, limit_s: float) -> None:
        self._site, self._halving, self._limit_s = site, halving, limit_s
        self.values: list[float] = []
        self.requests = 0

    def measure(self, target: Server, life: Life) -> None:
        """Climb; a failure at any rung is the life's outcome."""
        end, begun, took_s = life.times[0] + self._limit_s, time.monotonic(), 0.0

        def rung(requests: int) -> float | None:
            nonlocal begun, took_s
            pace_s = took_s / self.requests if self.requests else 0.0
            if begun + pace_s * requests > end:
                return None
            measured = self._site.measure(target, requests, life)
            begun, took_s = time.monotonic(), time.monotonic() - begun
            if measured is None or measured.objective is None:
                return None
            self.values.append(measured.objective)
            self.requests = requests
            return measured.objective

        climb(self._halving, rung)
