"""Sets of requests and questions on disk: canonical JSON lines, checked by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

from pydantic import ValidationError

from ibench.errors import CorruptResultError
from ibench.records import Question, RequestSpec, canonical_json, sha256_of

__all__ = [
    "Workload", "question_hash", "read_questions", "read_requests", "request_hash",
    "set_hash", "write_questions", "write_requests",
]  # fmt: skip

Item = TypeVar("Item", RequestSpec, Question)
Messages: TypeAlias = Sequence[Mapping[str, str]]


class Workload(NamedTuple):
    """What one server life is asked, and the seed that all of it was drawn with.

    Attributes:
        seed: also names the arrival vectors.
        requests: the measured requests of every phase.
        warmup: requests disjoint from these, sent first and thrown away.
        questions: the quality questions.
    """

    seed: int
    requests: tuple[RequestSpec, ...]
    warmup: tuple[RequestSpec, ...]
    questions: tuple[Question, ...] = ()


def request_hash(
    messages: Messages, *, max_tokens: int, temperature: float, ignore_eos: bool
) -> str:
    """Hash what a request sends, under the published key names (reference 3.3)."""
    return sha256_of(
        {
            "messages": [dict(message) for message in messages],
            "max_new_tokens": max_tokens,
            "temperature": temperature,
            "require_json": False,
            "ignore_eos": ignore_eos,
        }
    )


def question_hash(
    messages: Messages, *, options: int, gold: str, max_tokens: int
) -> str:
    """Hash a question with its gold answer."""
    return sha256_of(
        {
            "messages": [dict(message) for message in messages],
            "options": options,
            "gold": gold,
            "max_tokens": max_tokens,
        }
    )


def set_hash(items: Iterable[RequestSpec] | Iterable[Question]) -> str:
    """Hash a set in order: the SHA-256 of the file ``write_*`` would make of it."""
    return hashlib.sha256(_lines(items)).hexdigest()


def write_requests(path: Path, requests: Iterable[RequestSpec]) -> str:
    """Write requests as canonical JSON lines and return the set's hash."""
    return _write(path, requests)


def read_requests(path: Path) -> tuple[RequestSpec, ...]:
    """Read requests and check each content hash.

    Raises:
        CorruptResultError: the file is absent, malformed or was edited.
    """
    return _read(
        path,
        RequestSpec,
        lambda r: request_hash(
            r.messages,
            max_tokens=r.max_tokens,
            temperature=r.temperature,
            ignore_eos=r.ignore_eos,
        ),
    )


def write_questions(path: Path, questions: Iterable[Question]) -> str:
    """Write questions as canonical JSON lines and return the set's hash."""
    return _write(path, questions)


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read questions and check each content hash.

    Raises:
        CorruptResultError: the file is absent, malformed or was edited.
    """
    return _read(
        path,
        Question,
        lambda q: question_hash(
            q.messages, options=q.options, gold=q.gold, max_tokens=q.max_tokens
        ),
    )


def _lines(items: Iterable[RequestSpec] | Iterable[Question]) -> bytes:
    return "".join(
        canonical_json(i.model_dump(mode="json")) + "\n" for i in items
    ).encode()


def _write(path: Path, items: Iterable[RequestSpec] | Iterable[Question]) -> str:
    data = _lines(items)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _read(
    path: Path, kind: type[Item], content_hash: Callable[[Item], str]
) -> tuple[Item, ...]:
    try:
        # Only "\n" ends a line here: texts hold other Unicode line separators.
        lines = path.read_bytes().decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptResultError(f"{path}: unreadable: {error}") from error
    items = []
    for number, line in enumerate(lines, start=1):
        if not line and number == len(lines):
            break
        try:
            item = kind.model_validate(json.loads(line))
        except (json.JSONDecodeError, ValidationError) as error:
            raise CorruptResultError(
                f"{path}:{number}: not a {kind.__name__}; sample the set again"
            ) from error
        if content_hash(item) != item.content_hash:
            raise CorruptResultError(
                f"{path}:{number}: content hash does not match; the file was edited, "
                "sample the set again"
            )
        items.append(item)
    return tuple(items)
