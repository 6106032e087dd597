"""How exact the client was: error bars beside the scores, phase by phase."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from ibench.analysis.frames import Run

__all__ = ["exactness_paragraph", "exactness_table", "timing_rows"]

_MS = 1e3
_REASONS = 8


def timing_rows(run: Run) -> list[dict[str, Any]]:
    """One row per measured phase: the client's error bars and its validity."""
    rows = []
    for phase in run.evidence.phases:
        client = phase.client
        biases = [c.ttft_bias_s for c in phase.calibration]
        sigmas = [c.ttft_sigma_s for c in phase.calibration]
        rows.append(
            {
                "scenario": run.scenario,
                "method": run.method,
                "seeds": run.seeds,
                "phase": phase.name,
                "source": client.timestamp_source if client else None,
                "ttft_p50_s": phase.ttft_p50_s,
                "ttft_bias_s": max(biases, key=abs, default=None),
                "ttft_sigma_s": max(sigmas, default=None),
                "read_lag_p99_s": client.read_lag_p99_s if client else None,
                "send_lag_p99_s": client.send_lag_p99_s if client else None,
                "chunks": client.chunks if client else 0,
                "coalesced": client.coalesced_chunks if client else 0,
                "cpu_s_per_chunk": client.cpu_s_per_chunk if client else None,
                "invalid": "; ".join(phase.invalid),
            }
        )
    return rows


def exactness_paragraph(timing: pd.DataFrame) -> str:
    """Say what took the time, how far off it is, and which points are invalid."""
    if timing.empty:
        return "No phase was measured."
    kernel = int((timing.source == "kernel").sum())
    invalid = timing[timing.invalid != ""]
    bias_ms = timing.ttft_bias_s.astype(float).abs().max() * _MS
    bias = (
        "The client was not held against a null server"
        if math.isnan(bias_ms)
        else "Against a null server with known pacing, before and after each phase, "
        f"the client's TTFT was off by at most {bias_ms:.3f} ms on average"
    )
    coalesced = timing.coalesced.sum() / max(timing.chunks.sum(), 1)
    text = (
        f"{kernel} of {len(timing)} phases were timed by kernel receive stamps. "
        f"{bias}; {coalesced:.1%} of the chunks came out of one read with the chunk "
        "before them. "
    )
    if invalid.empty:
        return text + "**No point is invalid.**"
    reasons = [
        f"- {str(row['scenario']).upper()}, {row['method']}, seeds {row['seeds']}, "
        f"{row['phase']}: {row['invalid']}"
        for row in invalid.head(_REASONS).to_dict("records")
    ]
    more = len(invalid) - len(reasons)
    tail = [f"- and {more} more"] if more else []
    return "\n".join(
        [
            f"{text}**{len(invalid)} of {len(timing)} phases are INVALID** by the "
            "profile's limits; their runs keep a score only where the gates do not "
            "require valid timing.\n",
            *reasons,
            *tail,
        ]
    )


def exactness_table(timing: pd.DataFrame) -> pd.DataFrame:
    """The error bars per phase in milliseconds, invalid points first."""
    if timing.empty:
        return timing
    ordered = timing.sort_values("invalid", ascending=False, kind="stable")
    return pd.DataFrame(
        {
            "scenario": ordered.scenario.str.upper(),
            "method": ordered.method,
            "seeds": ordered.seeds,
            "phase": ordered.phase,
            "valid": ordered.invalid.map(lambda why: "INVALID" if why else "yes"),
            "TTFT p50 (ms)": ordered.ttft_p50_s.astype(float) * _MS,
            "bias (ms)": ordered.ttft_bias_s.astype(float) * _MS,
            "sigma (ms)": ordered.ttft_sigma_s.astype(float) * _MS,
            "read lag p99 (ms)": ordered.read_lag_p99_s.astype(float) * _MS,
            "send lag p99 (ms)": ordered.send_lag_p99_s.astype(float) * _MS,
            "coalesced": ordered.coalesced / ordered.chunks.clip(lower=1),
        }
    )
