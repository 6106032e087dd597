from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ibench.errors import CorruptResultError, WorkloadError
from ibench.workloads.questions import embedded_questions, mmlu_pro_questions
from ibench.workloads.sets import read_questions, write_questions


def parquet_folder(folder: Path, n: int, **changes: object) -> Path:
    """Rows in the schema of MMLU-Pro's test file, as the hub holds it."""
    rows = [
        {
            "question_id": i,
            "question": f"What is {i} + 1?",
            "options": [str(i + k) for k in range(10)],
            "answer": "B",
            "answer_index": 1,
            "cot_content": "",
            "category": "math",
            "src": "made",
        }
        | changes
        for i in range(n)
    ]
    (folder / "data").mkdir()
    path = folder / "data" / "test-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return folder


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


def test_mmlu_pro_from_its_file(tmp_path: Path) -> None:
    folder, cache = parquet_folder(tmp_path, 30), tmp_path / "cache"
    first, second = (mmlu_pro_questions(folder, 8, 4, 248, cache) for _ in range(2))
    assert first == second
    assert len({q.question_id for part in first for q in part}) == 12
    question = first[0][0]
    assert (question.gold, question.options, question.max_tokens) == ("B", 10, 2048)
    assert [m["role"] for m in question.messages] == ["system", "user"]
    assert "\nJ) " in question.messages[1]["content"]
    assert mmlu_pro_questions(folder, 8, 4, 1, cache) != first


def test_a_gold_letter_may_be_an_index(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path, 4, answer=None, answer_index=3)
    scored, _ = mmlu_pro_questions(folder, 2, 2, 248, tmp_path / "cache")
    assert {q.gold for q in scored} == {"D"}


def test_too_few_rows_missing_columns_and_files_are_errors(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(WorkloadError, match="no file like data/test"):
        mmlu_pro_questions(tmp_path, 8, 2, 248, cache)
    folder = parquet_folder(tmp_path, 30)
    with pytest.raises(WorkloadError, match=r"30 questions, 21 \+ 10 wanted"):
        mmlu_pro_questions(folder, 21, 10, 0, cache)
    path = folder / "data" / "test-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist([{"question": "?"}] * 3), path)
    with pytest.raises(WorkloadError, match="no column"):
        mmlu_pro_questions(folder, 1, 1, 0, cache)
    path.write_bytes(b"half of a fi")
    with pytest.raises(WorkloadError, match="not parquet of one schema"):
        mmlu_pro_questions(folder, 1, 1, 0, cache)
