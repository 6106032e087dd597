"""A check's record as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ibench.stages.gpu_check.record import CheckRecord, Finding
from ibench.stages.gpu_check.settings import Published, ScenarioId
from ibench.terminal import Part, Table

__all__ = ["check_parts"]

_TITLES = {"a": "input-heavy", "b": "output-heavy", "c": "high-load", "d": "general"}
_SCORED = {
    "a": "TTFT p50, ms",
    "b": "TPOT p50, ms",
    "c": "req/s, geometric mean of the phases",
    "d": "cube root of req/s / (TTFT x TPOT)",
}
_MEAN_SHARE = 0.9  # lengths lie between 80 and 100 % of the longest


def check_parts(record: CheckRecord) -> list[Part]:
    """Show what was run, what came phase by phase, the scored metrics, notes."""
    notes = (*_servers(record), *_reading(record), *_faults(record))
    return [*_head(record), "", _phases(record), "", _scores(record), "", *notes]


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


def _phases(record: CheckRecord) -> Table:
    names = ("scenario: tokens", "server", ">done", ">TTFT ms", ">%", ">TPOT ms", ">%")
    rows: list[Sequence[str]] = []
    for scenario in _scenarios(record):
        found = [f for f in _ordered(record) if f.scenario == scenario]
        lengths = f"{found[0].input_tokens} in, {found[0].output_tokens} out"
        label = f"{scenario.upper()}  {_TITLES[scenario]}: {lengths}"
        rows.append([label, *[""] * 8])
        for name in dict.fromkeys(p.name for f in found for p in f.phases):
            rows += _phase(found, name)
        rows += [["", f.engine, f.outcome, *[""] * 6] for f in found if not f.phases]
    return Table((*names, ">req/s", ">%"), rows)


def _phase(found: Sequence[Finding], name: str) -> Iterator[Sequence[str]]:
    """Rows of one phase: engines, then the bounds of each set of requests."""
    pairs = [(f, p) for f in found for p in f.phases if p.name == name]
    label = f"   {name}, {pairs[0][1].concurrency} in flight"
    for finding, p in pairs:
        rate = p.request_rate_per_s or None  # nothing completed: no rate to show
        shares, b = ("", "", ""), p.bounds
        if b is not None:
            shares = (
                _share(b.ttft_p50_s, p.ttft_p50_s),
                _share(b.tpot_p50_s, p.tpot_p50_s),
                _share(rate, b.request_rate_per_s),
            )
        values = (_ms(p.ttft_p50_s), _ms(p.tpot_p50_s), _short(rate))
        pairs_of = [cell for pair in zip(values, shares, strict=True) for cell in pair]
        yield label, finding.engine, f"{p.completed}/{p.requests}", *pairs_of
        label = ""
        if b is not None:
            ttft, tpot = _ms(b.ttft_p50_s), _ms(b.tpot_p50_s)
            rest = (ttft, "", tpot, "", _short(b.request_rate_per_s), "")
            yield "", "  its roofline", "", *rest


def _scores(record: CheckRecord) -> Table:
    paper, is_full = record.published, record.shape.tokens_divisor == 1
    rows: list[Sequence[str]] = []
    for s in _scenarios(record):
        base = paper.objective(s)
        label = f"{s.upper()}  {_SCORED[s]}"
        rows.append((label, _name(paper), _native(s, base), "", ""))
        for f in (f for f in _ordered(record) if f.scenario == s):
            rows += _score(f, base if is_full else None)
    names = ("scored metric", "server", ">value", ">x paper", ">% roofline")
    return Table(names, rows)


def _score(f: Finding, base: float | None) -> Iterator[Sequence[str]]:
    """An engine's row and that of its bound; scaled lengths have no base."""
    share = _share(f.objective, f.objective_bound)
    rows = [(f.engine, f.objective, share)]
    if f.objective_bound is not None:
        rows.append(("  its roofline", f.objective_bound, ""))
    for name, value, percent in rows:
        times = "-" if value is None or base is None else f"{value / base:.2f}"
        yield "", name, _native(f.scenario, value), times, percent


def _name(paper: Published) -> str:
    return f"PyTorch baseline, {paper.hardware}"


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
