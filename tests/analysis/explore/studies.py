"""A made study with tables: every request, chunk and answer of every server life."""

from __future__ import annotations

from pathlib import Path

from ibench import REPOSITORY
from ibench.records import Question, RequestResult
from ibench.store import dump, write_rows
from ibench.study.definition import Study
from ibench.workloads import write_questions
from ibench.workloads.sets import question_hash
from perf.synthetic import PROFILE, make_study, publish_records
from tests.factories import result

__all__ = ["CORRECT", "PROFILE", "QUESTIONS", "make_explored"]

QUESTIONS, BASELINE_CORRECT = 20, 10
# Right answers by method: half, nine and twelve tenths of the baseline's.
CORRECT = {"m00": 5, "m01": 9, "m02": 12, "baseline": BASELINE_CORRECT}


def make_explored(folder: Path) -> Study:
    """Three kinds of method, two seed pairs, four scenarios."""
    study = make_study(REPOSITORY / "params", folder, methods=3, seed_pairs=2)
    publish_records(study)
    for cell in study.cells():
        stage = "baseline" if cell.method == "baseline" else "relaunch"
        path = study.root / cell.path / stage
        phases = [p.name for p in study.scenarios[cell.scenario].phases]
        _tables(path, phases, study.model.model_id, CORRECT[cell.method])
        write_questions(path / "questions.jsonl", _questions())
    return study


def _tables(folder: Path, phases: list[str], model: str, correct: int) -> None:
    requests = [
        result(30.0 + i, 2.0, 6, start_ms=100.0 * i, request_id=f"r{i}", phase=phase,
               model=model)
        for phase in phases
        for i in range(4)
    ]  # fmt: skip
    answers = [
        result(request_id=q.question_id, text="A" if i < correct else "B")
        for i, q in enumerate(_questions())
    ]
    write_rows(folder / "requests.parquet", _bare(requests))
    write_rows(folder / "answers.parquet", _bare(answers))
    chunks = [
        {"phase": r.phase, "request_id": r.request_id, "i": i} | row
        for r in requests
        for i, row in enumerate(dump(r.chunks))
    ]
    write_rows(folder / "chunks.parquet", chunks)


def _bare(results: list[RequestResult]) -> list[dict[str, object]]:
    return [r.model_dump(mode="json", exclude={"chunks"}) for r in results]


def _questions() -> list[Question]:
    messages = ({"role": "user", "content": "?"},)
    known = question_hash(messages, options=10, gold="A", max_tokens=4)
    return [
        Question(
            question_id=f"q{i}", messages=messages, options=10, gold="A", max_tokens=4,
            content_hash=known,
        )
        for i in range(QUESTIONS)
    ]  # fmt: skip
