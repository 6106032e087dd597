# ruff: noqa: T201 (the child hands its numbers to its parent on stdout)
"""Aggregation of many runs in a process of its own: seconds and peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from perf.synthetic import PROFILE, make_study, publish_records
from perf.table import Row

__all__ = ["NOTES", "aggregation_rows", "peak_mib"]

AIM_S, AIM_MIB = 10.0, 1024
NOTES = (
    "A fresh process reads made records that were published as real ones are: one",
    "submission, relaunch and gating record a run, one baseline a scenario and seed",
    "pair. It checks every hash and computes every table and the data of every figure.",
    f"The aims for 10,000 runs: below {AIM_S:g} s and {AIM_MIB:,} MiB for `load and",
    "tables`; imports, grid and making the records are not in it. Where the processor",
    "time is far below the seconds, the machine was busy with something else.",
)


def aggregation_rows(params: Path, *, methods: int, seed_pairs: int) -> list[Row]:
    """Make the records in a temporary folder, aggregate them in a child, clean up."""
    with tempfile.TemporaryDirectory(prefix="ibench-bench-") as name:
        folder = Path(name)
        started = time.monotonic()
        study = make_study(params, folder, methods=methods, seed_pairs=seed_pairs)
        records = publish_records(study)
        made_s = time.monotonic() - started
        child = subprocess.run(
            [sys.executable, "-m", "perf.aggregation", name],
            check=True,
            stdout=subprocess.PIPE,
        )
        seen = json.loads(child.stdout)
        size = sum(p.stat().st_size for p in study.root.rglob("record.json"))
    rows: list[Row] = [
        {"what": "runs", "value": seen["runs"]},
        {"what": "records", "value": records},
        {"what": "records, MiB", "value": size / 2**20},
        {"what": "make the records, s", "value": made_s},
    ]
    return rows + [{"what": k, "value": v} for k, v in seen["measured"].items()]


def _aggregate(folder: Path) -> dict[str, object]:
    """What the child does: the aggregation stage up to its tables."""
    started = time.monotonic()
    from ibench.stages import aggregation as aggregate  # noqa: PLC0415 (imports are timed)
    from ibench.study.definition import Study  # noqa: PLC0415
    from ibench.study.job import OpenJob  # noqa: PLC0415

    imported = time.monotonic()
    study = Study(PROFILE, folder / "params", folder / "results")
    job = OpenJob(study, study.job("aggregation"))
    opened, opened_cpu = time.monotonic(), time.process_time()
    tables = aggregate.build_tables(job)
    ended, ended_cpu = time.monotonic(), time.process_time()
    return {
        "runs": len(tables.runs),
        "measured": {
            "imports, s": imported - started,
            "grid (run ids of every job), s": opened - imported,
            "load and tables, s": ended - opened,
            "of it: processor time of its process, s": ended_cpu - opened_cpu,
            "peak memory, MiB": peak_mib(),
        },
    }


def peak_mib() -> float:
    """Peak of this program, MiB; getrusage would count what was held at the fork."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


if __name__ == "__main__":
    print(json.dumps(_aggregate(Path(sys.argv[1]))))
