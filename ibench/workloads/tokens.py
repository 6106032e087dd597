"""Counting tokens: what sampling needs of a tokenizer, and the Hugging Face one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ibench.errors import OfflineError

__all__ = ["ChatTokenizer", "Message", "TextTokenizer"]

Message = dict[str, str]


class TextTokenizer(Protocol):
    """What the sampler asks of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Tokens of a text, without special tokens."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, without clean-up of spaces."""

    def count_messages(self, messages: Sequence[Message]) -> int:
        """Tokens of messages through the chat template, generation prompt included."""


class ChatTokenizer:
    """The tokenizer of a model folder, through ``transformers`` (no torch needed).

    Args:
        model_dir: folder with ``tokenizer.json`` and a chat template.

    Raises:
        OfflineError: the folder holds no tokenizer.
    """

    def __init__(self, model_dir: Path) -> None:
        """Load the tokenizer; takes half a second for the import."""
        from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

        if not (model_dir / "tokenizer.json").is_file():
            raise OfflineError(
                f"{model_dir}: no tokenizer.json; download the model's files there"
            )
        self._tokenizer = PreTrainedTokenizerFast.from_pretrained(
            str(model_dir), local_files_only=True
        )

    def encode(self, text: str) -> list[int]:
        """Tokens of a text, without special tokens."""
        # verbose: documents longer than the model are no mistake here.
        ids: list[int] = self._tokenizer.encode(
            text, add_special_tokens=False, verbose=False
        )
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens; special tokens are kept, spaces are not cleaned up."""
        text: str = self._tokenizer.decode(
            list(tokens), clean_up_tokenization_spaces=False
        )
        return text

    def count_text(self, text: str) -> int:
        """Number of tokens of a generated text, without special tokens."""
        return len(self.encode(text))

    def count_messages(self, messages: Sequence[Message]) -> int:
        """Tokens of messages through the chat template, generation prompt included."""
        rendered: str = self._tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=False
        )
        return self.count_text(rendered)
