"""What stage 4 judges, read back: one function for gating, explorer and score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ibench.errors import CorruptResultError
from ibench.gates.bench import Bench, read_bench
from ibench.gates.verdict import judge_run
from ibench.params import Gates
from ibench.records import BaselineResult, Evidence, LifeSpread, Question, Verdict
from ibench.study.definition import Study
from ibench.workloads import read_questions

__all__ = ["Case", "open_case"]


class Case(NamedTuple):
    """A run, its baseline and the questions that both were asked."""

    run: Bench
    baseline: Bench
    questions: Sequence[Question]
    model_id: str
    forced_engine: str | None
    baseline_lives: tuple[float, ...] = ()
    host: LifeSpread | None = None

    def judge(
        self,
        gates: Gates,
        judge: Literal["not_run", "clean", "violation"] = "not_run",
        judge_detail: str = "",
    ) -> Verdict:
        """Judge the run by these gates and by what the judge said of it."""
        return judge_run(
            self.run,
            self.baseline,
            self.questions,
            gates,
            model_id=self.model_id,
            model_dir_name=self.run.evidence.model_dir_name,
            forced_engine=self.forced_engine,
            baseline_lives=self.baseline_lives,
            host=self.host,
            judge=judge,
            judge_detail=judge_detail,
        )


def open_case(
    study: Study,
    scenario: str,
    run: tuple[Path, Evidence],
    baseline: tuple[Path, BaselineResult],
    forced_engine: str | None = None,
) -> Case:
    """Read a run and its baseline back for judgement.

    Args:
        study: the profile.
        scenario: that both were measured on.
        run: folder and result of the relaunch, or of a score.
        baseline: folder and result of the baseline.
        forced_engine: engine that the method had to use, if any.

    Raises:
        CorruptResultError: a table is missing or broken, or the two were not asked the
            same requests and questions.
    """
    folder, evidence = run
    place, base = baseline
    for name in ("requests", "questions"):
        ours = getattr(evidence, f"{name}_sha256")
        theirs = getattr(base.evidence, f"{name}_sha256")
        if ours != theirs:
            raise CorruptResultError(
                f"{folder / name}.jsonl: sha256: {ours[:12]}: its baseline {place} was "
                f"asked {theirs[:12]} (another Python version has other documents): "
                "move the older of the two folders away and run `make reproduce`"
            )
    return Case(
        read_bench(folder, evidence),
        read_bench(place, base.averaged),
        read_questions(folder / "questions.jsonl"),
        study.model.model_id,
        forced_engine,
        base.lives,
        study.host.life_spread.get(scenario),
    )
