"""Techniques: what counts as a mention, and which arguments turn one on.

A mention is a name in what the agent says, thinks, types or writes; the task's prompt
and tools' output name techniques that nobody tried. Patterns run on lower-case text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ibench.analysis.trajectories.events import Family
from ibench.analysis.trajectories.known import KNOWN

__all__ = ["FLAG_FAMILIES", "TECHNIQUES", "mentioned", "of_flag"]


TECHNIQUES = KNOWN.techniques
FLAG_FAMILIES: dict[str, Family] = {
    **dict.fromkeys(KNOWN.hyperparameters, "hyperparameters"),
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
