"""Marks that make a prompt new to every prefix cache, and that nobody can strip.

A nonce at the head is one regular expression away from being cut off. So it is made of
words of the prompt's own text, put at drawn places: two among its first words, that no
prefix survives, and two anywhere behind them. Who does not know the request's own text
cannot tell them from it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from ibench.records import sha256_of

__all__ = ["marked", "nonce_of"]

# Two of the marks fall among the first three words: no cached block survives them.
_AT_HEAD, _BEHIND, _HEAD = 2, 2, 3
_LEAST_WORDS = 16  # fewer between spaces is a script without them
_CHARACTERS = 3  # of a mark in such a script


def nonce_of(seed_name: str, request_id: str) -> str:
    """Name of the marks that no other request of any run has."""
    return sha256_of([seed_name, request_id])


def marked(messages: Sequence[dict[str, str]], nonce: str) -> list[dict[str, str]]:
    """Put a nonce's marks into the first message; about four tokens more.

    Args:
        messages: of a request.
        nonce: names words and places; equal names give equal texts.
    """
    first = messages[0]
    return [{**first, "content": _with_marks(first["content"], nonce)}, *messages[1:]]


def _with_marks(text: str, nonce: str) -> str:
    draw = random.Random(nonce)  # noqa: S311 (unguessable by its name, not a secret)
    words = text.split(" ")
    own = [word for word in words if word.strip()]
    if len(own) >= _LEAST_WORDS:
        return " ".join(_inserted(words, own, draw))
    if len(set(text)) <= _CHARACTERS:
        return f"{nonce[:8]} {text}"
    pieces = [text[i : i + _CHARACTERS] for i in range(len(text) - _CHARACTERS)]
    return "".join(_inserted(list(text), pieces, draw))


def _inserted(units: list[str], marks: list[str], draw: random.Random) -> list[str]:
    for reach, count in ((_HEAD, _AT_HEAD), (len(units), _BEHIND)):
        for _ in range(count):
            units.insert(draw.randrange(min(reach, len(units))), draw.choice(marks))
    return units
