"""A hub with the three kinds of source, small, in the schemas of the real ones."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ibench import REPOSITORY
from ibench.study.definition import Study
from ibench.workloads import Document, stdlib_documents
from tests.workloads.hub.hub import COMMIT, Hub, serving

MODEL = "mistralai/Mistral-7B-Instruct-v0.3"
DOCUMENTS, QUESTIONS = "THUDM/LongBench-v2", "TIGER-Lab/MMLU-Pro"


def longbench_json(n: int = 40) -> bytes:
    rows = [
        {
            "_id": hashlib.sha256(document.document_id.encode()).hexdigest()[:24],
            "domain": "Code Repository Understanding",
            "sub_domain": "Code repo QA",
            "difficulty": "easy",
            "length": "short",
            "question": "What does the module define first?",
            **{f"choice_{c}": f"choice {c} é" for c in "ABCD"},
            "answer": "ABCD"[i % 4],
            "context": document.text[:8000],
        }
        for i, document in enumerate(_long_documents(n))
    ]
    return json.dumps(rows).encode()


def _long_documents(n: int) -> list[Document]:
    long = [d for d in stdlib_documents() if len(d.text) > 20_000]
    return random.Random(3).sample(long, n)


def mmlu_parquet(n: int = 60) -> bytes:
    rows = [
        {
            "question_id": 70 + i,
            "question": f"What is {i} + 1?",
            "options": [str(i + k) for k in range(10)],
            "answer": "B",
            "answer_index": 1,
            "cot_content": "",
            "category": "math",
            "src": "made",
        }
        for i in range(n)
    ]
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


@pytest.fixture
def hub(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub, with the embedded model in the place of the paper's."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    model = {p.name: p.read_bytes() for p in model_dir.iterdir() if p.is_file()}
    model |= {"consolidated.safetensors": b"the same weights again", "README.md": b"x"}
    made = Hub(
        {
            MODEL: model,
            DOCUMENTS: {"data.json": longbench_json(), "README.md": b"card"},
            QUESTIONS: {
                "data/test-00000-of-00001.parquet": mmlu_parquet(),
                "data/validation-00000-of-00001.parquet": mmlu_parquet(5),
            },
        }
    )
    with serving(made):
        yield made


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """The GPU profile with its three hub sources, scaled to the embedded model."""
    return made_study(tmp_path)


def made_study(folder: Path, compat: str = "ibench") -> Study:
    params = folder / "params"
    shutil.copytree(REPOSITORY / "params", params)
    (params / "data.lock").unlink()
    path = params / "profiles" / "h100.yaml"
    profile = yaml.safe_load(path.read_text())
    tiny = yaml.safe_load((params / "profiles" / "cpu.yaml").read_text())
    profile |= {
        "documents_revision": COMMIT,
        "scale": tiny["scale"],
        "seed_pairs": 3,
        "methods": profile["methods"][:1],
        "compat": compat,
    }
    profile["questions"] |= {"revision": COMMIT, "n": 20, "development_n": 10}
    path.write_text(yaml.safe_dump(profile))
    model = params / "models" / "mistral-7b.yaml"
    spec = yaml.safe_load(model.read_text())
    model.write_text(yaml.safe_dump(spec | {"revision": COMMIT}))
    return Study("h100", params, folder / "results")
