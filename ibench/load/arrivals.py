"""When the requests of a phase are due: seeded, stored, hashed.

The original draws Poisson arrivals from the unseeded global generator (reference,
section 18, defect 5). Here a schedule is a function of its name: one process computes
it, saves it beside the result, and every sending process takes its share. What is
due is sent: nothing here skips, moves or rescales an arrival.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from ibench.errors import ParameterError
from ibench.records import Closed, canonical_json

__all__ = [
    "ArrivalKind",
    "ArrivalSpec",
    "arrival_offsets_ns",
    "load_arrivals",
    "parse_arrivals",
    "replay_offsets_ns",
    "save_arrivals",
]

ArrivalKind: TypeAlias = Literal["burst", "constant", "poisson", "gamma"]

_OFFSETS = TypeAdapter(tuple[int, ...])
_FORMS = "burst, constant:RATE, poisson:RATE, gamma:RATE:SHAPE or replay:PATH"
# Which fields of a specification each kind has, in the order of its text.
_FIELDS: dict[str, tuple[str, ...]] = {
    "burst": (),
    "constant": ("rate_per_s",),
    "poisson": ("rate_per_s",),
    "gamma": ("rate_per_s", "shape"),
    "replay": ("path",),
}


def arrival_offsets_ns(
    kind: ArrivalKind,
    n: int,
    rate_per_s: float | None,
    seed_name: str,
    *,
    shape: float | None = None,
) -> tuple[int, ...]:
    """Compute when each request is due, in nanoseconds after the first.

    ``burst``: all at 0. ``constant``: request i at i / rate. ``poisson``: independent
    exponential gaps of mean 1 / rate. ``gamma``: independent gaps Gamma(shape, mean
    1 / rate), whose coefficient of variation is 1 / sqrt(shape): below 1 the arrivals
    bunch, 1 is Poisson (vLLM calls the shape ``burstiness``).

    Args:
        kind: shape of the schedule.
        n: number of requests.
        rate_per_s: mean arrivals per second; not used by ``burst``.
        seed_name: names the generator; equal names give equal schedules.
        shape: of the gamma distribution; used by ``gamma`` only.

    Raises:
        ValueError: no positive rate or shape where one is needed.
    """
    if kind == "burst":
        return (0,) * n
    rate = _positive(rate_per_s, kind, "rate")
    if kind == "constant":
        return tuple(round(i * 1e9 / rate) for i in range(n))
    generator = random.Random(seed_name)  # noqa: S311 (a schedule, not a secret)
    if kind == "poisson":
        return _cumulated(n, lambda: generator.expovariate(rate))
    k = _positive(shape, kind, "shape")
    return _cumulated(n, lambda: generator.gammavariate(k, 1 / (k * rate)))


def _positive(value: float | None, kind: str, what: str) -> float:
    if value is None or not (math.isfinite(value) and value > 0):
        raise ValueError(f"{kind} arrivals need a positive {what}, not {value}")
    return value


def _cumulated(n: int, draw_gap_s: Callable[[], float]) -> tuple[int, ...]:
    due_s = 0.0
    offsets = []
    for _ in range(n):
        offsets.append(round(due_s * 1e9))
        due_s += draw_gap_s()
    return tuple(offsets)


def replay_offsets_ns(path: Path, n: int) -> tuple[int, ...]:
    """Take the first ``n`` arrivals of a saved schedule, as they stand.

    A first arrival after 0 stays where it is.

    Raises:
        ParameterError: the file cannot be read, is no list of whole numbers, holds
            fewer than ``n``, or they are negative or fall.
    """
    remedy = "must be a JSON list of whole nanoseconds that starts at 0 or later"
    try:
        offsets = load_arrivals(path)
    except OSError as error:
        raise ParameterError(path, "arrivals", error.strerror, remedy) from error
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise ParameterError(path, "arrivals", reason, remedy) from error
    if len(offsets) < n:
        remedy = f"too few: the phase sends {n} requests"
        raise ParameterError(path, "arrivals", f"{len(offsets)} arrivals", remedy)
    for i, (before, due) in enumerate(zip((0, *offsets), offsets, strict=False)):
        if due < before:
            raise ParameterError(path, f"arrivals[{i}]", due, f"is before {before}")
    return offsets[:n]


class ArrivalSpec(Closed):
    """A schedule as it is asked for on a command line; ``text`` is its written form."""

    kind: ArrivalKind | Literal["replay"]
    rate_per_s: float | None = Field(None, gt=0, description="Mean arrivals a second.")
    shape: float | None = Field(None, gt=0, description="Of the gaps; gamma only.")
    path: Path | None = Field(None, description="A saved schedule; replay only.")

    @model_validator(mode="after")
    def _fields_go_with_the_kind(self) -> Self:
        for name in ("rate_per_s", "shape", "path"):
            if (getattr(self, name) is not None) != (name in _FIELDS[self.kind]):
                verb = "needs" if name in _FIELDS[self.kind] else "takes no"
                raise ValueError(f"{self.kind} {verb} {name}")
        return self

    def __str__(self) -> str:
        """Written form, for people and for a command line."""
        return self.text

    @property
    def text(self) -> str:
        """What ``parse_arrivals`` reads back as an equal specification."""
        values = [getattr(self, name) for name in _FIELDS[self.kind]]
        texts = [
            str(v).removesuffix(".0") if v != self.path else str(v) for v in values
        ]
        return ":".join([self.kind, *texts])

    def offsets_ns(self, n: int, seed_name: str) -> tuple[int, ...]:
        """Compute, or for a replay read, the first ``n`` arrivals.

        Raises:
            ParameterError: the file of a replay does not serve (``replay_offsets_ns``).
        """
        if self.kind == "replay":
            assert self.path is not None  # noqa: S101 (the validator saw to it)
            return replay_offsets_ns(self.path, n)
        return arrival_offsets_ns(
            self.kind, n, self.rate_per_s, seed_name, shape=self.shape
        )


def parse_arrivals(text: str) -> ArrivalSpec:
    """Read a schedule from a command line, such as ``poisson:32``.

    Raises:
        ValueError: the text has none of the accepted forms; one line for people.
    """
    kind, _, rest = text.partition(":")
    names = _FIELDS.get(kind, ())
    # A path may hold colons.
    parts = rest.split(":", maxsplit=max(len(names) - 1, 0)) if rest else []
    problem = f"{text!r} is no arrival schedule; write {_FORMS}"
    if len(parts) != len(names):
        raise ValueError(problem)
    try:
        return ArrivalSpec.model_validate(
            {"kind": kind, **dict(zip(names, parts, strict=True))}
        )
    except ValidationError as error:
        raise ValueError(problem) from error


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
