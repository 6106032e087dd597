"""What every record is built from: closed models, canonical JSON, hashes."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Closed",
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
