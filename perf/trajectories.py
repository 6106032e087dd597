"""Time and memory of labelling 300 made runs: ``python -m perf.trajectories``.

A run is one file of 10 MB in the public layout. ``logs`` fills it with few large tool
outputs (an engine's log printed again and again), ``turns`` with many small events.
No two commands are alike, so that nothing is gained by remembering them.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from ibench.analysis.trajectories.folder import write_all
from ibench.analysis.trajectories.pool import available_processes
from perf.table import Row, render

__all__ = ["main", "make_run"]

SEED = 7
_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
OUTPUT_CHARACTERS = {"logs": 25_000, "turns": 1_200}
COMMANDS = (
    "tail -n 200 server.log",
    "python evaluate.py --quick",
    "pkill -f vllm; nohup vllm serve m --max-num-seqs {n} --port 8000 > server.log &",
    "nvidia-smi",
    "cat > start_server.sh <<'E'\nexec vllm serve m --max-num-seqs {n} --port 8000\nE",
    "sleep 30; curl -s localhost:8000/health",
)
RESULT = '{{"profiles": {{"burst": {{"ttft": {{"p50": 0.0{n}}}}}}}}}'
LOG_LINE = (
    "INFO 04-12 10:{m:02d}:{s:02d} loggers.py:123] Engine 000: Avg prompt throughput: "
    "{a:.1f} tokens/s, Running: {b} reqs, GPU KV cache usage: {c:.1f}%\n"
)


def make_run(folder: Path, rng: random.Random, size: int, output: int) -> None:
    """Write one run of at least ``size`` bytes."""
    folder.mkdir(parents=True)
    meta = {"agent": "made", "scenario": "A", "budget_hours": 2, "harness": "claude"}
    (folder / "run_meta.json").write_text(json.dumps(meta))
    log = "".join(_log_lines(rng, output))
    with (folder / "trace.jsonl").open("w") as stream:
        written = n = 0
        while written < size:
            for row in _turn(rng, log, n):
                written += stream.write(json.dumps({"i": n, **row}) + "\n")
                n += 1


def _log_lines(rng: random.Random, characters: int) -> Iterator[str]:
    while characters > 0:
        line = LOG_LINE.format(
            m=rng.randrange(60),
            s=rng.randrange(60),
            a=rng.random() * 9000,
            b=rng.randrange(64),
            c=rng.random() * 100,
        )
        characters -= len(line)
        yield line


def _turn(rng: random.Random, log: str, n: int) -> list[dict[str, object]]:
    command = rng.choice(COMMANDS).format(n=rng.choice((64, 128, 256)))
    command = f"cd /w/{n} && {command}"
    text = f"Step {n}: the server is up; chunked prefill or FP8 may help next."
    ending = RESULT.format(n=rng.randrange(100, 999)) if "evaluate" in command else ""
    return [
        {"role": "assistant", "type": "text", "text": text},
        {
            "role": "assistant",
            "type": "tool_call",
            "tool_name": "Bash",
            "tool_input": {"command": command},
        },
        {
            "role": "tool",
            "type": "tool_result",
            "tool_output": log + ending,
            "meta": {"is_error": False},
        },
    ]


def _row(kind: str, runs: int, megabytes: float, processes: int) -> Row:
    rng = random.Random(SEED)  # noqa: S311 (made data)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for i in range(runs):
            folder = root / "runs" / f"run_{i:04d}"
            make_run(folder, rng, int(megabytes * 1e6), OUTPUT_CHARACTERS[kind])
        started, used_s = time.monotonic(), _cpu_s()
        written = write_all(root, root / "out", processes)
        took_s, used_s = time.monotonic() - started, _cpu_s() - used_s
        events = pq.read_metadata(root / "out" / "events.parquet").num_rows
    own, largest = (resource.getrusage(who).ru_maxrss / 1024 for who in _WHO)
    return {
        "content": kind,
        "runs": len(written.facts),
        "MB a run": megabytes,
        "problems": len(written.problems),
        "seconds": took_s,
        "CPU s": used_s,
        "CPU us an event": used_s / events * 1e6,
        "MB/s": runs * megabytes / took_s,
        "peak MiB": own + (processes * largest if processes > 1 else 0),
    }


def _cpu_s() -> float:
    """User and system time of this process and of those it has waited for."""
    usages = (resource.getrusage(who) for who in _WHO)
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main(argv: list[str] | None = None) -> int:
    """Print one row a kind of content."""
    parser = argparse.ArgumentParser(prog="python -m perf.trajectories")
    parser.add_argument("--runs", default=300, type=int)
    parser.add_argument("--megabytes", default=10.0, type=float)
    parser.add_argument("--kind", choices=OUTPUT_CHARACTERS, action="append")
    parser.add_argument("--processes", default=available_processes(), type=int)
    args = parser.parse_args(argv)
    rows = [
        _row(kind, args.runs, args.megabytes, args.processes)
        for kind in args.kind or OUTPUT_CHARACTERS
    ]
    notes = (
        f"{args.processes} processes; CPU is that of all. The peak is the "
        "parent's since its start and the largest worker's once a process: a bound.",
    )
    sys.stdout.write(render("Labelling trajectories", rows, notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
