# ruff: noqa: T201 (a program for people)
"""Load clients side by side against a server that knows the truth.

``python -m perf.clients`` drives the null server with our two clients and with
the peers that ``make peers`` installed, each as a process of its own, in an order
that rotates from trial to trial. What is measured: ``docs/measurement.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ibench import REPOSITORY
from ibench.errors import IbenchError
from ibench.load.calibrate import Truth, null_server
from ibench.load.clock import ClockMap, read_clocks
from ibench.serving.linux import cpu_model
from perf.client_process import (
    Usage,
    busy_s,
    on_core,
    process_cpu_s,
    run_process,
)
from perf.client_table import Point, Sample, tables
from perf.client_truth import Client, Job, compare
from perf.client_worker import Own
from perf.peers import Aiperf, Guidellm, packages, summary
from perf.table import replace_block

__all__ = ["Cores", "cores", "main", "measure", "run_all"]

PEERS = ("aiperf", "guidellm")
TTFT_S = 0.1
MAX_OTHERS_SHARE = 0.1  # of a core; a run beside more is run again
TRIES = 4
QUIET_S = 60.0  # the longest wait for other programs to rest
LOOK_S = 0.5
TIMEOUT_S = 180.0
POINTS = {
    p.streams: p
    for p in (
        Point(streams=1, tokens_per_s=100.0, tokens=64, requests=8),
        Point(streams=8, tokens_per_s=100.0, tokens=64, requests=48),
        Point(streams=64, tokens_per_s=100.0, tokens=64, requests=128),
        Point(streams=256, tokens_per_s=25.0, tokens=32, requests=512),
    )
}
CLIENTS: dict[str, Client] = {
    "kernel": Own("kernel"),
    "httpx": Own("httpx"),
    "aiperf": Aiperf(),
    "guidellm": Guidellm(),
}


@dataclass(frozen=True)
class Cores:
    """Where the two sides run; ``None``: wherever the system likes.

    Args:
        server: of the truth server.
        client: of the client, all its processes, and of this program.
    """

    server: int | None
    client: int | None


def cores(*, pin: bool = True) -> Cores:
    """Give each side a core of its own, if there are two."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(*allowed[:2]) if pin and len(allowed) > 1 else Cores(None, None)


def measure(client: Client, point: Point, trial: int, at: Cores) -> Sample:
    """Run a client once against a truth server of its own.

    Raises:
        StageError: the client failed.
    """
    with (
        tempfile.TemporaryDirectory(prefix="ibench-bench-") as folder,
        on_core(at.client),
        null_server(TTFT_S, point.tokens_per_s) as server,
    ):
        if at.server is not None:
            os.sched_setaffinity(server.pid, {at.server})
        job = Job(
            server.base_url, point.streams, point.requests, point.tokens, Path(folder)
        )
        command = client.command(job)
        busy, own = busy_s() - process_cpu_s(server.pid), time.process_time()
        before = read_clocks()
        log = job.folder / "client.log"
        usage = run_process(command, REPOSITORY, log, TIMEOUT_S)
        clocks = ClockMap(before, read_clocks())
        busy = busy_s() - process_cpu_s(server.pid) - busy
        others_s = busy - (time.process_time() - own) - usage.cpu_s
        report = client.report(job)
        truth = server.end()
        errors = compare(report, truth, point.streams, clocks)
    return Sample(
        client=client.name,
        point=point,
        trial=trial,
        errors=errors,
        run_cpu_s=usage.cpu_s,
        cpu_s=_measuring_s(usage, truth) if report.cpu_s is None else report.cpu_s,
        loop_cpu_s=report.loop_cpu_s,
        peak_mib=usage.peak_mib,
        wall_s=usage.wall_s,
        others_share=others_s / usage.wall_s,
    )


def _measuring_s(usage: Usage, truth: Mapping[str, Truth]) -> float:
    first = min(t.arrived_ns for t in truth.values())
    return usage.between_s(first, max(t.sent_ns[-1] for t in truth.values()))


def run_all(
    clients: Sequence[Client], points: Sequence[Point], trials: int, at: Cores
) -> list[Sample]:
    """Run every client at every point; the first one changes from trial to trial."""
    samples = []
    for point in points:
        for trial in range(trials):
            turn = trial % len(clients)
            for client in (*clients[turn:], *clients[:turn]):
                samples.append(_quiet(client, point, trial, at))
    return samples


def _quiet(client: Client, point: Point, trial: int, at: Cores) -> Sample:
    """Run again, a few times, what ran beside other programs' work."""
    tries: list[Sample] = []
    while not tries or tries[-1].others_share > MAX_OTHERS_SHARE:
        _await_quiet()
        tries.append(measure(client, point, trial, at))
        print(_line(tries[-1]), file=sys.stderr, flush=True)
        if len(tries) == TRIES:
            break
    return min(tries, key=lambda sample: sample.others_share)


def _await_quiet() -> None:
    """Wait, not for ever, until this host does nothing else."""
    until = time.monotonic() + QUIET_S
    while time.monotonic() < until:
        busy = busy_s()
        time.sleep(LOOK_S)
        if busy_s() - busy <= MAX_OTHERS_SHARE * LOOK_S:
            return


def _line(sample: Sample) -> str:
    e = sample.errors
    return (
        f"{sample.client:14} {sample.point.streams:3} streams, trial {sample.trial}"
        f": bias {e.bias_mean_ms:.4g} ms, "
        f"lost {e.lost}, {sample.run_cpu_s:.2f} s CPU in {sample.wall_s:.1f} s, "
        f"others {sample.others_share:.1%}, in flight {e.in_flight}"
    )


def _facts(at: Cores, peers: Mapping[str, list[str]]) -> dict[str, str]:
    source = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    clock = source.read_text(encoding="ascii").strip() if source.is_file() else "?"
    return {
        "CPU": f"{cpu_model()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}, clock source {clock}",
        "python": platform.python_version(),
        **{n: summary(n, peers[n]) if n in peers else "not installed" for n in PEERS},
        "placement": "anywhere"
        if at.client is None
        else f"server on core {at.server}, client (all its processes) on {at.client}",
        "load average before": f"{os.getloadavg()[0]:.2f}",
    }


def _text(samples: Sequence[Sample], facts: dict[str, str], trials: int) -> str:
    worst = max(s.others_share for s in samples)
    noisy = sum(s.others_share > MAX_OTHERS_SHARE for s in samples)
    lines = [
        *(f"- {key}: {value}" for key, value in facts.items()),
        f"- {trials} trials; a cell is the median over them (lowest to highest)",
        f"- other programs' share of a core, worst run kept: {worst:.1%}; "
        f"runs kept above {MAX_OTHERS_SHARE:.0%}: {noisy}",
    ]
    return "\n".join(lines) + "\n\n" + tables(samples)


def _row(sample: Sample) -> dict[str, object]:
    errors, point = sample.errors._asdict(), sample.point._asdict()
    return {**sample._asdict(), "errors": errors, "point": point}


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m perf.clients", description=__doc__)
    parser.add_argument("--trials", type=int, default=5)
    text = "loads, by their number of streams (default: all)"
    parser.add_argument("--streams", type=int, nargs="+", choices=POINTS, help=text)
    text = "default: ours, and the peers that are installed"
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, help=text)
    parser.add_argument("--no-pin", action="store_true", help="let processes wander")
    parser.add_argument("--write", type=Path, help="file with the marks of the tables")
    parser.add_argument("--samples", type=Path, help="write every run here, as JSON")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Measure, print the tables and put them where they are asked for."""
    args = _arguments(argv)
    peers = packages()
    names = args.clients or [n for n in CLIENTS if n not in PEERS or n in peers]
    at = cores(pin=not args.no_pin)
    facts = _facts(at, peers)
    points = [POINTS[n] for n in args.streams or POINTS]
    try:
        samples = run_all([CLIENTS[n] for n in names], points, args.trials, at)
        text = _text(samples, facts, args.trials)
        if args.samples:
            args.samples.parent.mkdir(parents=True, exist_ok=True)
            rows = {"facts": facts, "samples": [_row(s) for s in samples]}
            rows["packages"] = peers
            args.samples.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        if args.write:
            replace_block(args.write, "bench-client", text)
    except IbenchError as error:
        print(f"perf: {error}", file=sys.stderr)
        return error.exit_code
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
