# ruff: noqa: T201 (a program for people)
"""A grid of 100,000 cells: ``python -m perf.cluster``.

Two parts. ``pool`` simulates 1,000 GPUs in simulated time: nodes die, jobs are
preempted, people submit twice; the claims, attempts and retries are the real ones, on
disk. ``scale`` publishes real records for every cell and times what a person waits
for: planning, status and aggregation, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from ibench.cluster.cells import cell_jobs
from ibench.cluster.claims import Claim, Owner
from ibench.cluster.commands import cluster_status
from ibench.cluster.submissions import Submission, publish_submission, submissions_root
from ibench.stages import aggregation as aggregate
from ibench.study.definition import Study
from ibench.study.job import OpenJob
from ibench.study.make import status_table
from ibench.study.plan import make_plan, plan_parts
from ibench.study.state import job_states
from ibench.terminal import plain
from perf.aggregation import peak_mib
from perf.cluster_pool import simulate
from perf.synthetic import PROFILE, make_study, publish_records
from perf.table import Row, render

__all__ = ["main"]

LIMIT_S, LIMIT_MIB = 60.0, 2048.0
NOTES = (
    f"The aims: each below {LIMIT_S:g} s and {LIMIT_MIB:,.0f} MiB. `at work` is the",
    "processor time of the command and its workers; a worker that was forked counts",
    "what it shares with the command. A plan is made of an empty results folder, and",
    "again once everything has finished.",
)


def _plan(study: Study) -> str:
    lines = plain(*plan_parts(study, make_plan(study, "h100")))
    return next(line for line in lines if line.startswith("total"))


def _status(study: Study) -> str:
    states = job_states(study)
    lines = plain(status_table(study, states), *cluster_status(study, states))
    return f"{len(lines)} lines, the last: {lines[-1]}"


def _aggregation(study: Study) -> str:
    tables = aggregate.build_tables(OpenJob(study, study.job("aggregation")))
    return f"{len(tables.runs)} runs, {len(tables.progress)} steps of progress"


PARTS: dict[str, Callable[[Study], str]] = {
    "planning": _plan,
    "planning again": _plan,
    "status": _status,
    "aggregation": _aggregation,
}


def _measure(part: str, folder: Path) -> None:
    """What a child does: one part, its time from the loading of the study on."""
    begun = time.monotonic()
    # A plan is made before anything has run.
    results = folder / ("none" if part == "planning" else "results")
    study = Study(PROFILE, folder / "params", results)
    said = PARTS[part](study)
    took_s = time.monotonic() - begun
    ours, theirs = (
        resource.getrusage(who)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    cpu_s = sum(u.ru_utime + u.ru_stime for u in (ours, theirs))
    seen: dict[str, str | float] = {"s": took_s, "at work s": cpu_s}
    seen |= {"MiB": peak_mib(), "largest worker MiB": theirs.ru_maxrss / 1024}
    print(json.dumps(seen | {"said": said}))


def _attempts(study: Study) -> None:
    """Every tenth cell with an attempt, a submission over all: what status reads."""
    cells = cell_jobs(study)
    for cell in list(cells.values())[::10]:
        with Claim(cell.folder, cell.key, Owner.this("1_1"), "now") as claim:
            claim.end("done")
    publish_submission(
        submissions_root(study) / "0001",
        Submission(
            number=1,
            cluster="local",
            scheduler="local",
            by="ann",
            host=Owner.this().host,
            utc="now",
            job_ids=("pool-0",),
            finish_id=None,
            array_size=1000,
            cells=tuple(cells),
        ),
    )


def scale(params: Path, folder: Path, *, methods: int, seed_pairs: int) -> list[Row]:
    """Publish a record for every job, then run each part in a child.

    Args:
        params: the parameter folder.
        folder: where the made study goes.
        methods: of the study, times four scenarios times ``seed_pairs``: its runs.
        seed_pairs: of each scenario.
    """
    study = make_study(params, folder, methods=methods, seed_pairs=seed_pairs)
    begun = time.monotonic()
    with patch("os.fsync"):  # made records may be lost with the machine
        count = publish_records(study)
        _attempts(study)
    os.sync()  # what is read next must not wait for what was just written
    print(f"{count:,} records made in {time.monotonic() - begun:,.0f} s", flush=True)
    rows: list[Row] = []
    for part in PARTS:
        argv = [sys.executable, "-m", "perf.cluster", "--part", part]
        done = subprocess.run(
            [*argv, "--folder", str(folder)], check=True, stdout=subprocess.PIPE
        )
        seen = json.loads(done.stdout)
        print(f"{part}: {seen.pop('said')}", flush=True)
        rows.append({"what": part} | seen)
    return rows


def main(argv: list[str] | None = None) -> int:
    """Simulate, then measure; print one table each."""
    parser = argparse.ArgumentParser(prog="python -m perf.cluster")
    parser.add_argument("--params", default="params", type=Path)
    parser.add_argument("--gpus", default=1000, type=int)
    parser.add_argument("--methods", default=50, type=int)
    parser.add_argument("--seed-pairs", default=500, type=int)
    parser.add_argument("--only", choices=("pool", "scale"))
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.part:
        _measure(args.part, args.folder)
        return 0
    size = {"methods": args.methods, "seed_pairs": args.seed_pairs}
    print(
        f"{4 * args.methods * args.seed_pairs:,} runs, {args.gpus:,} GPUs", flush=True
    )
    with tempfile.TemporaryDirectory(prefix="ibench-cluster-") as name:
        if args.only != "scale":
            study = make_study(args.params, Path(name) / "pool", **size)
            seen = simulate(study, args.gpus)
            rows: list[Row] = [{"what": k, "value": v} for k, v in seen.items()]
            print(render("A simulated pool", rows), flush=True)
        if args.only != "pool":
            folder = Path(name) / "scale"
            title = "What a person waits for"
            print(render(title, scale(args.params, folder, **size), NOTES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
