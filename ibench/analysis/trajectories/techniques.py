"""Techniques as data: what counts as a mention, and which arguments turn one on.

A mention is a name in what the agent says, thinks, types or writes; the task's prompt
and tools' output name techniques that nobody tried. Patterns run on lower-case text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ibench import REPOSITORY
from ibench.analysis.trajectories.events import Family
from ibench.params.files import load_yaml
from ibench.records import Closed

__all__ = ["FLAG_FAMILIES", "TECHNIQUES", "TechniqueRule", "mentioned", "of_flag"]


class TechniqueRule(Closed):
    """One technique of ``params/techniques.yaml``, which says what its keys mean."""

    name: Family
    hint: tuple[str, ...]
    pattern: tuple[str, ...]
    flags: tuple[str, ...]


class Techniques(Closed):
    """The file."""

    techniques: tuple[TechniqueRule, ...]


TECHNIQUES = load_yaml(Techniques, REPOSITORY / "params" / "techniques.yaml").techniques
# Arguments of how much and how many: numbers to turn, no technique of their own.
_HYPERPARAMETERS = (
    "max-num-seqs max-num-batched-tokens gpu-memory-utilization max-model-len "
    "scheduling-policy schedule-policy schedule-conservativeness stream-interval "
    "async-scheduling no-async-scheduling max-running-requests max-prefill-tokens "
    "mem-fraction-static max-total-tokens num-continuous-decode-steps "
    "max-concurrent-requests max-batch-prefill-tokens max-batch-total-tokens "
    "max-waiting-tokens waiting-served-ratio max-batch-size cuda-memory-fraction "
    "max-input-tokens max-input-length num-scheduler-steps tensor-parallel-size "
    "data-parallel-size dtype tokenizer-mode tokenizer-pool-size context-length "
    "threads omp-num-threads continuous-batching cb-max-batch-tokens cb-num-blocks "
    "api-server-count disable-log-requests preemption-mode seed "
)
FLAG_FAMILIES: dict[str, Family] = {
    **dict.fromkeys(_HYPERPARAMETERS.split(), "hyperparameters"),
    **{flag: rule.name for rule in TECHNIQUES for flag in rule.flags},
}
_PREFIXES = tuple(
    (flag, rule.name)
    for rule in TECHNIQUES
    for flag in rule.flags
    if flag in {"speculative", "speculate", "ngram", "vllm-use-flashinfer"}
)
_COMPILED = tuple((r.name, r.hint, re.compile("".join(r.pattern))) for r in TECHNIQUES)


def of_flag(flag: str) -> Family | None:
    """Family of one argument, without its dashes.

    >>> of_flag("kv-cache-dtype"), of_flag("speculative-config"), of_flag("host")
    ('kv_cache', 'speculative_decoding', None)
    """
    found = FLAG_FAMILIES.get(flag)
    if found is not None:
        return found
    return next((name for prefix, name in _PREFIXES if flag.startswith(prefix)), None)


def mentioned(text: str) -> Iterator[tuple[Family, str]]:
    """Give every technique that a text names, with the words that do."""
    low = text.lower()
    # Loops instead of any(): this runs for every text that an agent writes.
    for name, hints, pattern in _COMPILED:
        for hint in hints:
            if hint in low:
                if (found := pattern.search(low)) is not None:
                    yield name, text[found.start() : found.end()]
                break
