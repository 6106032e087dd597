from __future__ import annotations

import json
from pathlib import Path

import pytest

from ibench.errors import OfflineError, WorkloadError
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


def test_longbench_from_a_local_folder_keeps_the_order(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [ROW, ROW | {"_id": "x0"}]
    (folder / "rows.json").write_text(json.dumps(rows))
    made = longbench_documents("main", tmp_path / "cache", source=folder)
    assert [document.document_id for document in made] == ["x1", "x0"]
    expected = "A long story.\nQuestion: Who?\nA) a\nB) b\nC) c\nD) d"
    assert made[0].text == expected


def test_wrong_local_sources_are_errors(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"no \.json"):
        longbench_documents("main", tmp_path, source=tmp_path)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"_id": "x"}]))
    with pytest.raises(WorkloadError, match="no column"):
        longbench_documents("main", tmp_path, source=path)


def test_no_hub_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(OfflineError, match="hf download") as caught:
        longbench_documents("0123abc", tmp_path)
    assert "\n" not in str(caught.value)
