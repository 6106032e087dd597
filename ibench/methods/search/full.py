"""The best trials of a search at full evaluation, inside its budget."""

from __future__ import annotations

from typing import Any

from ibench.load.life import Life
from ibench.load.scenario import Server
from ibench.methods.search.gate import Gate
from ibench.records import Confirmation, Trial

__all__ = ["Confirmer"]


class Confirmer:
    """Launches a trial again: development questions first, then the whole load.

    Args:
        gate: asks the questions.
        counts: requests at each rung of a trial.
        full: requests of the scenario's longest phase.
    """

    def __init__(self, gate: Gate, counts: tuple[int, ...], full: int) -> None:
        """Nothing was launched yet."""
        self._gate, self._counts, self._full = gate, counts, full
        self._requests: int | None = None

    def __call__(self, trial: Trial) -> Confirmation | None:
        """Evaluate one trial in full.

        The first one decides how many requests fit, so that all have as many.

        Returns:
            None if the time left is too short, or there is no accuracy to compare.
        """
        engine, _ = self._gate.site.space.split(trial.config)
        if not self._gate.is_ready(engine):
            return None
        fitting = self._fitting(trial)
        if self._requests is None and fitting >= self._counts[0]:
            self._requests = min(self._full, fitting)
        if self._requests is None or fitting < self._requests:
            return None
        return self._evaluate(trial, engine, self._requests)

    def _fitting(self, trial: Trial) -> int:
        """Requests that fit into the time left beside launch and questions."""
        asked_s = self._gate.references[-1].evaluate_s
        rest_s = trial.launch_s + trial.teardown_s + asked_s
        load_s = trial.evaluate_s - trial.asked_s
        pace_s = load_s / sum(self._counts[: len(trial.rungs)])
        return int((self._gate.clock.left() - rest_s) / pace_s)

    def _evaluate(self, trial: Trial, engine: str, requests: int) -> Confirmation:
        gate, row = self._gate, dict[str, Any](trial=trial.index)

        def use(target: Server, life: Life) -> None:
            verdict = gate.judge(target, engine, life)
            row["correct"] = verdict.correct
            row["reference_correct"] = verdict.baseline_correct
            if verdict.passed:
                row["requests"] = requests
                if measured := gate.site.measure(target, requests, life):
                    row["objective"] = measured.objective

        name = f"full evaluation of trial {trial.index + 1}"
        gate.site.job.status.phase(name, gate.clock.left())
        script = gate.site.script(dict(trial.config))
        return gate.live(f"full-{trial.index:02d}", engine, script, use, row)
