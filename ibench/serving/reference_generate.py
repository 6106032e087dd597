"""Text generation of the reference server: one request at a time, by ``generate``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from transformers import AutoModelForCausalLM, AutoTokenizer

__all__ = ["DecodeStep", "Finish", "Model", "Sampling", "StopFilter"]


class Sampling(NamedTuple):
    """How one answer is drawn.

    Args:
        max_tokens: most tokens of the answer.
        temperature: 0 is greedy.
        top_p: probability mass that is kept.
        seed: of this answer; random when ``None``.
        stop: texts that end the answer and do not belong to it.
        ignore_eos: mask the end-of-sequence tokens.
    """

    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    ignore_eos: bool


class DecodeStep(NamedTuple):
    """Text that became stable, empty if none did, and the tokens generated so far."""

    text: str
    tokens: int


class Finish(NamedTuple):
    """How one answer ended; the end-of-sequence token counts as a token."""

    reason: Literal["stop", "length"]
    tokens: int


class StopFilter:
    """Hold back text that may be the beginning of a stop text."""

    def __init__(self, stop: tuple[str, ...]) -> None:
        """Begin an answer."""
        self._stop = stop
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Return what may be shown now; nothing more after a stop text."""
        if self.stopped:
            return ""
        self._held += text
        found = [at for s in self._stop if (at := self._held.find(s)) >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        cut = len(self._held) - max(map(self._overlap, self._stop), default=0)
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def flush(self) -> str:
        """Return what was held back when the answer ended without a stop text."""
        shown, self._held = self._held, ""
        return shown

    def _overlap(self, stop: str) -> int:
        """Length of the longest end of the held text that begins the stop text."""
        for length in range(min(len(stop) - 1, len(self._held)), 0, -1):
            if self._held.endswith(stop[:length]):
                return length
        return 0


class _Streamer:
    """Receives tokens from ``generate`` and passes stable text on."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        stop: tuple[str, ...],
        emit: Callable[[DecodeStep], None],
    ) -> None:
        self._tokenizer = tokenizer
        # Bytes of one character may come in several tokens: text is held until whole.
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._emit = emit
        self._pending: list[int] = []
        self._prompt_seen = False
        self.filter = StopFilter(stop)
        self.tokens: list[int] = []

    def put(self, value: Any) -> None:  # noqa: ANN401 (a tensor)
        """Take the prompt first, then one token per step."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token in value.tolist():
            self.tokens.append(token)
            self._pending.append(token)
            text = self._decoder.step(self._tokenizer, token)
            if text is not None:
                self._pending.clear()
            self._emit(DecodeStep(self.filter.push(text or ""), len(self.tokens)))

    def end(self) -> None:
        """Show what never became whole, as replacement characters."""
        tail = self._tokenizer.decode(self._pending, skip_special_tokens=True)
        text = self.filter.push(tail) + self.filter.flush()
        if text:
            self._emit(DecodeStep(text, len(self.tokens)))


class Model:
    """A causal language model with its tokenizer.

    Args:
        folder: model directory.
        dtype: name of the torch type of the weights.
        threads: CPU threads; torch's own choice when ``None``.
    """

    def __init__(self, folder: Path, dtype: str, threads: int | None) -> None:
        """Load everything."""
        if threads is not None:
            torch.set_num_threads(threads)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        loaded = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype)
        )
        self._model = loaded.to(device).eval()
        eos = self._model.generation_config.eos_token_id
        self._eos = set(eos if isinstance(eos, list) else [eos])
        self.context: int = self._model.config.max_position_embeddings

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """Render the chat template to token ids.

        Raises:
            ValueError: the template refuses the messages.
        """
        from jinja2 import TemplateError  # noqa: PLC0415 (loaded by the tokenizer)

        try:
            encoded = self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_dict=True
            )
        except TemplateError as error:
            raise ValueError(f"chat template: {error}") from error
        ids: list[int] = encoded["input_ids"]
        return ids

    def generate(
        self,
        prompt: list[int],
        sampling: Sampling,
        emit: Callable[[DecodeStep], None],
        cancelled: threading.Event,
    ) -> Finish:
        """Generate one answer; not to be called from two threads at once.

        Args:
            prompt: token ids.
            sampling: how to draw.
            emit: gets every step.
            cancelled: ends the answer at the next step.
        """
        streamer = _Streamer(self._tokenizer._tokenizer, sampling.stop, emit)

        def ended(input_ids: Any, scores: Any, **_: Any) -> Any:  # noqa: ANN401
            done = cancelled.is_set() or streamer.filter.stopped
            return torch.full((input_ids.shape[0],), done, device=input_ids.device)

        ids = torch.tensor([prompt], device=self._model.device)
        arguments: dict[str, Any] = {"do_sample": sampling.temperature > 0}
        if sampling.temperature > 0:
            arguments |= {"temperature": sampling.temperature, "top_k": 0}
            arguments["top_p"] = sampling.top_p
            # One answer at a time: the global generator belongs to it alone.
            if sampling.seed is None:
                torch.seed()
            else:
                torch.manual_seed(sampling.seed)
        if sampling.ignore_eos:
            arguments["min_new_tokens"] = sampling.max_tokens
        self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=sampling.max_tokens,
            pad_token_id=min(self._eos),
            streamer=streamer,
            stopping_criteria=[ended],
            **arguments,
        )
        at_end = bool(streamer.tokens) and streamer.tokens[-1] in self._eos
        reason: Literal["stop", "length"] = "length"
        if streamer.filter.stopped or at_end:
            reason = "stop"
        return Finish(reason, len(streamer.tokens))
