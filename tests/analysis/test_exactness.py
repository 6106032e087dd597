"""Error bars in the report: what is invalid stands first, with its reason."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ibench.analysis.exactness import (
    exactness_paragraph,
    exactness_table,
    timing_rows,
)
from ibench.analysis.frames import Run
from ibench.records import Calibration, ClientHealth
from tests.factories import evidence, phase

CLIENT = ClientHealth(
    timestamp_source="kernel", processes=1, cpu_s=0.1, clock_drift_s=0.0, resent=0,
    chunks=100, coalesced_chunks=10, chunks_per_s=50.0, cpu_s_per_chunk=1e-5,
    cpu_share=0.01, read_lag_p50_s=1e-5, read_lag_p99_s=2e-4, read_lag_max_s=1e-3,
    send_lag_p50_s=1e-5, send_lag_p99_s=1e-4, send_lag_max_s=1e-3,
    queue_p50_s=0.0, queue_p99_s=0.0,
)  # fmt: skip
BAR = Calibration(
    when="before", timestamp_source="kernel", requests=4, chunks=64,
    ttft_bias_s=2e-5, ttft_sigma_s=1e-5, ttft_error_p99_s=4e-5, itl_bias_s=0.0,
    itl_sigma_s=1e-5, chunk_error_p99_s=5e-5, cpu_s_per_chunk=1e-5,
    ceiling_chunks_per_s=7e4,
)  # fmt: skip
WORSE = BAR.model_copy(update={"when": "after", "ttft_bias_s": -3e-5})


def _frame(*invalid: tuple[str, ...]) -> pd.DataFrame:
    phases = tuple(
        phase(name=f"p{i}", client=CLIENT, calibration=(BAR, WORSE), invalid=why)
        for i, why in enumerate(invalid)
    )
    unused: Any = None  # only the evidence is looked at
    run = Run(
        "a",
        "careful",
        "agent",
        "21-1337",
        unused,
        evidence(phases=phases),
        unused,
    )
    return pd.DataFrame(timing_rows(run))


def test_the_worse_calibration_and_the_share_of_coalesced_chunks_count() -> None:
    frame = _frame((), ())
    assert list(frame.ttft_bias_s) == [-3e-5, -3e-5]
    text = exactness_paragraph(frame)
    assert "2 of 2 phases were timed by kernel receive stamps" in text
    assert "0.030 ms" in text
    assert "10.0%" in text
    assert "No point is invalid" in text


def test_invalid_points_stand_first_and_say_why() -> None:
    frame = _frame((), ("send lag p99 is 1 s, the limit 0.1 s",), ())
    assert list(exactness_table(frame).phase) == ["p1", "p0", "p2"]
    assert list(exactness_table(frame).valid) == ["INVALID", "yes", "yes"]
    text = exactness_paragraph(frame)
    assert "1 of 3 phases are INVALID" in text
    assert "- A, careful, seeds 21-1337, p1: send lag p99 is 1 s" in text


def test_a_client_without_calibration_has_an_unknown_bias() -> None:
    frame = _frame((), ()).assign(ttft_bias_s=None)
    text = exactness_paragraph(frame)
    assert "The client was not held against a null server; 10.0%" in text


def test_nothing_measured_is_said() -> None:
    assert exactness_paragraph(pd.DataFrame()) == "No phase was measured."
    assert exactness_table(pd.DataFrame()).empty
