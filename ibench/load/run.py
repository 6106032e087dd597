"""Drive any OpenAI-compatible address, with no project around it."""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from ibench.errors import ParameterError, UserError
from ibench.files import write_atomic
from ibench.load.arrivals import save_arrivals
from ibench.load.calibrate import calibrate
from ibench.load.choose import choose_client
from ibench.load.dialect import negotiate_dialect
from ibench.load.driver import PhaseRun
from ibench.load.engine_metrics import hit_rate, read_counters
from ibench.load.scenario import Server
from ibench.load.spec import LoadReport, LoadSpec
from ibench.load.stopping import monitor
from ibench.metrics.intervals import speedup_interval
from ibench.metrics.phase import PhasePlan
from ibench.metrics.summary import summarize
from ibench.params import Measure, Stopping
from ibench.records import (
    Calibration,
    PhaseSummary,
    RequestResult,
    RequestSpec,
    canonical_json,
    chunk_rows,
    request_rows,
    sha256_of,
)
from ibench.serving.probe import look_once
from ibench.store import write_rows

__all__ = ["run_load", "save_results"]

_WARMUP = 2
_LIST_TIMEOUT_S = 10.0
# Short common words: about one token each in the tokenizers of current models.
_WORDS = (
    "time year people way day man thing woman life child world school state family "
    "student group country problem hand part place case week company system program "
    "question work number night point home water room mother area money story fact"
)


def _server(url: str, spec: LoadSpec, headers: Mapping[str, str]) -> Server:
    """Find out how a server is spoken to; the load's limits become its settings."""
    base_url = url.rstrip("/").removesuffix("/v1")
    kind, processes = spec.client.kind, spec.client.processes
    client = choose_client(base_url, kind, processes, headers)
    model = spec.model or _first_model(base_url, headers)
    dialect = negotiate_dialect(
        # One request: one process is enough for it.
        choose_client(base_url, kind, 1, headers),
        base_url,
        model,
        temperature=spec.temperature,
        request_timeout_s=spec.request_timeout_s,
    )
    stop_at = spec.stop_at
    settings = Measure(
        warmup_requests=_WARMUP,
        request_timeout_s=spec.request_timeout_s,
        ready_timeout_s=spec.request_timeout_s,
        min_length_ratio=0.9,
        ttft_slo_s=spec.ttft_slo_s,
        tpot_slo_s=spec.tpot_slo_s,
        client=spec.client,
        stopping=stop_at and Stopping(relative_half_width=stop_at, minimum_requests=20),
    )
    return Server(base_url, model, dialect, client, settings)


def run_load(
    spec: LoadSpec,
    folder: Path,
    progress: Callable[[str], None] = lambda line: None,
) -> LoadReport:
    """Run the load and write its tables.

    ``requests.parquet`` and ``chunks.parquet`` are described in docs/metrics.md. With
    ``against``, the two servers take turns, repeat by repeat; the same address twice is
    an A/A run, whose speedup must cover 1.

    Raises:
        UserError: a server lists no model or cannot be reached, a key is missing, a
            tokenizer cannot be loaded.
    """
    headers, count_tokens = _headers(spec), _tokenizer(spec.tokenizer)
    urls = [spec.url] if spec.against is None else [spec.url, spec.against]
    targets = [_server(url, spec, headers) for url in urls]
    name = secrets.token_hex(8) if spec.client.nonce else None
    folder.mkdir(parents=True, exist_ok=True)
    summaries: list[list[PhaseSummary]] = [[] for _ in targets]
    results: list[RequestResult] = []
    for repeat in range(spec.repeats):
        for side, target in enumerate(targets):
            label = f"repeat-{repeat}" + ("" if side == 0 else "-against")
            progress(f"{label}: {target.base_url}")
            summary, run = _repeat(spec, target, label, name, folder, count_tokens)
            summaries[side].append(summary)
            results += run.results
    save_results(folder, results)
    report = LoadReport(
        spec=spec,
        model=targets[0].model,
        dialect=targets[0].dialect.label,
        nonce_name=name,
        phases=tuple(summaries[0]),
        against=tuple(summaries[1]) if len(targets) > 1 else (),
        speedup=_speedups(*summaries) if len(targets) > 1 else {},
    )
    data = report.model_dump_json(indent=1) + "\n"
    write_atomic(folder / "summary.json", data.encode())
    return report


def save_results(folder: Path, results: Sequence[RequestResult]) -> None:
    """Write requests and chunks, the latter on ``CLOCK_MONOTONIC``."""
    write_rows(folder / "requests.parquet", request_rows(results))
    write_rows(folder / "chunks.parquet", chunk_rows(results))


def _repeat(
    spec: LoadSpec,
    target: Server,
    label: str,
    nonce_name: str | None,
    folder: Path,
    count_tokens: Callable[[str], int] | None,
) -> tuple[PhaseSummary, PhaseRun]:
    repeat = label.removesuffix("-against")
    offsets = spec.arrivals.offsets_ns(spec.requests, f"{spec.seed}:{repeat}")
    sha256 = save_arrivals(folder / f"arrivals-{repeat}.json", offsets)
    enough = partial(monitor, spec.stop_objective, target.settings)
    send = partial(target.send, count_tokens, nonce_name or "", label)
    warmup = [_request(spec, f"warm-{i}") for i in range(_WARMUP)]
    requests = [_request(spec, f"{i:06d}") for i in range(spec.requests)]
    checks = [_calibration(target, offsets, spec, "before")]
    send(warmup, [0] * _WARMUP, spec.concurrency, enough())
    counters = read_counters(target.base_url)
    run = send(requests, offsets, spec.concurrency, enough())
    counted = hit_rate(counters, read_counters(target.base_url))
    checks.append(_calibration(target, offsets, spec, "after"))
    plan = PhasePlan(
        name=label,
        arrivals=spec.arrivals.text,
        concurrency=spec.concurrency,
        arrivals_sha256=sha256,
        offered_rate_per_s=spec.arrivals.rate_per_s,
        ttft_slo_s=spec.ttft_slo_s,
        tpot_slo_s=spec.tpot_slo_s,
        requests=spec.requests,
    )
    found = [c for c in checks if c is not None]
    summary = summarize(
        plan, run.results, run.cost, found, spec.client, counted_hit_rate=counted
    )
    return summary, run


def _calibration(
    target: Server,
    offsets: Sequence[int],
    spec: LoadSpec,
    when: Literal["before", "after"],
) -> Calibration | None:
    if not spec.client.calibrate:
        return None
    client = choose_client(
        "http://127.0.0.1" if target.base_url.startswith("http:") else target.base_url,
        spec.client.kind,
        spec.client.processes,
    )
    most = spec.client.max_cpu_share
    return calibrate(client, offsets, spec.concurrency, when, most)


def _request(spec: LoadSpec, request_id: str) -> RequestSpec:
    """Words drawn by the request's own generator, about one token each."""
    draw = random.Random(f"{spec.seed}:prompt:{request_id}")  # noqa: S311
    text = " ".join(draw.choices(_WORDS.split(), k=spec.prompt_tokens))
    messages = ({"role": "user", "content": text},)
    return RequestSpec(
        request_id=request_id,
        messages=messages,
        max_tokens=spec.output_tokens,
        temperature=spec.temperature,
        ignore_eos=True,
        document_id="words",
        target_input_tokens=spec.prompt_tokens,
        input_tokens=spec.prompt_tokens,
        source_tokens=spec.prompt_tokens,
        content_hash=sha256_of(canonical_json(list(messages))),
    )


def _speedups(
    ours: Sequence[PhaseSummary], others: Sequence[PhaseSummary]
) -> dict[str, tuple[float, float, float]]:
    """Speedup of ``url`` over ``against`` per metric; needs two repeats a side."""
    metrics: dict[str, Callable[[PhaseSummary], float | None]] = {
        "ttft": lambda p: p.ttft_p50_s and 1 / p.ttft_p50_s,
        "tpot": lambda p: p.tpot_p50_s and 1 / p.tpot_p50_s,
        "request_rate": lambda p: p.request_rate_per_s,
    }
    found = {}
    for name, metric in metrics.items():
        left, right = ([v for p in side if (v := metric(p))] for side in (ours, others))
        if min(len(left), len(right)) >= 2:
            between = speedup_interval(left, right)
            found[name] = (between.low, between.value, between.high)
    return found


def _headers(spec: LoadSpec) -> dict[str, str]:
    if spec.key_variable is None:
        return {}
    key = os.environ.get(spec.key_variable)
    if not key:
        raise ParameterError(
            "environment", spec.key_variable, None, "not set: export the key under it"
        )
    return {"authorization": f"Bearer {key}"}


def _tokenizer(folder: Path | None) -> Callable[[str], int] | None:
    if folder is None:
        return None
    from ibench.workloads import ChatTokenizer  # noqa: PLC0415 (slow import)

    if not (folder / "tokenizer.json").is_file():
        raise ParameterError(
            folder, "tokenizer", "-", "holds no tokenizer.json: name a model folder"
        )
    return ChatTokenizer(folder).count_text


def _first_model(url: str, headers: Mapping[str, str]) -> str:
    started = time.monotonic()
    seen = look_once(url, _LIST_TIMEOUT_S, headers)
    if seen.models:
        return seen.models[0]
    if seen.ready:
        raise UserError(f"{url}/v1/models: lists no model: pass --model")
    took_s = time.monotonic() - started
    raise UserError(
        f"{url}: {seen.detail} after {took_s:.1f} s: is the server up, and is the "
        "address right? pass --model if it lists none"
    )
