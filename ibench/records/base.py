"""What every record is built from: closed models, canonical JSON, hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Closed",
    "Rendered",
    "Sha256",
    "canonical_json",
    "model_base_name",
    "sha256_of",
]

Sha256: TypeAlias = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

# Made once: json.dumps makes a new one for every call that is not the default.
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def canonical_json(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Render a JSON value with sorted keys, no spaces and non-ASCII kept."""
    return _ENCODER.encode(value)


def sha256_of(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Hash the canonical JSON of a value: 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@cache
def _key_text(key: str) -> str:
    return f"{_ENCODER.encode(key)}:"


class Rendered:
    """Canonical JSON of objects that share most of their values.

    A shared value is rendered once: the jobs of a large grid differ in a seed and in
    the run ids that they build on, and repeat everything else.
    """

    def __init__(self) -> None:
        """Know no value yet."""
        # Keeping the values keeps their ids from being given to others.
        self._texts: dict[int, tuple[Any, str]] = {}

    def keep(self, values: Iterable[Any]) -> None:
        """Render values that will come again, as these very objects, unchanged."""
        self._texts |= {id(value): (value, canonical_json(value)) for value in values}

    def sha256_of(self, value: Mapping[str, Any]) -> str:
        """Hash an object: the same as ``sha256_of`` of the module."""
        texts = [_key_text(key) + self._text(value[key]) for key in sorted(value)]
        return hashlib.sha256(f"{{{','.join(texts)}}}".encode()).hexdigest()

    def _text(self, value: Any) -> str:  # noqa: ANN401 (any JSON value)
        kept = self._texts.get(id(value))
        return kept[1] if kept else _ENCODER.encode(value)


def model_base_name(name: str) -> str:
    """Last path part of a model's name without ``@revision``, lower case.

    Engines name a model by its hub id, its folder or the whole path.
    """
    return PurePosixPath(name.split("@", maxsplit=1)[0].rstrip("/")).name.lower()


class Closed(BaseModel):
    """Base of every record and parameter: no unknown keys, no change, no NaN."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )
