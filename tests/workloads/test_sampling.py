from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from ibench.errors import CorruptResultError, WorkloadError
from ibench.workloads.documents import Document
from ibench.workloads.sampling import Split, WorkloadSpec, pool_of, sample_requests
from ibench.workloads.sets import read_requests, set_hash, write_requests

SPLITS: tuple[Split, ...] = ("dev", "eval", "warmup")


class Words:
    """Tokens are words; a message costs three tokens more."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.encoded: list[str] = []

    def encode(self, text: str) -> list[int]:
        self.encoded.append(text)
        start = len(self.words)
        self.words += text.split()
        return list(range(start, len(self.words)))

    def decode(self, tokens: Sequence[int]) -> str:
        return " ".join(self.words[token] for token in tokens)

    def count_messages(self, messages: Sequence[dict[str, str]]) -> int:
        return 3 + sum(len(m["content"].split()) for m in messages)


class Growing(Words):
    """A text of an odd length comes back one token longer."""

    def count_messages(self, messages: Sequence[dict[str, str]]) -> int:
        count = super().count_messages(messages)
        return count + (count % 2 if count > 3 else 0)


def documents(n: int = 40, words: int = 200) -> list[Document]:
    return [
        Document(document_id=f"d{i}", text=" ".join(f"{i}w{j}" for j in range(words)))
        for i in range(n)
    ]


def spec(**changes: object) -> WorkloadSpec:
    values = {
        "seed": 1337,
        "input_tokens": 100,
        "output_tokens": 50,
        "requests": 64,
        "temperature": 0.2,
        "max_model_len": 4096,
    }
    return WorkloadSpec.model_validate(values | changes)


def test_two_draws_are_the_same_bytes(tmp_path: Path) -> None:
    draws = [sample_requests(spec(), documents(), Words(), "eval") for _ in range(2)]
    hashes = [write_requests(tmp_path / str(i), made) for i, made in enumerate(draws)]
    assert hashes[0] == hashes[1] == set_hash(draws[0])
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()
    assert read_requests(tmp_path / "0") == draws[0]
    other = sample_requests(spec(seed=21), documents(), Words(), "eval")
    assert set_hash(other) != hashes[0]


def test_lengths_lie_in_the_published_ranges() -> None:
    for request in sample_requests(spec(), documents(), Words(), "dev"):
        assert 80 <= request.input_tokens <= request.target_input_tokens <= 100
        assert request.input_tokens == request.target_input_tokens
        assert 40 <= request.max_tokens <= 50
        assert request.source_tokens == 203


def test_draws_follow_the_published_generators() -> None:
    """An independent reading of rule steps 4 and 5, all documents alike."""
    pool = documents()
    made = sample_requests(spec(compat="upstream"), pool, Words(), "eval")
    which = random.Random("1337:longbench:100:50:0.8")
    target = random.Random("1337:input:100:50:0.8")
    output = random.Random("1337:output:100:50:0.8")
    for request in made:
        assert request.document_id == pool[which.randrange(len(pool))].document_id
        assert request.target_input_tokens == target.randint(80, 100)
        assert request.max_tokens == output.randint(40, 50)


def test_splits_never_share_a_document() -> None:
    used = {
        split: {
            r.document_id for r in sample_requests(spec(), documents(), Words(), split)
        }
        for split in SPLITS
    }
    assert all(used.values())
    assert sum(map(len, used.values())) == len(set().union(*used.values()))
    counts = [pool_of(f"document {i}") for i in range(2000)]
    assert counts.count("dev") == pytest.approx(900, abs=90)
    assert counts.count("warmup") == pytest.approx(200, abs=60)


def test_a_recount_beyond_the_bound_is_repaired() -> None:
    plain = sample_requests(spec(), documents(), Words(), "eval")
    repaired = sample_requests(spec(), documents(), Growing(), "eval")
    assert all(80 <= r.input_tokens <= r.target_input_tokens for r in repaired)
    for before, after in zip(plain, repaired, strict=True):
        is_even = before.target_input_tokens % 2 == 0
        assert (before.messages == after.messages) is is_even


def test_a_bound_nothing_can_meet_is_an_error() -> None:
    class Never(Words):
        def count_messages(self, messages: Sequence[dict[str, str]]) -> int:
            return 1000

    with pytest.raises(WorkloadError, match="no cut within 64 tokens"):
        sample_requests(spec(), documents(), Never(), "eval")


def test_short_documents_are_counted_in_the_error() -> None:
    pool = documents(n=10, words=20)
    with pytest.raises(WorkloadError, match=r"^0 of 10 documents .* \(longest 23\)"):
        sample_requests(spec(compat="upstream"), pool, Words(), "eval")


def test_a_model_without_room_is_an_error() -> None:
    with pytest.raises(WorkloadError, match="leaves no room"):
        sample_requests(spec(max_model_len=60), documents(), Words(), "eval")


def test_the_model_length_bounds_the_prompt() -> None:
    assert spec(max_model_len=147).target_input == 80


def test_each_document_is_encoded_once() -> None:
    tokenizer = Words()
    sample_requests(spec(), documents(), tokenizer, "eval")
    assert len(tokenizer.encoded) == len(set(tokenizer.encoded))


@pytest.mark.parametrize(
    ("key", "value"), [("max_tokens", 1), ("messages", []), ("temperature", 1.0)]
)
def test_an_edited_file_is_refused(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "requests.jsonl"
    write_requests(path, sample_requests(spec(), documents(), Words(), "eval"))
    lines = path.read_text().splitlines()
    lines[3] = json.dumps(json.loads(lines[3]) | {key: value})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(CorruptResultError, match=r"requests.jsonl:4: content hash"):
        read_requests(path)


@pytest.mark.parametrize("content", [b"{}\n", b"nonsense\n", b"\xff\n", None])
def test_a_file_that_is_no_set_is_refused(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "requests.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorruptResultError):
        read_requests(path)
