from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibench.files import tree_sha256
from ibench.gates.quality import extract_answer
from ibench.records import RequestSpec
from ibench.workloads.documents import stdlib_documents
from ibench.workloads.embedded_model import ensure_model, model_key
from ibench.workloads.questions import embedded_questions
from ibench.workloads.sampling import WorkloadSpec, sample_requests
from ibench.workloads.tokens import ChatTokenizer
from ibench.workloads.training import TrainingSpec, train_tokenizer
from tests.sharing import made_once

pytestmark = [pytest.mark.long, pytest.mark.spread]

TAU = 0.95
QUESTIONS = embedded_questions("eval", 150)
TINY = TrainingSpec(
    steps=2, questions=8, hidden_size=32, intermediate_size=32, heads=2, kv_heads=1
)

Change = Callable[[Any], None]


def load(model_dir: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_dir).eval()


def accuracy(model: Any, tokenizer: ChatTokenizer) -> float:
    """Greedy answers, read as the quality gate reads them."""
    import torch

    right = 0
    for question in QUESTIONS:
        prompt = "".join(
            f"<|{m['role']}|>{m['content']}<|end|>" for m in question.messages
        )
        tokens = torch.tensor([tokenizer.encode(prompt + "<|assistant|>")])
        with torch.no_grad():
            answer = model.generate(
                tokens, max_new_tokens=question.max_tokens, do_sample=False
            )
        text = tokenizer.decode(answer[0, tokens.shape[1] :].tolist())
        right += extract_answer(text.replace("<|end|>", ""), 10) == question.gold
    return right / len(QUESTIONS)


def rounded(bits: int, *, per_row: bool) -> Change:
    def change(model: Any) -> None:
        levels = 2 ** (bits - 1) - 1
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and "embed" not in name:
                size = weight.data.abs()
                top = size.amax(1, keepdim=True) if per_row else size.max()
                scale = top / levels
                weight.data = (weight.data / scale).round().clamp(-levels, levels)
                weight.data *= scale

    return change


def without_layer(index: int) -> Change:
    def change(model: Any) -> None:
        del model.model.layers[index]
        model.config.num_hidden_layers -= 1
        for i, layer in enumerate(model.model.layers):
            layer.self_attn.layer_idx = i

    return change


@pytest.fixture(scope="module")
def tokenizer(model_dir: Path) -> ChatTokenizer:
    return ChatTokenizer(model_dir)


@pytest.fixture(scope="module")
def baseline(
    model_dir: Path,
    tokenizer: ChatTokenizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> float:
    def measure(folder: Path) -> None:
        (folder / "share").write_text(repr(accuracy(load(model_dir), tokenizer)))

    folder = made_once(tmp_path_factory, "embedded-accuracy", measure)
    return float((folder / "share").read_text())


@pytest.mark.slow
def test_the_model_is_neither_perfect_nor_poor(
    model_dir: Path, baseline: float
) -> None:
    assert 0.6 <= baseline <= 0.95
    assert 1e6 <= load(model_dir).num_parameters() <= 5e6


@pytest.mark.slow
def test_bfloat16_passes_the_gate(
    model_dir: Path, tokenizer: ChatTokenizer, baseline: float
) -> None:
    assert accuracy(load(model_dir).bfloat16(), tokenizer) >= TAU * baseline


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        rounded(3, per_row=True),
        rounded(3, per_row=False),
        rounded(2, per_row=True),
        rounded(2, per_row=False),
        without_layer(0),
        without_layer(1),
    ],
)
def test_coarse_rounding_and_a_missing_layer_fail_it_clearly(
    model_dir: Path, tokenizer: ChatTokenizer, baseline: float, change: Change
) -> None:
    model = load(model_dir)
    change(model)
    assert accuracy(model, tokenizer) < 0.75 * baseline


@pytest.mark.slow
def test_generated_text_re_tokenizes_to_its_length(
    model_dir: Path, tokenizer: ChatTokenizer
) -> None:
    import torch

    request = requests(tokenizer)[0]
    prompt = f"<|user|>{request.messages[0]['content']}<|end|><|assistant|>"
    tokens = torch.tensor([tokenizer.encode(prompt)])
    with torch.no_grad():
        made = load(model_dir).generate(
            tokens, max_new_tokens=1000, do_sample=False, eos_token_id=None
        )
    text = tokenizer.decode(made[0, tokens.shape[1] :].tolist())
    assert tokenizer.count_text(text) >= 980
    assert "<|end|>" not in text


def requests(tokenizer: ChatTokenizer) -> tuple[RequestSpec, ...]:
    spec = WorkloadSpec(
        seed=1337,
        input_tokens=512,
        output_tokens=64,
        requests=16,
        temperature=0.2,
        max_model_len=4096,
    )
    return sample_requests(spec, stdlib_documents(), tokenizer, "eval")


@pytest.mark.slow
def test_requests_are_sampled_with_the_real_tokenizer(tokenizer: ChatTokenizer) -> None:
    for request in requests(tokenizer):
        assert 410 <= request.input_tokens <= request.target_input_tokens <= 512
        assert tokenizer.count_messages(request.messages) == request.input_tokens


def test_the_tokenizer_is_the_same_each_time_and_renders_roles() -> None:
    documents = stdlib_documents()[:40]
    first, second = (train_tokenizer(TINY, documents) for _ in range(2))
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()
    roles = ("system", "user", "assistant")
    text = first.apply_chat_template(
        [{"role": role, "content": "hi"} for role in roles],
        tokenize=False,
        add_generation_prompt=True,
    )
    expected = "".join(f"<|{role}|>hi<|end|>" for role in roles)
    assert text == expected + "<|assistant|>"


@pytest.mark.slow
def test_training_twice_gives_the_same_files(tmp_path: Path) -> None:
    first, second = (ensure_model(tmp_path / name, TINY) for name in "ab")
    assert tree_sha256(first) == tree_sha256(second)
    assert ensure_model(tmp_path / "a", TINY) == first
    assert [p.name for p in (tmp_path / "a").iterdir() if p.is_dir()] == [first.name]
    config = json.loads((first / "generation_config.json").read_text())
    assert config["eos_token_id"] == 0


def test_the_key_depends_on_specification_and_corpus() -> None:
    documents = stdlib_documents()[:3]
    keys = {
        model_key(TINY, documents),
        model_key(TrainingSpec(), documents),
        model_key(TINY, documents[:2]),
    }
    assert len(keys) == 3
