"""The accuracy gate inside a search, on development questions.

The reference is the engine's own default launch, not the baseline: the naive server
answers one request at a time and would take a tenth of a two-hour budget, while the
default launch serves the same weights, unquantised, in the time of a trial. It is also
what an agent measures first in its session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ibench.errors import MetricUndefinedError
from ibench.gates.quality import quality_verdict
from ibench.load.life import OK, Life
from ibench.load.scenario import Server
from ibench.methods.search.site import Clock, Site
from ibench.records import Confirmation, QualityVerdict
from ibench.study.live import answers_of

__all__ = ["SPANS", "Gate"]

Answers = dict[str, str | None]
SPANS = ("launch_s", "evaluate_s", "teardown_s")
"""Names of a life's parts in the records of a search."""


class Gate:
    """Asks servers the development questions and holds them against the reference.

    Args:
        site: where servers are launched.
        clock: of the budget.
    """

    def __init__(self, site: Site, clock: Clock) -> None:
        """Nothing was launched yet."""
        self.site, self.clock = site, clock
        self.references: list[Confirmation] = []
        self._answers: dict[str, Answers] = {}

    def prepare(self, engine: str) -> None:
        """Launch an engine's default once and keep its answers."""
        if engine in self._answers:
            return
        row: dict[str, Any] = {"trial": None}
        answers: Answers = {}

        def use(target: Server, life: Life) -> None:
            answers.update(self._ask(target))
            try:
                row["correct"] = self._judge(answers, answers).baseline_correct
            except MetricUndefinedError as error:
                life.fail("no_reference", str(error))

        self.site.job.status.phase(f"default launch of {engine}", self.clock.left())
        script = self.site.default_script(engine)
        found = self.live(f"default-{engine}", engine, script, use, row)
        self.references.append(found)
        self._answers[engine] = answers if found.outcome == OK else {}

    def is_ready(self, engine: str) -> bool:
        """Whether there is an accuracy to compare this engine's with."""
        return bool(self._answers.get(engine))

    def judge(self, target: Server, engine: str, life: Life) -> QualityVerdict:
        """Ask a server; a failed gate is its life's outcome."""
        verdict = self._judge(self._ask(target), self._answers[engine])
        if not verdict.passed:
            tau = f"{verdict.tau:g}"
            life.fail("quality", f"below {tau} of the default launch's accuracy")
        return verdict

    def live(
        self,
        name: str,
        engine: str,
        script: str,
        use: Callable[[Server, Life], None],
        row: dict[str, Any],
    ) -> Confirmation:
        """Run one server life within the budget; ``use`` fills the row's numbers."""
        row |= {"engine": engine, "questions": len(self.site.workload.questions)}
        row["started_s"] = self.clock.elapsed()
        life = self.site.live(
            name, script, self.site.image(engine), self.clock.left(), use
        )
        row["outcome"] = "late" if life.cut else life.outcome
        row["detail"] = "the budget ended" if life.cut else life.detail
        spans = zip(SPANS, life.spans_s, strict=True)
        return Confirmation.model_validate(row | dict(spans))

    def _ask(self, target: Server) -> Answers:
        answers = answers_of(self.site.job, target, self.site.workload)
        return {a.request_id: None if a.failure else a.text for a in answers}

    def _judge(self, answers: Answers, reference: Answers) -> QualityVerdict:
        asked = self.site.workload.questions
        gold = {q.question_id: (q.gold, q.options) for q in asked}
        return quality_verdict(answers, reference, gold, self.site.job.study.gates.tau)
