"""Our two clients as processes: ``python -m perf.client_worker kernel ...``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from ibench.load.calibrate import plan
from ibench.load.choose import choose_client
from ibench.load.client import Exchange
from ibench.load.sse import interpret, parse
from perf.client_truth import Job, Report, Seen

__all__ = ["Own", "main"]

_ROWS = "rows.json"
_TIMEOUT_S = 60.0


class Own:
    """One of ours.

    Args:
        kind: which.
    """

    def __init__(self, kind: Literal["kernel", "httpx"]) -> None:
        """Name it as the tables do."""
        self._kind = kind
        self.name = f"ibench {kind}"

    def command(self, job: Job) -> list[str]:
        """See ``Client.command``."""
        numbers = [job.streams, job.requests, job.tokens]
        worker = [sys.executable, "-m", "perf.client_worker", self._kind, job.url]
        return [*worker, *map(str, numbers), str(job.folder / _ROWS)]

    def report(self, job: Job) -> Report:
        """See ``Client.report``."""
        rows = json.loads((job.folder / _ROWS).read_text(encoding="utf-8"))
        seen = [_seen(row) for row in rows["requests"]]
        return Report(seen, rows["cpu_s"], rows["loop_cpu_s"])


def _seen(row: dict[str, Any]) -> Seen:
    stamps, sent_ns = row["stamps_ns"], row["sent_ns"]
    return Seen(
        name=row["name"],
        ttft_ns=stamps[0] - sent_ns,
        chunks=len(stamps),
        gaps_ns=tuple(after - before for before, after in pairwise(stamps)),
        start_ns=sent_ns,
    )


def _row(exchange: Exchange) -> dict[str, Any]:
    chunks = interpret(parse(exchange.reads)).chunks
    return {
        "name": exchange.request_id,
        "sent_ns": exchange.sent_ns,
        "stamps_ns": [chunk.best_ns for chunk in chunks],
    }


def main(argv: list[str] | None = None) -> int:
    """Send everything, parse it and write one row a request that got an answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("kernel", "httpx"))
    parser.add_argument("url")
    parser.add_argument("streams", type=int)
    parser.add_argument("requests", type=int)
    parser.add_argument("tokens", type=int)
    parser.add_argument("rows", type=Path)
    args = parser.parse_args(argv)
    todo = plan([0] * args.requests, args.tokens)
    client = choose_client(args.url, args.kind)
    cpu_s = time.process_time()
    run = client.run(args.url, todo, args.streams, _TIMEOUT_S)
    rows = [row for row in map(_row, run.exchanges) if row["stamps_ns"]]
    cost = {"cpu_s": time.process_time() - cpu_s, "loop_cpu_s": run.cost.cpu_s}
    written = {**cost, "requests": rows}
    args.rows.write_text(json.dumps(written), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
