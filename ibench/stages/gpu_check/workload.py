"""Requests of a shortened scenario, from the standard library's text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from ibench.params import Scenario
from ibench.records import RequestSpec
from ibench.workloads import (
    ChatTokenizer,
    Document,
    Workload,
    WorkloadSpec,
    sample_requests,
    stdlib_documents,
)

__all__ = ["Sampler", "parts_of"]


def parts_of(scenario: Scenario, workload: Workload) -> list[Sequence[RequestSpec]]:
    """The requests of each phase."""
    starts = scenario.starts(replay=False)
    pairs = itertools.pairwise(starts)
    return [workload.requests[first:end] for first, end in pairs]


class Sampler:
    """Draws request sets for one model; documents are counted once.

    Args:
        model_dir: its tokenizer counts.
        warmup_output_tokens: answers of the warm-up are cut to it.
    """

    def __init__(self, model_dir: Path, warmup_output_tokens: int) -> None:
        """Nothing is read before it is asked for."""
        self._model_dir, self._warmup = model_dir, warmup_output_tokens
        self._counts: dict[str, int] = {}

    @cached_property
    def _tokenizer(self) -> ChatTokenizer:
        return ChatTokenizer(self._model_dir)

    @cached_property
    def _documents(self) -> tuple[Document, ...]:
        return stdlib_documents()

    def requests(self, scenario: Scenario, seed: int, warmup: int) -> Workload:
        """Draw both sets: same arguments and tokenizer, same requests.

        Args:
            scenario: lengths and number of requests.
            seed: development seed: nothing here is scored.
            warmup: how many requests come first.
        """
        measured = self._draw(scenario, seed, "dev", scenario.starts(replay=False)[-1])
        first = self._draw(scenario, seed, "warmup", warmup)
        cut = tuple(
            r.model_copy(update={"max_tokens": min(r.max_tokens, self._warmup)})
            for r in first
        )
        return Workload(seed, measured, cut)

    def _draw(
        self, scenario: Scenario, seed: int, split: Literal["dev", "warmup"], n: int
    ) -> tuple[RequestSpec, ...]:
        spec = WorkloadSpec(
            seed=seed,
            input_tokens=scenario.input_tokens,
            output_tokens=scenario.output_tokens,
            range_ratio=scenario.range_ratio,
            requests=n,
            temperature=scenario.temperature,
            ignore_eos=scenario.ignore_eos,
            max_model_len=scenario.max_model_tokens,
        )
        return sample_requests(
            spec, self._documents, self._tokenizer, split, self._counts
        )
