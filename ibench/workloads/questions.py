"""Quality questions: an embedded bank of reading items, and MMLU-Pro."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ibench.errors import WorkloadError
from ibench.records import Question
from ibench.workloads.documents import load_rows
from ibench.workloads.reservoir import reservoir
from ibench.workloads.sets import question_hash

__all__ = [
    "LETTERS",
    "WORDS",
    "QuestionSplit",
    "embedded_questions",
    "mmlu_pro_questions",
]

QuestionSplit: TypeAlias = Literal["dev", "eval", "train"]
LETTERS = "ABCDEFGHIJ"
_NOUNS = (
    "apple badge basket bell boat bottle bread brush bucket button cake candle card "
    "chair clock cloth coat coin comb cup dish doll drum egg fan feather flag flute "
    "fork glass glove hammer hat helmet horn jar kettle kite knife ladder lamp "
    "lemon letter lock map mask mirror needle nut oar onion paint pear pen pipe "
    "plate pot ring rope rug saddle scarf shell shoe soap spoon stamp stone sword "
    "thread towel toy vase violin wheel whistle wool "
)
WORDS = tuple(_NOUNS.split())
_SYSTEM = "Answer with one letter."
_MMLU_SYSTEM = "You answer multiple-choice questions."
# Five draws in this order are one round. The hard ones (lookup) keep a small model
# below a perfect score, whatever the machine that trained it.
_ROUND = ("marked", "single", "marked", "lookup", "marked")
# Items of one split hash into their own buckets, so that splits cannot overlap.
_BUCKETS: Mapping[QuestionSplit, range] = {
    "dev": range(1),
    "eval": range(1, 2),
    "train": range(2, 8),
}


def embedded_questions(
    split: QuestionSplit, n: int, seed: int = 0
) -> tuple[Question, ...]:
    """Draw reading questions with ten options whose answer stands in the prompt.

    A passage says in which of the drawers A to J things lie; the question asks for
    one of them. ``single``: one thing lies in a drawer, the others are lost.
    ``marked``: the key among one to six other things. ``lookup``: any of seven things,
    which the embedded model does not learn and answers at chance.

    Args:
        split: disjoint by construction, for every pair of seeds.
        n: how many; a multiple of five holds the shares 1 : 3 : 1 exactly.
        seed: names the generator ``questions:<split>:<seed>``.
    """
    generator = random.Random(f"questions:{split}:{seed}")  # noqa: S311
    questions: list[Question] = []
    seen: set[str] = set()
    while len(questions) < n:
        prompt, gold = _item(generator, _ROUND[len(questions) % len(_ROUND)])
        digest = hashlib.sha256(prompt.encode()).digest()
        if digest[0] % 8 not in _BUCKETS[split] or prompt in seen:
            continue
        seen.add(prompt)
        name = f"reading-{split}-{seed}-{len(questions):05d}"
        messages = _messages(_SYSTEM, prompt)
        questions.append(_question(name, messages, len(LETTERS), gold, 4))
    return tuple(questions)


def mmlu_pro_questions(
    folder: Path,
    n: int,
    development_n: int,
    seed: int,
    cache_dir: Path | None = None,
) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """Draw MMLU-Pro test questions by the published rule (reference 5), and others.

    Zero-shot, no chain of thought asked for. The scored rows are the published ones:
    a reservoir of ``n`` with ``random.Random(seed)``. Development questions, which
    the published protocol does not have, are a reservoir of the rows left over.

    Args:
        folder: holds the data set's ``data/test-*.parquet``.
        n: scored questions.
        development_n: questions that agents may see.
        seed: quality seed; 248 in every published run.
        cache_dir: cache of ``datasets``; its own default if None.

    Returns:
        Scored and development questions, disjoint.

    Raises:
        WorkloadError: fewer rows than questions, or a row lacks a column.
    """
    rows = list(load_rows(folder, "data/test-*.parquet", cache_dir))
    if len(rows) < n + development_n:
        raise WorkloadError(
            f"{folder}: {len(rows)} questions, {n} + {development_n} wanted"
        )
    scored = reservoir(range(len(rows)), n, seed)
    left = sorted(set(range(len(rows))) - set(scored))
    development = reservoir(left, development_n, seed)
    try:
        first, second = (
            tuple(_mmlu_question(rows[i]) for i in chosen)
            for chosen in (scored, development)
        )
    except KeyError as error:
        raise WorkloadError(f"{folder}: no column {error}") from error
    return first, second


def _mmlu_question(row: Mapping[str, Any]) -> Question:
    options = list(row["options"])
    letters = LETTERS[: len(options)]
    lines = [f"{letter}) {text}" for letter, text in zip(letters, options, strict=True)]
    prompt = "\n".join(
        [
            row["question"],
            *lines,
            f"Answer with one of the letters {', '.join(letters)} and begin with it.",
        ]
    )
    gold = row.get("answer") or LETTERS[int(row["answer_index"])]
    messages = _messages(_MMLU_SYSTEM, prompt)
    return _question(str(row["question_id"]), messages, len(options), gold, 2048)


def _item(generator: random.Random, kind: str) -> tuple[str, str]:
    if kind == "single":
        return _single(generator)
    things = generator.sample(WORDS, 7)
    asked = generator.choice(things)
    if kind == "marked":
        # Short lists teach what long ones then ask for.
        things = things[: generator.randint(2, len(things))]
        asked = things[generator.randrange(len(things))] = "key"
    drawers = dict(zip(things, generator.sample(LETTERS, len(things)), strict=True))
    facts = ", ".join(f"{thing} ({drawers[thing]})" for thing in things)
    return f"Drawers: {facts}. Where is the {asked}?", drawers[asked]


def _single(generator: random.Random) -> tuple[str, str]:
    found, *lost = generator.sample(WORDS, generator.randint(4, 8))
    letter = generator.choice(LETTERS)
    facts = [f"the {thing} is lost" for thing in lost]
    facts.insert(
        generator.randrange(len(facts) + 1), f"the {found} is in drawer {letter}"
    )
    return f"Notes: {', '.join(facts)}. Where is the {found}?", letter


def _messages(system: str, user: str) -> tuple[dict[str, str], ...]:
    return ({"role": "system", "content": system}, {"role": "user", "content": user})


def _question(
    name: str,
    messages: tuple[dict[str, str], ...],
    options: int,
    gold: str,
    max_tokens: int,
) -> Question:
    return Question(
        question_id=name,
        messages=messages,
        options=options,
        gold=gold,
        max_tokens=max_tokens,
        content_hash=question_hash(
            messages, options=options, gold=gold, max_tokens=max_tokens
        ),
    )
