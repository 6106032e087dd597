"""When the requests of a phase are due: seeded, stored, hashed.

The original draws Poisson arrivals from the unseeded global generator (reference,
section 18, defect 5). Here a schedule is a function of its name.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import TypeAdapter

from ibench.records import canonical_json

__all__ = ["ArrivalKind", "arrival_offsets_ns", "load_arrivals", "save_arrivals"]

ArrivalKind: TypeAlias = Literal["burst", "constant", "poisson"]

_OFFSETS = TypeAdapter(tuple[int, ...])


def arrival_offsets_ns(
    kind: ArrivalKind, n: int, rate_per_s: float | None, seed_name: str
) -> tuple[int, ...]:
    """Compute when each request is due, in nanoseconds after the first.

    ``burst``: all at 0. ``constant``: request i at i / rate. ``poisson``: independent
    exponential gaps of mean 1 / rate.

    Args:
        kind: shape of the schedule.
        n: number of requests.
        rate_per_s: mean arrivals per second; not used by ``burst``.
        seed_name: names the generator; equal names give equal schedules.

    Raises:
        ValueError: no positive rate where one is needed.
    """
    if kind == "burst":
        return (0,) * n
    if rate_per_s is None or rate_per_s <= 0:
        raise ValueError(f"{kind} arrivals need a positive rate, not {rate_per_s}")
    if kind == "constant":
        return tuple(round(i * 1e9 / rate_per_s) for i in range(n))
    generator = random.Random(seed_name)  # noqa: S311 (a schedule, not a secret)
    due_s = 0.0
    offsets = []
    for _ in range(n):
        offsets.append(round(due_s * 1e9))
        due_s += generator.expovariate(rate_per_s)
    return tuple(offsets)


def save_arrivals(path: Path, offsets: tuple[int, ...]) -> str:
    """Write a schedule as a JSON list and return the SHA-256 of the file."""
    content = (canonical_json(list(offsets)) + "\n").encode()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def load_arrivals(path: Path) -> tuple[int, ...]:
    """Read a schedule.

    Raises:
        pydantic.ValidationError: the file holds no list of whole numbers.
    """
    return _OFFSETS.validate_json(path.read_bytes(), strict=True)
