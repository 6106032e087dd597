"""Command line: ``python -m ibench.analysis.trajectories FOLDER --out DIR``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ibench.analysis.trajectories import summary
from ibench.analysis.trajectories.folder import Written, write_all
from ibench.analysis.trajectories.public import REVISION, fetch
from ibench.errors import IbenchError

__all__ = ["main"]

DOWNLOAD = "hub"
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Read runs, write tables and the viewer's JSON, print a summary.

    Returns:
        0, 2 after one line for a mistake of the user's, 130 after an interrupt.
    """
    parser = argparse.ArgumentParser(prog="ibench trajectories", description=__doc__)
    add = parser.add_argument
    add("folder", help=f"folder of runs, or {DOWNLOAD!r} to fetch")
    add("--out", required=True, type=Path, help="folder to write")
    add("--processes", type=int, help="default: cores, fewer for little to read")
    add("--revision", default=REVISION, help="commit of the data set")
    args = parser.parse_args(argv)
    try:
        is_hub = args.folder == DOWNLOAD and not Path(DOWNLOAD).is_dir()
        folder = fetch(revision=args.revision) if is_hub else Path(args.folder)
        written = write_all(folder, args.out, args.processes)
    except IbenchError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; no table was written\n")
        return INTERRUPTED
    except OSError as error:
        sys.stderr.write(f"error: {args.out}: {error.strerror or error}\n")
        return 2
    for problem in written.problems:
        sys.stdout.write(f"problem: {problem}\n")
    sys.stdout.write(_report(written, args.out))
    return 0


def _report(written: Written, out: Path) -> str:
    columns = ["run_id", "agent", "outcome", "engine_shipped", "launches"]
    columns += ["distinct_configs", "evaluations", "best_seen", "shipped_measured"]
    facts = written.facts
    modes = summary.failure_modes(facts)
    parts = [
        written.table[columns],
        summary.behaviour(facts),
        summary.technique_shares(facts),
        modes[modes["runs"] > 0],
    ]
    shown = "\n\n".join(_text(part) for part in parts if len(part))
    return f"{shown}\n\n{len(facts)} runs in {out}\n"


def _text(frame: pd.DataFrame) -> str:
    return frame.to_string(index=False, na_rep="-", max_rows=60)
