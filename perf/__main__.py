# ruff: noqa: T201 (a program for people)
"""Measure the workbench: ``python -m perf --profile cpu``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ibench import REPOSITORY
from ibench.errors import IbenchError
from ibench.study.definition import Study
from ibench.workloads import ensure_model
from perf import aggregation, overhead, sampling
from perf.table import render

__all__ = ["main"]


def _overhead(args: argparse.Namespace) -> str:
    study = Study(args.profile, args.params, args.results)
    rows = overhead.overhead_rows(study, args.params, args.results)
    if not rows:
        return f"Overhead: no finished stage of profile {args.profile!r} yet\n"
    return render(f"Overhead of a stage, profile {args.profile}", rows, overhead.NOTES)


def _sampling(args: argparse.Namespace) -> str:
    model_dir = ensure_model(REPOSITORY / ".cache" / "models")
    rows = sampling.sampling_rows(args.params / "scenarios", model_dir)
    return render("Sampling the request sets", rows, sampling.NOTES)


def _aggregation(args: argparse.Namespace) -> str:
    rows = aggregation.aggregation_rows(
        args.params, methods=args.methods, seed_pairs=args.seed_pairs
    )
    return render("Aggregation", rows, aggregation.NOTES)


PARTS = {
    "overhead": _overhead,
    "sampling": _sampling,
    "aggregation": _aggregation,
}


def main(argv: list[str] | None = None) -> int:
    """Print one table a part."""
    parser = argparse.ArgumentParser(prog="python -m perf", description=__doc__)
    parser.add_argument("--profile", default="cpu", help="whose results are measured")
    parser.add_argument("--params", default="params", type=Path)
    parser.add_argument("--results", default="results", type=Path)
    parser.add_argument("--only", choices=PARTS, action="append", help="parts to run")
    text = "of the made study; times four scenarios (default: 10,080 runs)"
    parser.add_argument("--methods", default=30, type=int, help=text)
    parser.add_argument("--seed-pairs", default=84, type=int, help=text)
    args = parser.parse_args(argv)
    cores, (load, _, _) = len(os.sched_getaffinity(0)), os.getloadavg()
    print(f"{cores} cores, load average before: {load:.1f}\n", flush=True)
    try:
        for part in args.only or PARTS:
            print(PARTS[part](args), flush=True)
    except IbenchError as error:
        print(f"perf: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
