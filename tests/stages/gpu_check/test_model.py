"""The random model: its shape to the last weight, and every id a text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from ibench import REPOSITORY
from ibench.errors import StageError
from ibench.stages.gpu_check.model import ensure_model, needed_disk_bytes
from ibench.stages.gpu_check.settings import load_settings
from ibench.workloads import ChatTokenizer

pytestmark = pytest.mark.slow

TINY = load_settings(REPOSITORY / "params").shapes["tiny"]


@pytest.fixture(scope="module")
def folder() -> Path:
    return ensure_model(
        REPOSITORY / ".cache" / "gpu-check", "tiny", TINY, 0, "cpu", print
    )


def test_the_files_hold_exactly_the_parameters(folder: Path) -> None:
    count = 0
    with safe_open(folder / "model.safetensors", "np") as weights:
        for name in weights.keys():  # noqa: SIM118 (no mapping)
            part = weights.get_slice(name)
            assert part.get_dtype() == "BF16"
            size = 1
            for side in part.get_shape():
                size *= side
            count += size
    assert count == TINY.parameters
    assert sum(p.stat().st_size for p in folder.iterdir()) < needed_disk_bytes(TINY)


def test_the_configuration_is_the_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["MistralForCausalLM"]
    assert config["head_dim"] == TINY.head_dim
    assert config["rope_parameters"]["rope_theta"] == TINY.rope_theta
    assert config["sliding_window"] is None
    assert config["tie_word_embeddings"] is False
    assert config["dtype"] == "bfloat16"


def test_every_id_is_a_text_and_prompts_have_a_template(folder: Path) -> None:
    tokenizer = ChatTokenizer(folder)
    assert all(tokenizer.decode([i]) for i in range(TINY.vocab_size))
    assert tokenizer.count_messages([{"role": "user", "content": "a"}]) > 2


def test_another_seed_is_another_model(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    other = ensure_model(tmp_path, "tiny", TINY, 1, "cpu", said.append)
    assert other.name != folder.name
    ours = (folder / "model.safetensors").read_bytes()
    assert (other / "model.safetensors").read_bytes() != ours
    assert said == [f"model: drawing {TINY.parameters:,} weights on cpu"]
    assert ensure_model(tmp_path, "tiny", TINY, 1, "cpu", said.append) == other
    assert len(said) == 1


def test_a_process_that_fails_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="making the model ended with 1: "):
        ensure_model(tmp_path, "tiny", TINY, 0, "nowhere", print)
    assert [p for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []
