"""The embedded model: a small Mistral, trained on first use and cached by content."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ibench.files import locked
from ibench.records import sha256_of
from ibench.workloads.documents import Document, corpus_hash, stdlib_documents
from ibench.workloads.questions import embedded_questions
from ibench.workloads.sets import set_hash
from ibench.workloads.training import TrainingSpec, train_model, train_tokenizer

if TYPE_CHECKING:
    from transformers import MistralForCausalLM, PreTrainedTokenizerFast

__all__ = ["ensure_model", "locked", "model_key", "publish_model"]

_log = logging.getLogger(__name__)


def ensure_model(cache_root: Path, spec: TrainingSpec | None = None) -> Path:
    """Return the folder of the embedded model, training it if it is not cached.

    The folder is in Hugging Face format (float32 safetensors, tokenizer with chat
    template, generation config). It appears by rename when it is complete; processes
    that ask at the same time wait for one of them to train.

    Args:
        cache_root: folder of trained models; made if absent.
        spec: training specification; the published one if None.
    """
    spec = spec or TrainingSpec()
    documents = stdlib_documents()
    folder = cache_root / f"ibench-mistral-{model_key(spec, documents)[:16]}"
    if folder.is_dir():
        return folder
    cache_root.mkdir(parents=True, exist_ok=True)
    with locked(cache_root / f".{folder.name}.lock"):
        if not folder.is_dir():
            _train_into(folder, spec, documents)
    return folder


def model_key(spec: TrainingSpec, documents: Sequence[Document]) -> str:
    """Hash everything the weights depend on, apart from the processor's rounding."""
    packages = ("torch", "transformers", "tokenizers")
    return sha256_of(
        {
            "spec": spec.model_dump(mode="json"),
            "corpus": corpus_hash(documents),
            "questions": set_hash(embedded_questions("train", 100, spec.seed)),
            "versions": {name: version(name) for name in packages},
        }
    )


def _train_into(
    folder: Path, spec: TrainingSpec, documents: Sequence[Document]
) -> None:
    _log.info("training the embedded model into %s (one to two minutes)", folder)
    tokenizer = train_tokenizer(spec, documents)
    publish_model(folder, train_model(spec, tokenizer, documents), tokenizer)


def publish_model(
    folder: Path, model: MistralForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Save weights, configurations and tokenizer; the folder appears by rename."""
    side = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        model.generation_config.eos_token_id = model.config.eos_token_id
        model.generation_config.pad_token_id = model.config.pad_token_id
        _without_bars()
        # A large one in parts: each passes through the memory of the host.
        model.save_pretrained(side, max_shard_size="4GB")
        tokenizer.save_pretrained(side)
        _portable(side)
        side.rename(folder)
    finally:
        shutil.rmtree(side, ignore_errors=True)


def _without_bars() -> None:
    """Saving a small model needs no progress bar in the middle of make's output."""
    from transformers.utils import logging as bars  # noqa: PLC0415 (slow to import)

    bars.disable_progress_bar()


def _portable(folder: Path) -> None:
    """Name a tokenizer class that every transformers knows; let other users read."""
    config = folder / "tokenizer_config.json"
    fields = json.loads(config.read_text())
    fields["tokenizer_class"] = "PreTrainedTokenizerFast"
    config.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)


def main() -> int:
    """Train into the cache folder named on the command line; write its path."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m ibench.workloads.embedded_model CACHE_DIR\n")
        return 2
    sys.stdout.write(f"{ensure_model(Path(sys.argv[1]))}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
