"""Which numbers are watched, and when a run has seen enough of them."""

from __future__ import annotations

import random

import pytest

from ibench.load.client import Finished
from ibench.load.stopping import monitor
from ibench.params import ClientSpec, Measure, Stopping

MS = 1_000_000


def _settings(stopping: Stopping | None) -> Measure:
    return Measure(
        warmup_requests=1,
        request_timeout_s=1,
        ready_timeout_s=1,
        min_length_ratio=0.9,
        ttft_slo_s=1,
        tpot_slo_s=1,
        client=ClientSpec(),
        stopping=stopping,
    )


def _sent(kind: str, *, ttft_sd: float, decode_sd: float) -> int:
    """How many of 4,000 requests are sent, with these relative spreads."""
    enough = monitor(
        kind, _settings(Stopping(relative_half_width=0.02, minimum_requests=20))
    )
    assert enough is not None
    draw = random.Random(5)
    for i in range(4000):
        first = round(20 * MS * draw.lognormvariate(0, ttft_sd))
        decode = round(80 * MS * draw.lognormvariate(0, decode_sd))
        start = i * 100 * MS
        if enough(Finished(start, start + first, start + first + decode)):
            return i + 1
    return 4000


def test_nothing_asked_nothing_watched() -> None:
    assert monitor("ttft", _settings(None)) is None


@pytest.mark.parametrize(
    ("kind", "quiet", "noisy"),
    [
        ("ttft", {"ttft_sd": 0.01, "decode_sd": 2}, {"ttft_sd": 0.3, "decode_sd": 0}),
        ("tpot", {"ttft_sd": 2, "decode_sd": 0.01}, {"ttft_sd": 0, "decode_sd": 0.3}),
    ],
)
def test_only_what_makes_the_objective_is_watched(
    kind: str, quiet: dict[str, float], noisy: dict[str, float]
) -> None:
    few, many = _sent(kind, **quiet), _sent(kind, **noisy)
    assert 20 <= few < 60
    assert many > 5 * few


def test_the_balanced_objective_waits_for_both() -> None:
    both = _sent("balanced", ttft_sd=0.3, decode_sd=0.01)
    assert both >= _sent("ttft", ttft_sd=0.3, decode_sd=0.01)


def test_a_steady_rate_is_known_soon() -> None:
    assert 20 <= _sent("request_rate", ttft_sd=0, decode_sd=0) < 400
