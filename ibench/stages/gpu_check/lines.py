"""A check's record as a table for people: 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ibench.stages.gpu_check.record import CheckRecord, Finding
from ibench.stages.gpu_check.roofline import Bounds
from ibench.stages.gpu_check.settings import Published, ScenarioId

__all__ = ["check_lines"]

_TITLES = {"a": "input-heavy", "b": "output-heavy", "c": "high-load", "d": "general"}
_SCORED = {
    "a": "TTFT p50, ms",
    "b": "TPOT p50, ms",
    "c": "req/s, geometric mean of the phases",
    "d": "cube root of req/s / (TTFT x TPOT)",
}
_MEAN_SHARE = 0.9  # lengths lie between 80 and 100 % of the longest
_WIDTH = 98
_RULE = "-" * 96


class _Cells(NamedTuple):
    """One row of the first table; rates per second, times in seconds."""

    server: str
    done: str
    ttft_s: float | None
    tpot_s: float | None
    rate: float | None


def check_lines(record: CheckRecord) -> Iterator[str]:
    """Render what was run, what came phase by phase, the scored metrics, notes."""
    parts = (_head, _phases, _scores, _notes)
    for i, part in enumerate(parts):
        if i:
            yield ""
        yield from (line.rstrip() for line in part(record))


def _head(record: CheckRecord) -> Iterator[str]:
    h, card = record.hardware, record.card
    yield (
        f"{record.shape_name}, {record.shape.parameters:,} random weights in bfloat16, "
        f"on {h.name}"
    )
    memory = f"{h.memory_mib} MiB, driver {h.driver}, CUDA {h.cuda}, "
    yield (
        f"  {memory if h.memory_mib else ''}torch {h.torch}, "
        f"transformers {h.transformers}, {h.cpus} CPU cores"
    )
    if card is not None:
        yield (
            f"  roofline of {card.host}: {card.bandwidth_bytes_per_s / 1e9:.0f} GB/s, "
            f"{card.flops_per_s / 1e12:.0f} TFLOP/s (datasheet)"
        )
    if record.shape.tokens_divisor > 1:
        yield (
            f"  lengths divided by {record.shape.tokens_divisor}: this shows that the "
            "path works and says nothing about speed"
        )


def _phases(record: CheckRecord) -> Iterator[str]:
    yield (
        f"{'scenario, phase':27} {'server':19} {'done':>6} "
        f"{'TTFT ms':>9} {'%':>4} {'TPOT ms':>8} {'%':>4} {'req/s':>8} {'%':>4}"
    )
    yield _RULE
    for scenario in _scenarios(record):
        found = [f for f in _ordered(record) if f.scenario == scenario]
        f = found[0]
        yield (
            f"{scenario.upper()}  {_TITLES[scenario]}: {f.input_tokens} tokens in, "
            f"{f.output_tokens} out at most"
        )
        for name in dict.fromkeys(p.name for f in found for p in f.phases):
            yield from _phase(found, name)
        yield from (f"   {f.engine}: {f.reason}" for f in found if not f.phases)


def _phase(found: Sequence[Finding], name: str) -> Iterator[str]:
    """Rows of one phase: engines, then the bounds of each set of requests."""
    pairs = [(f, p) for f in found for p in f.phases if p.name == name]
    label = f"   {name}, {pairs[0][1].concurrency} in flight"
    for finding, p in pairs:
        done, b = f"{p.completed}/{p.requests}", p.bounds
        rate = p.request_rate_per_s or None  # nothing completed: no rate to show
        row = _Cells(finding.engine, done, p.ttft_p50_s, p.tpot_p50_s, rate)
        best = None if b is None else _best(b)
        yield _row(label, row, best)
        label = ""
        if best is not None:
            yield _row("", best, None)


def _best(b: Bounds) -> _Cells:
    return _Cells(
        "  its roofline", "", b.ttft_p50_s, b.tpot_p50_s, b.request_rate_per_s
    )


def _row(label: str, row: _Cells, best: _Cells | None) -> str:
    ttft = tpot = share = ""
    if best is not None:
        ttft = _share(best.ttft_s, row.ttft_s)
        tpot = _share(best.tpot_s, row.tpot_s)
        share = _share(row.rate, best.rate)
    return (
        f"{label:27} {row.server:19} {row.done:>6} "
        f"{_ms(row.ttft_s):>9} {ttft:>4} {_ms(row.tpot_s):>8} {tpot:>4} "
        f"{_short(row.rate):>8} {share:>4}"
    )


def _scores(record: CheckRecord) -> Iterator[str]:
    paper, is_full = record.published, record.shape.tokens_divisor == 1
    yield (
        f"{'scored metric':40} {'server':26} {'value':>9} {'x paper':>8} "
        f"{'% roofline':>10}"
    )
    yield _RULE
    for s in _scenarios(record):
        label = f"{s.upper()}  {_SCORED[s]}"
        base = paper.objective(s)
        yield f"{label:40} {_name(paper):26} {_native(s, base):>9}"
        for f in (f for f in _ordered(record) if f.scenario == s):
            yield from _score(f, base if is_full else None)


def _score(f: Finding, base: float | None) -> Iterator[str]:
    """An engine's row and that of its bound; scaled lengths have no base."""
    share = _share(f.objective, f.objective_bound)
    rows = [(f.engine, f.objective, share)]
    if f.objective_bound is not None:
        rows.append(("  its roofline", f.objective_bound, ""))
    for name, value, percent in rows:
        times = "-" if value is None or base is None else f"{value / base:.2f}"
        native = _native(f.scenario, value)
        yield f"{'':40} {name:26} {native:>9} {times:>8} {percent:>10}"


def _name(paper: Published) -> str:
    return f"PyTorch baseline, {paper.hardware}"


def _notes(record: CheckRecord) -> Iterator[str]:
    for note in (*_servers(record), *_reading(record), *_faults(record)):
        yield from textwrap.wrap(note, _WIDTH, subsequent_indent="  ")


def _servers(record: CheckRecord) -> Iterator[str]:
    for engine in dict.fromkeys(f.engine for f in _ordered(record)):
        own = [f for f in _ordered(record) if f.engine == engine]
        ready = max((f.ready_s for f in own if f.ready_s is not None), default=None)
        facts = [] if ready is None else [f"ready in {ready:.1f} s"]
        peaks = [f.gpu.peak_mib for f in own if f.gpu and f.gpu.peak_mib is not None]
        if peaks:
            facts.append(f"GPU memory at most {max(peaks):.0f} MiB")
        joules = [
            f"{f.scenario.upper()} {f.energy_per_token_j:.3g}"
            for f in own
            if f.energy_per_token_j is not None
        ]
        if joules:
            facts.append(f"joules a token {', '.join(joules)}")
        if facts:
            yield f"{engine}: {'; '.join(facts)}"


def _reading(record: CheckRecord) -> Iterator[str]:
    """What the columns mean, and what the published numbers do not say."""
    paper = record.published
    yield (
        f"Baseline: {paper.source}, {paper.hardware}, full lengths. x paper: above 1 "
        "is better, for times too."
    )
    if record.card is not None:
        yield (
            "%: share of what the card allows to the very same requests; one bfloat16 "
            "model, no speculation (docs/metrics.md)."
        )
    if record.shape.tokens_divisor > 1:
        return
    found = {f.scenario: f for f in record.findings}
    if "c" in found:
        tokens = _MEAN_SHARE * found["c"].output_tokens
        answer_s = tokens * paper.b_tpot_s
        rate, published = 1 / answer_s, paper.c_request_rate_per_s
        implied = 1 / (published * paper.b_tpot_s)
        yield (
            f"C: one at a time at {paper.b_tpot_s * 1e3:.0f} ms a token, answers of "
            f"{tokens:.0f} tokens take {answer_s:.0f} s each, {rate:.3f} req/s; "
            f"the published {published} means answers of about {implied:.0f} tokens. "
            "The original's baseline does not read ignore_eos, "
            "so its answers may end early."
        )
    if "d" in found:
        yield "D: the original's harness kept one request in flight; so does 1/1 here."


def _faults(record: CheckRecord) -> Iterator[str]:
    for f in _ordered(record):
        if f.outcome == "failed":
            yield f"FAILED {f.engine}, scenario {f.scenario.upper()}: {f.reason}"
        for p in f.phases:
            for why in p.invalid:
                yield f"INVALID {f.engine}, {f.scenario.upper()} {p.name}: {why}"
    yield from (f"note: {note}" for note in record.hardware.notes)


def _scenarios(record: CheckRecord) -> list[ScenarioId]:
    return sorted({f.scenario for f in record.findings})


def _ordered(record: CheckRecord) -> list[Finding]:
    return sorted(record.findings, key=lambda f: (f.scenario, f.engine))


def _native(scenario: ScenarioId, objective: float | None) -> str:
    """An objective in the unit the paper prints: milliseconds, req/s, a score."""
    if objective is None:
        return "-"
    return _ms(1 / objective) if scenario in ("a", "b") else _short(objective)


def _share(part: float | None, whole: float | None) -> str:
    return "" if part is None or whole is None else f"{100 * part / whole:.0f}"


def _ms(seconds: float | None) -> str:
    return _short(None if seconds is None else seconds * 1e3)


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"
