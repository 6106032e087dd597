"""Time to sample the four request sets at the sizes of the paper."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ibench.params import PaperScenario
from ibench.params.files import load_yaml
from ibench.workloads import (
    ChatTokenizer,
    WorkloadSpec,
    sample_requests,
    stdlib_documents,
)
from perf.table import Row

__all__ = ["NOTES", "sampling_rows"]

SEED = 1337
NOTES = (
    "Full-size sets of seed 1337, split eval, from the embedded documents with the",
    "embedded tokenizer; nothing is read from a cache.",
)


def sampling_rows(
    scenarios: Path, model_dir: Path, only: Sequence[str] = ("a", "b", "c", "d")
) -> list[Row]:
    """One row a request set, with what it took to get documents and tokenizer first.

    Args:
        scenarios: folder of the scenario files.
        model_dir: folder of the embedded model.
        only: scenarios to sample.
    """
    started = time.monotonic()
    documents, tokenizer = stdlib_documents(), ChatTokenizer(model_dir)
    rows = [_row("documents, tokenizer", len(documents), None, started)]
    for name in only:
        scenario = load_yaml(PaperScenario, scenarios / f"{name}.yaml")
        spec = WorkloadSpec(
            seed=SEED,
            input_tokens=scenario.input_tokens,
            output_tokens=scenario.output_tokens,
            range_ratio=scenario.range_ratio,
            requests=scenario.starts(replay=True)[-1],
            temperature=scenario.temperature,
            ignore_eos=scenario.ignore_eos,
            max_model_len=scenario.max_model_tokens,
        )
        started = time.monotonic()
        made = sample_requests(spec, documents, tokenizer, "eval")
        tokens = sum(r.input_tokens for r in made)
        rows.append(_row(f"scenario {name}", len(made), tokens, started))
    return rows


def _row(what: str, n: int, tokens: int | None, started: float) -> Row:
    seconds = time.monotonic() - started
    return {"what": what, "items": n, "input tokens": tokens, "seconds": seconds}
