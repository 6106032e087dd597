"""A model of a shape with random weights, made on the device in a process of its own.

Its own process, so that no memory of the device is held while servers are measured.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ibench import REPOSITORY
from ibench.errors import DataError, StageError
from ibench.params.shape import Shape
from ibench.records import sha256_of
from ibench.workloads import Document, corpus_hash, stdlib_documents
from ibench.workloads.embedded_model import locked, publish_model
from ibench.workloads.training import END, PAD, TrainingSpec, train_tokenizer

if TYPE_CHECKING:
    from transformers import MistralForCausalLM, PreTrainedTokenizerFast

__all__ = ["ensure_model", "needed_disk_bytes"]

_FORMAT = 1  # raise it when this module changes
_BESIDE_WEIGHTS = 64 * 2**20  # tokenizer, configurations, headers
_GIB = 2**30


def needed_disk_bytes(shape: Shape) -> int:
    """Size of a model folder, at most."""
    return shape.weight_bytes + _BESIDE_WEIGHTS


def ensure_model(
    root: Path,
    name: str,
    shape: Shape,
    seed: int,
    device: str,
    say: Callable[[str], None],
) -> Path:
    """Return the folder of a random model, making it if it is not there.

    It is in Hugging Face format (bfloat16 safetensors, tokenizer with chat template,
    generation config) and appears by rename.

    Args:
        root: folder of such models; made if absent.
        name: of the shape.
        shape: dimensions.
        seed: of the weights.
        device: ``cuda`` or ``cpu``: where weights are drawn.
        say: told that it takes a while.

    Raises:
        DataError: too little room on the disk.
        StageError: the process that makes it failed.
    """
    folder = root / f"{name}-{_key(shape, seed, device)[:16]}"
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(root).free, needed_disk_bytes(shape)
    if free < needed:
        raise DataError(
            f"{root}: {free / _GIB:.1f} GiB free, the weights of {name} need "
            f"{needed / _GIB:.1f}: free some, or name another folder with --cache"
        )
    say(f"model: drawing {shape.parameters:,} weights on {device}")
    _run(folder, shape, seed, device)
    return folder


def _key(shape: Shape, seed: int, device: str) -> str:
    """Hash everything that the files depend on; the divisor of lengths is not in it."""
    packages = ("torch", "transformers", "tokenizers")
    return sha256_of(
        {
            "format": _FORMAT,
            "shape": shape.model_dump(mode="json", exclude={"tokens_divisor"}),
            "seed": seed,
            "device": device,
            "corpus": corpus_hash(stdlib_documents()),
            "versions": {p: version(p) for p in packages},
        }
    )


def _run(folder: Path, shape: Shape, seed: int, device: str) -> None:
    argv = [sys.executable, "-m", __name__, str(folder), str(seed), device]
    done = subprocess.run(
        argv,
        input=shape.model_dump_json(),
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise StageError(f"making the model ended with {done.returncode}: {last}")


def _tokenizer(shape: Shape, documents: Sequence[Document]) -> PreTrainedTokenizerFast:
    """Train on the documents and fill the vocabulary: every id decodes to text."""
    spec = TrainingSpec(
        vocab_size=shape.vocab_size,
        max_position_embeddings=shape.max_position_embeddings,
    )
    tokenizer = train_tokenizer(spec, documents)
    learnt = len(tokenizer)
    tokenizer.add_tokens([f" w{i}" for i in range(learnt, shape.vocab_size)])
    return tokenizer


def _random_model(shape: Shape, seed: int, device: str) -> MistralForCausalLM:
    import torch  # noqa: PLC0415 (slow to import)
    from transformers import MistralConfig, MistralForCausalLM  # noqa: PLC0415

    config = MistralConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.max_position_embeddings,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        sliding_window=None,
        tie_word_embeddings=False,
        bos_token_id=None,
        # Never learnt; the harness asks every server to go on past it.
        eos_token_id=END,
        pad_token_id=PAD,
    )
    torch.manual_seed(seed)
    with torch.device(device):
        return MistralForCausalLM._from_config(config, dtype=torch.bfloat16).eval()


def main() -> int:
    """Make the folder named on the command line of the shape on standard input."""
    folder, seed, device = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    shape = Shape.model_validate_json(sys.stdin.read())
    with locked(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            tokenizer = _tokenizer(shape, stdlib_documents())
            publish_model(folder, _random_model(shape, seed, device), tokenizer)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
