from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ibench.errors import CorruptResultError, OfflineError, WorkloadError
from ibench.workloads.questions import embedded_questions, mmlu_pro_questions
from ibench.workloads.sets import read_questions, write_questions

ROWS: list[dict[str, Any]] = [
    {
        "question_id": i,
        "question": f"What is {i} + 1?",
        "options": [str(i + k) for k in range(10)],
        "answer": "B",
        "answer_index": 1,
    }
    for i in range(30)
]


def rows_file(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "rows.json"
    path.write_text(json.dumps(rows))
    return path


def test_the_answer_stands_in_the_prompt() -> None:
    for question in embedded_questions("dev", 50):
        assert question.options == 10
        assert question.gold in question.messages[-1]["content"]


def test_splits_are_disjoint_for_every_seed() -> None:
    prompts = {
        split: {
            question.messages[-1]["content"]
            for seed in (0, 1)
            for question in embedded_questions(split, 400, seed)
        }
        for split in ("dev", "eval", "train")
    }
    assert len(set().union(*prompts.values())) == sum(map(len, prompts.values()))


def test_questions_come_back_and_edits_are_found(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    made = embedded_questions("eval", 20)
    assert write_questions(path, made) == write_questions(path, made)
    assert read_questions(path) == made
    row = json.loads(path.read_text().splitlines()[0])
    row["gold"] = "A" if row["gold"] != "A" else "B"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(CorruptResultError, match="content hash"):
        read_questions(path)


def test_mmlu_pro_from_a_local_file(tmp_path: Path) -> None:
    source = rows_file(tmp_path, ROWS)
    first, second = (
        mmlu_pro_questions("main", 8, 248, tmp_path / "cache", source=source)
        for _ in range(2)
    )
    assert first == second
    assert len({q.question_id for q in first}) == 8
    question = first[0]
    assert (question.gold, question.options, question.max_tokens) == ("B", 10, 2048)
    assert [m["role"] for m in question.messages] == ["system", "user"]
    assert "\nJ) " in question.messages[1]["content"]
    other = mmlu_pro_questions("main", 8, 1, tmp_path / "cache", source=source)
    assert other != first


def test_too_few_rows_and_missing_columns_are_errors(tmp_path: Path) -> None:
    source = rows_file(tmp_path, ROWS)
    with pytest.raises(WorkloadError, match="30 questions, 31 wanted"):
        mmlu_pro_questions("main", 31, 0, tmp_path / "cache", source=source)
    broken = rows_file(tmp_path, [{"question": "?"}])
    with pytest.raises(WorkloadError, match="no column"):
        mmlu_pro_questions("main", 1, 0, tmp_path / "cache2", source=broken)


def test_no_hub_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(OfflineError, match="hf download") as caught:
        mmlu_pro_questions("main", 8, 248, tmp_path)
    assert "\n" not in str(caught.value)
