# ruff: noqa: T201 (a program for people)
"""How often each interval covers, by simulation: ``python -m perf.intervals``."""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perf.interval_cases import CASES, Case, find_case
from perf.table import replace_block

__all__ = ["BLOCK", "Coverage", "coverage", "main", "table"]

BLOCK = "bench-intervals"
DRAWS, STOPPED_DRAWS = 4000, 400
"""Of each case; a run that stops by itself takes a hundred times as long."""


class Coverage(NamedTuple):
    """What a number of draws of one case came to.

    Attributes:
        case: which one.
        draws: how many.
        share: of them that covered the truth.
        half_width: median over the draws, relative to the value.
        values: median number that a draw took.
    """

    case: Case
    draws: int
    share: float
    half_width: float
    values: float

    @property
    def error(self) -> float:
        """Standard error of the share."""
        return math.sqrt(self.share * (1 - self.share) / self.draws)


def coverage(case: Case, draws: int, seed: int = 1) -> Coverage:
    """Draw a case so many times; a case has a stream of its own."""
    name = zlib.crc32(f"{case.interval}: {case.data}".encode())
    rng = np.random.default_rng([seed, name])
    seen = [case.draw(rng) for _ in range(draws)]
    return Coverage(
        case,
        draws,
        sum(s.is_covered for s in seen) / draws,
        statistics.median(s.interval.relative_half_width for s in seen),
        statistics.median(s.values for s in seen),
    )


def _measured(name: tuple[str, str], draws: int) -> tuple[float, float, float]:
    """What a process hands back: a case holds functions that cannot travel."""
    found = coverage(find_case(*name), draws)
    return found.share, found.half_width, found.values


def table(found: list[Coverage]) -> str:
    """A row a case, as Markdown."""
    lines = [
        "| interval | data | values | half width | coverage | draws |",
        "|---|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {c.case.interval} | {c.case.data} | {c.values:.0f} | "
        f"{100 * c.half_width:.1f} % | {100 * c.share:.1f} % | {c.draws} |"
        for c in found
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Simulate every case and print the table; 1 if a floor is not held."""
    parser = argparse.ArgumentParser(prog="python -m perf.intervals")
    parser.add_argument("--write", type=Path, help="file with the marks of the table")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--stopped-draws", type=int, default=STOPPED_DRAWS)
    parser.add_argument("--only", default="", help="intervals that begin so")
    args = parser.parse_args(argv)
    cases = [c for c in CASES if c.interval.startswith(args.only)]
    draws = [
        args.stopped_draws if c.interval.startswith("stopping") else args.draws
        for c in cases
    ]
    names = [(c.interval, c.data) for c in cases]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        numbers = list(pool.map(_measured, names, draws))
    found = [
        Coverage(case, n, *row)
        for case, n, row in zip(cases, draws, numbers, strict=True)
    ]
    print(table(found))
    if args.write:
        replace_block(args.write, BLOCK, table(found))
    # Three standard errors: what chance alone takes from a share that is held.
    below = [c for c in found if c.share + 3 * c.error < c.case.floor]
    for c in below:
        print(
            f"below its floor of {c.case.floor:.0%}: {c.case.interval}, {c.case.data}"
        )
    return bool(below)


if __name__ == "__main__":
    sys.exit(main())
