# ruff: noqa: T201 (a program for people)
"""Build the static site: ``python -m ibench.analysis.site --profile cpu``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ibench import REPOSITORY
from ibench.analysis.site.build import build
from ibench.errors import IbenchError
from ibench.study.definition import Study

__all__ = ["main"]

SHOWN = 10


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ibench site", description=__doc__)
    parser.add_argument("--profile", default="cpu", help="whose records are shown")
    parser.add_argument("--params", default="params", type=Path)
    parser.add_argument("--results", default="results", type=Path)
    parser.add_argument(
        "--published", default=Path("results", "published"), type=Path,
        help="folder of the published numbers",
    )  # fmt: skip
    parser.add_argument(
        "--trajectories",
        type=Path,
        help="exported trajectories; default: RESULTS/PROFILE/trajectories if there",
    )
    parser.add_argument("--out", type=Path, help="default: RESULTS/PROFILE/site")
    return parser


def _exported(folder: Path) -> Path | None:
    return folder if (folder / "runs.json").is_file() else None


def main(argv: list[str] | None = None) -> int:
    """Build and say what was built; 2 and one line if the input is wrong."""
    args = _parser().parse_args(argv)
    begin = time.perf_counter()
    try:
        study = Study(args.profile, REPOSITORY / args.params, REPOSITORY / args.results)
        built = build(
            study,
            args.out or study.root / "site",
            published=args.published,
            trajectories=args.trajectories or _exported(study.root / "trajectories"),
        )
    except IbenchError as error:
        print(f"site: {error}", file=sys.stderr)
        return error.exit_code
    for line in built.problems[:SHOWN]:
        print(f"site: {line}", file=sys.stderr)
    if len(built.problems) > SHOWN:
        more = len(built.problems) - SHOWN
        print(f"site: {more} more lines stand on the page About", file=sys.stderr)
    took = time.perf_counter() - begin
    print(
        f"{built.index}: {built.runs} runs, {built.replays} with a replay, "
        f"{built.bytes / 1e6:.1f} MB, {took:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
