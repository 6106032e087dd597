"""The published sampling rule, written down a second time, gives the same bytes.

What follows is read from the reference alone: plain Python over the raw tokenizer,
with nothing of the library's sampler in it.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ibench import REPOSITORY
from ibench.errors import WorkloadError
from ibench.params import PaperScenario
from ibench.params.files import load_yaml
from ibench.workloads import (
    ChatTokenizer,
    Document,
    WorkloadSpec,
    sample_requests,
    stdlib_documents,
    write_upstream_requests,
)
from ibench.workloads.questions import mmlu_pro_questions
from tests.workloads.test_questions import parquet_folder
from tests.workloads.test_sampling import Growing
from tests.workloads.test_sampling import documents as words
from tests.workloads.test_sampling import spec as spec_of

PARAMS = REPOSITORY / "params"
# Input and output tokens scaled to the embedded model, requests and the rest as paper.
SCALED = {"a": (1024, 32), "b": (128, 256), "c": (128, 64), "d": (512, 128)}
LETTERS = "ABCD"


def published_pool(rows: Sequence[Document], k: int, seed: int) -> list[Document]:
    rng = random.Random(seed)
    pool: list[Document] = []
    for seen, row in enumerate(rows, start=1):
        if seen <= k:
            pool.append(row)
            continue
        at = rng.randrange(seen)
        if at < k:
            pool[at] = row
    return pool


def published_requests(
    rows: Sequence[Document], tokenizer: Any, spec: WorkloadSpec
) -> list[str]:
    """The lines of ``requests.jsonl``, up to where the rule aborts, if it does."""

    def count(content: str) -> int:
        chat = [{"role": "user", "content": content}]
        text = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, tokenize=False
        )
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    out_max, ratio = spec.output_tokens, spec.range_ratio
    top = min(spec.input_tokens, spec.max_model_len - out_max - 1 - 16)
    low, out_low = math.ceil(top * ratio), math.ceil(out_max * ratio)
    pool = [(row, count(row.text)) for row in published_pool(rows, 503, spec.seed)]
    eligible = [(row, size) for row, size in pool if size >= low]
    tail = f"{top}:{out_max}:{ratio}"
    pick = random.Random(f"{spec.seed}:longbench:{tail}")
    want = random.Random(f"{spec.seed}:input:{tail}")
    answer = random.Random(f"{spec.seed}:output:{tail}")
    lines: list[str] = []
    for _ in range(spec.requests):
        target = want.randint(low, top)
        fitting = [(row, size) for row, size in eligible if size >= target]
        row, size = fitting[pick.randrange(len(fitting))]
        tokens = tokenizer(row.text, add_special_tokens=False, verbose=False)
        head = tokens["input_ids"][: target - count("")]
        text = tokenizer.decode(head, clean_up_tokenization_spaces=False)
        realised = count(text)
        if not low <= realised <= target:
            return lines
        sent = {
            "messages": [{"role": "user", "content": text}],
            "max_new_tokens": answer.randint(out_low, out_max),
            "temperature": spec.temperature,
            "require_json": False,
            "ignore_eos": spec.ignore_eos,
        }
        hashed = json.dumps(
            sent, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        record = {
            "messages": sent["messages"],
            "gold_answer": row.gold,
            "sample_id": row.document_id,
            "max_new_tokens": sent["max_new_tokens"],
            "temperature": sent["temperature"],
            "require_json": False,
            "parse_mode": "",
            "ignore_eos": sent["ignore_eos"],
            "target_input_token_count": target,
            "input_token_count": realised,
            "source_prompt_token_count": size,
            "sampling_range_ratio": ratio,
            "content_hash": hashlib.sha256(hashed.encode()).hexdigest(),
        }
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    return lines


def made_documents(n: int, characters: int) -> list[Document]:
    """Heads of the standard library as contexts, with questions of the same form."""
    texts = [d.text for d in stdlib_documents() if len(d.text) > 400]
    generator = random.Random(5)
    rows = []
    for i in range(n):
        context = texts[i % len(texts)][i // len(texts) * 200 :][:characters]
        choices = "\n".join(f"{c}) choice “{c}” {generator.random()}" for c in LETTERS)
        rows.append(
            Document(
                document_id=f"{i:024x}",
                text=f"{context}\nQuestion: what is “{i}”?\n{choices}",
                gold=LETTERS[i % 4] if i % 5 else None,
            )
        )
    return rows


@pytest.fixture(scope="module")
def tokenizer(model_dir: Path) -> ChatTokenizer:
    return ChatTokenizer(model_dir)


@pytest.fixture(scope="module")
def raw(model_dir: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_dir)


@pytest.mark.parametrize("seed", [1337, 428, 777])
@pytest.mark.parametrize("name", "abcd")
def test_a_set_is_the_published_one_to_the_byte(
    name: str, seed: int, tokenizer: ChatTokenizer, raw: Any, tmp_path: Path
) -> None:
    scenario = load_yaml(PaperScenario, PARAMS / "scenarios" / f"{name}.yaml")
    spec = WorkloadSpec(
        seed=seed,
        input_tokens=SCALED[name][0],
        output_tokens=SCALED[name][1],
        range_ratio=scenario.range_ratio,
        requests=scenario.phases[0].requests,
        temperature=scenario.temperature,
        ignore_eos=scenario.ignore_eos,
        max_model_len=scenario.max_model_tokens,
        compat="upstream",
    )
    rows = made_documents(60, 6000)
    expected = published_requests(rows, raw, spec)
    assert expected
    if len(expected) < spec.requests:
        with pytest.raises(WorkloadError, match="no cut within 0 tokens"):
            sample_requests(spec, rows, tokenizer, "eval")
    until = spec.model_copy(update={"requests": len(expected)})
    made = sample_requests(until, rows, tokenizer, "eval")
    path = tmp_path / "requests.jsonl"
    write_upstream_requests(path, made, rows, spec.range_ratio)
    assert path.read_bytes() == "".join(expected).encode()


def test_more_rows_than_the_pool_holds_are_chosen_by_the_seed(
    tokenizer: ChatTokenizer, raw: Any, tmp_path: Path
) -> None:
    rows = made_documents(540, 700)
    spec = spec_of(seed=428, requests=40, compat="upstream")
    made = sample_requests(spec, rows, tokenizer, "eval")
    path = tmp_path / "requests.jsonl"
    write_upstream_requests(path, made, rows, spec.range_ratio)
    assert path.read_text().splitlines(keepends=True) == published_requests(
        rows, raw, spec
    )
    assert published_pool(rows, 503, 428) != rows[:503]


def test_a_cut_that_misses_aborts_as_published_and_is_repaired_by_default() -> None:
    strict = spec_of(compat="upstream")
    with pytest.raises(WorkloadError, match=r"within 0 tokens .*\(compat: ibench"):
        sample_requests(strict, words(), Growing(), "eval")
    assert sample_requests(spec_of(), words(), Growing(), "eval")


def test_warm_up_out_of_one_pool_is_not_the_measured_requests(
    tokenizer: ChatTokenizer,
) -> None:
    rows = made_documents(60, 6000)
    spec = spec_of(requests=16, compat="upstream")
    warm, measured = (
        sample_requests(spec, rows, tokenizer, split) for split in ("warmup", "eval")
    )
    assert not {r.content_hash for r in warm} & {r.content_hash for r in measured}


@pytest.mark.parametrize(("n", "seed"), [(20, 248), (7, 248), (20, 21)])
def test_scored_questions_are_the_published_reservoir(
    n: int, seed: int, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    chosen = list(range(n))
    for i in range(n, 300):
        at = rng.randrange(i + 1)
        if at < n:
            chosen[at] = i
    folder = parquet_folder(tmp_path, 300)
    scored, seen = mmlu_pro_questions(folder, n, 40, seed, tmp_path / "cache")
    assert [q.question_id for q in scored] == [str(i) for i in chosen]
    assert len(seen) == 40
    assert not {q.question_id for q in scored} & {q.question_id for q in seen}
