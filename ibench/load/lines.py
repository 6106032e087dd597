"""A phase's numbers as lines of a terminal."""

from __future__ import annotations

from ibench.metrics.phase import PHASE_METRICS
from ibench.records import PhaseSummary, Range
from ibench.terminal import Table

__all__ = ["phase_table"]

_MS = 1e3


def phase_table(phase: PhaseSummary) -> Table:
    """Render one phase: what came, how fast, how sure, how exact, valid or not."""
    failures = ", ".join(f"{kind} {n}" for kind, n in phase.failures.items())
    rows = [
        ("completed", f"{phase.completed} of {phase.requests}", failures),
        *_latencies(phase),
        *_rates(phase),
        *_more(phase),
        *_client(phase),
    ]
    if phase.client is not None:
        verdicts = phase.invalid or ("valid",)
        rows += [("INVALID" if phase.invalid else "timing", v, "") for v in verdicts]
    title = f"{phase.name}: {phase.arrivals}, at most {phase.concurrency} in flight"
    return Table(("number", "value", "beside it"), rows, header=False, title=title)


def _latencies(p: PhaseSummary) -> list[tuple[str, str, str]]:
    tails = f"p90 {_ms(p.ttft_p90_s)}, p99 {_ms(p.ttft_p99_s)}"
    scheduled = f"p50 {_ms(p.ttft_scheduled_p50_s)}, p99 {_ms(p.ttft_scheduled_p99_s)}"
    everything = (
        f"failures as infinite: p50 {_ms(p.ttft_all_p50_s)}, "
        f"p99 {_ms(p.ttft_all_p99_s)}"
    )
    tpot_tails = f"p90 {_ms(p.tpot_p90_s)}, p99 {_ms(p.tpot_p99_s)}"
    return [
        (
            "TTFT p50",
            _ms(p.ttft_p50_s) + _interval(p.ttft_p50_range_s, p.confidence),
            tails,
        ),
        ("  from the schedule", scheduled, everything),
        ("  first byte, first visible", _pair(p.ttfb_p50_s, p.ttft_visible_p50_s), ""),
        (
            "TPOT p50",
            _ms(p.tpot_p50_s) + _interval(p.tpot_p50_range_s, p.confidence),
            tpot_tails,
        ),
        ("ITL p50, p99", _pair(p.itl_p50_s, p.itl_p99_s), ""),
    ]


def _more(p: PhaseSummary) -> list[tuple[str, str, str]]:
    """Numbers that name a title for themselves, in the unit of their name."""
    shown = [metric for metric in PHASE_METRICS if metric.title]
    known = p.model_dump(include={m.name for m in shown}) | p.more
    return [
        (
            m.title,
            "unknown" if known[m.name] is None else f"{known[m.name]:.4g}",
            m.name,
        )
        for m in shown
        if m.name in known
    ]


def _rates(p: PhaseSummary) -> list[tuple[str, str, str]]:
    between = p.request_rate_range_per_s
    sure = (
        f" [{between.low:.4g}, {between.high:.4g}] at {p.confidence:.0%}"
        if between and p.confidence
        else ""
    )
    asked = "as fast as slots allow"
    if p.offered_rate_per_s is not None:
        asked = f"offered {p.offered_rate_per_s:.4g}/s"
    reached = p.achieved_rate_per_s
    sent = "unknown" if reached is None else f"{reached:.4g}/s"
    return [
        ("requests/s", f"{p.request_rate_per_s:.4g}{sure}", f"sent {sent}, {asked}"),
        (
            "output tokens/s",
            f"{p.token_rate_per_s:.4g}",
            f"{p.output_tokens} tokens in {p.wall_s:.2f} s",
        ),
        ("goodput", f"{p.goodput_per_s:.4g} requests/s", "within both SLOs"),
    ]


def _client(p: PhaseSummary) -> list[tuple[str, str, str]]:
    c = p.client
    if c is None:
        return []
    rows = [
        (
            "send lag p50, p99, max",
            ", ".join(map(_ms, (c.send_lag_p50_s, c.send_lag_p99_s, c.send_lag_max_s))),
            f"waiting for a slot p50 {_ms(c.queue_p50_s)}",
        ),
        (
            "client",
            f"{c.timestamp_source} time stamps, read lag p99 {_ms(c.read_lag_p99_s)}",
            f"{c.coalesced_chunks} of {c.chunks} chunks coalesced, "
            f"{(c.cpu_s_per_chunk or 0) * 1e6:.0f} us CPU a chunk",
        ),
    ]
    for found in p.calibration:
        rows.append(
            (
                f"error bar ({found.when})",
                f"TTFT {found.ttft_bias_s * _MS:+.3f} ms, sigma "
                f"{found.ttft_sigma_s * _MS:.3f} ms; ITL sigma "
                f"{found.itl_sigma_s * _MS:.3f} ms",
                "against the null server",
            )
        )
    if p.cache_hit_rate is not None:
        rows.append(("prompt tokens from a cache", f"{p.cache_hit_rate:.1%}", ""))
    if p.stopped_early is not None:
        saved = p.stopped_early
        text = f"{saved.done_requests} of {saved.planned_requests} requests sent"
        rows.append(
            (
                "stopped early",
                text,
                f"{saved.saved_server_s:.0f} s of server time saved",
            )
        )
    return rows


def _ms(seconds: float | str | None) -> str:
    if seconds is None:
        return "-"
    return seconds if isinstance(seconds, str) else f"{seconds * _MS:.2f} ms"


def _pair(first: float | None, second: float | None) -> str:
    return f"{_ms(first)}, {_ms(second)}"


def _interval(found: Range | None, confidence: float | None) -> str:
    if found is None or confidence is None:
        return ""
    return f" [{_ms(found.low)}, {_ms(found.high)}] at {confidence:.0%}"
