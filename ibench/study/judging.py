"""What stage 4 judges, read back: one function for gating, explorer and score."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ibench.errors import CorruptResultError, ParameterError
from ibench.gates.bench import Bench, read_bench
from ibench.gates.counted import Scored
from ibench.gates.verdict import judge_run
from ibench.metrics.roofline import Roof, roof_of
from ibench.params import Gates
from ibench.records import BaselineResult, Evidence, LifeSpread, Question, Verdict
from ibench.study.definition import Study
from ibench.workloads import read_questions

__all__ = ["Case", "missing_judge", "open_case", "require_judge"]


class Case(NamedTuple):
    """A run, its baseline and the questions that both were asked."""

    run: Bench
    baseline: Bench
    questions: Sequence[Question]
    model_id: str
    forced_engine: str | None
    scored: Scored
    roof: Roof | None = None
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
            scored=self.scored,
            roof=self.roof,
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
        Scored(study.scenarios[scenario].objective, study.profile.measure.tpot),
        roof_of(study.host, study.model),
        base.lives,
        study.host.life_spread.get(scenario),
    )


def missing_judge(study: Study) -> ParameterError | None:
    """What keeps a required judge from being asked, with its remedy; None: nothing."""
    spec = study.gates.judge
    if spec is None or "judge" not in study.gates.required_checks:
        return None
    if os.environ.get(spec.key_variable, "").strip():
        return None
    return ParameterError(
        study.params / "gates" / f"{study.profile.gates}.yaml",
        "judge.key_variable",
        spec.key_variable,
        f"not set, and a score requires the judge: export the key of {spec.url}, or "
        f"write `gates: no-judge` into {study.profile_path.name}",
    )


def require_judge(study: Study) -> None:
    """Refuse to spend hours on runs that would have no score.

    Raises:
        ParameterError: a judge is required and its key is not set.
    """
    missing = missing_judge(study)
    if missing is not None:
        raise missing
