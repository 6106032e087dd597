from __future__ import annotations

import json
from pathlib import Path

import pytest

from ibench.errors import WorkloadError
from ibench.workloads.documents import (
    Document,
    corpus_hash,
    longbench_documents,
    stdlib_documents,
)

ROW = {
    "_id": "x1",
    "context": "A long story.",
    "question": "Who?",
    "choice_A": "a",
    "choice_B": "b",
    "choice_C": "c",
    "choice_D": "d",
    "answer": "A",
}


def test_the_standard_library_is_sorted_and_without_tests() -> None:
    documents = stdlib_documents()
    ids = [document.document_id for document in documents]
    assert ids == sorted(ids)
    assert "argparse.py" in ids
    assert "asyncio/tasks.py" in ids
    folders = {part for i in ids for part in i.split("/")[:-1]}
    assert not folders & {"test", "tests", "idlelib", "site-packages"}
    assert corpus_hash(documents) == corpus_hash(stdlib_documents())


def test_the_hash_depends_on_ids_texts_and_order() -> None:
    a, b = (Document(document_id=i, text=i) for i in "ab")
    c = Document(document_id="a", text="b")
    assert len({corpus_hash(d) for d in ([a, b], [b, a], [c, b], [a])}) == 4


def test_longbench_keeps_the_order_of_its_file(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"_id": "x0", "answer": "C"}]
    (tmp_path / "data.json").write_text(json.dumps(rows))
    made = longbench_documents(tmp_path, tmp_path / "cache")
    assert [(d.document_id, d.gold) for d in made] == [("x1", "A"), ("x0", "C")]
    expected = "A long story.\nQuestion: Who?\nA) a\nB) b\nC) c\nD) d"
    assert made[0].text == expected


def test_files_that_are_not_the_data_set_are_errors(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"no file like data\.json"):
        longbench_documents(tmp_path, tmp_path / "cache")
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"_id": "x"}]))
    with pytest.raises(WorkloadError, match="no column"):
        longbench_documents(tmp_path, tmp_path / "cache")
    path.write_text('[{"_id": "x1", "context": "cut of')
    with pytest.raises(WorkloadError, match="not json of one schema"):
        longbench_documents(tmp_path, tmp_path / "cache")
