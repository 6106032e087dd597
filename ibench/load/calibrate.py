"""The client against a server that knows the truth: bias and sigma of what it says."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from ibench.errors import StageError
from ibench.load.client import Exchange, LoadClient, LoadRun, PlannedRequest
from ibench.load.sse import interpret, parse
from ibench.metrics.requests import percentile
from ibench.records import Calibration, Chunk, canonical_json

__all__ = ["NullServerProcess", "Truth", "calibrate", "compare", "null_server", "plan"]

_NS = 1e-9
_TTFT_S = 0.05
_TOKENS_PER_S = 100.0
_TOKENS = 16
_MIN_REQUESTS = 4
_WAVES = 2  # requests per slot: the second one reuses its connection
_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 10.0


class Truth(NamedTuple):
    """One request as the null server saw it, monotonic nanoseconds."""

    arrived_ns: int
    sent_ns: tuple[int, ...]


class NullServerProcess:
    """A running null server; its log is there once it has ended."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        """Read the port that the process prints."""
        self._process, self._log = process, log
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise StageError("null server: it did not start; see its message above")
        self.base_url = f"http://127.0.0.1:{json.loads(line)['port']}"
        self.pid = process.pid

    def end(self) -> dict[str, Truth]:
        """End it and read its log: the truth by request name.

        Raises:
            StageError: it wrote no log.
        """
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(_END_TIMEOUT_S)
        if not self._log.is_file():
            raise StageError("null server: it ended without a log")
        entries = json.loads(self._log.read_text(encoding="utf-8"))
        return {e["name"]: Truth(e["arrived_ns"], tuple(e["sent_ns"])) for e in entries}


@contextmanager
def null_server(
    ttft_s: float = _TTFT_S, tokens_per_s: float = _TOKENS_PER_S
) -> Iterator[NullServerProcess]:
    """Start a null server in a process of its own; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ibench-null-") as folder:
        log = Path(folder) / "log.json"
        command = [sys.executable, "-m", "ibench.load.null_server", "--log", str(log)]
        pacing = ["--ttft-s", str(ttft_s), "--tokens-per-s", str(tokens_per_s)]
        process = subprocess.Popen(
            [*command, *pacing],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield NullServerProcess(process, log)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()


def plan(
    offsets_ns: Sequence[int], tokens: int, prompt_bytes: int = 1024
) -> list[PlannedRequest]:
    """Requests for the null server, due at these offsets."""
    prompt = "x" * prompt_bytes
    return [
        PlannedRequest(
            f"n{i}",
            canonical_json(
                {
                    "model": "null",
                    "user": f"n{i}",
                    "messages": [{"role": "user", "content": prompt}],
                    "max_tokens": tokens,
                    "stream": True,
                    "stream_options": {"include_usage": True},
                }
            ).encode(),
            offset_ns,
        )
        for i, offset_ns in enumerate(offsets_ns)
    ]


def calibrate(
    client: LoadClient,
    offsets_ns: Sequence[int],
    concurrency: int,
    when: Literal["before", "after"],
    max_cpu_share: float,
) -> Calibration:
    """Drive a null server with the head of a phase's arrival vector.

    Takes about a second: two requests a slot, sixteen tokens each.

    Args:
        client: the one that measures.
        offsets_ns: the phase's arrivals; as many as two waves need are used.
        concurrency: that of the phase.
        when: before or after the phase.
        max_cpu_share: of a core; sets the ceiling.

    Raises:
        StageError: the null server lost a request: then nothing can be measured here.
    """
    count = max(_MIN_REQUESTS, _WAVES * concurrency)
    with null_server() as server:
        todo = plan(offsets_ns[:count], _TOKENS)
        run = client.run(server.base_url, todo, concurrency, _TIMEOUT_S)
        return compare(run, server.end(), when, max_cpu_share)


def compare(
    run: LoadRun,
    truth: Mapping[str, Truth],
    when: Literal["before", "after"],
    max_cpu_share: float,
) -> Calibration:
    """Hold what a client saw against the null server's log.

    Bias and sigma are mean and standard deviation of measured minus true, per request
    (TTFT: from sending, against from arrival to the first chunk's hand-over) and per
    gap (ITL). A chunk's error is its stamp minus its hand-over.

    Raises:
        StageError: a request or a chunk is missing on one side.
    """
    ttft, gaps, chunk_errors = [], [], []
    for exchange in run.exchanges:
        true = truth.get(exchange.request_id)
        chunks = interpret(parse(exchange.reads)).chunks
        if true is None or len(chunks) != len(true.sent_ns) or not chunks:
            raise StageError(_lost(exchange, chunks, true))
        stamps = [chunk.best_ns for chunk in chunks]
        sent_ns = exchange.sent_ns or 0
        seen = stamps[0] - sent_ns
        ttft.append((seen - (true.sent_ns[0] - true.arrived_ns)) * _NS)
        errors = [(a - b) * _NS for a, b in zip(stamps, true.sent_ns, strict=True)]
        chunk_errors += errors
        gaps += [after - before for before, after in pairwise(errors)]
    each_s = run.cost.cpu_s / len(chunk_errors)
    return Calibration(
        when=when,
        timestamp_source=run.cost.timestamp_source,
        requests=len(ttft),
        chunks=len(chunk_errors),
        ttft_bias_s=statistics.fmean(ttft),
        ttft_sigma_s=_sigma(ttft),
        ttft_error_p99_s=percentile([abs(e) for e in ttft], 99),
        itl_bias_s=math.fsum(gaps) / max(len(gaps), 1),
        itl_sigma_s=_sigma(gaps),
        chunk_error_p99_s=percentile([abs(e) for e in chunk_errors], 99),
        cpu_s_per_chunk=each_s,
        ceiling_chunks_per_s=max_cpu_share / each_s,
    )


def _sigma(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _lost(exchange: Exchange, chunks: Sequence[Chunk], true: Truth | None) -> str:
    sent = "no request" if true is None else f"{len(true.sent_ns)} chunks"
    return (
        f"calibration: {exchange.request_id} got {len(chunks)} chunks, the null server "
        f"logged {sent} ({exchange.error or 'no fault seen'}); free this host's "
        "loopback and processors and run again"
    )
