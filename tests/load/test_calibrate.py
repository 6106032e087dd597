"""The null server is the truth; both clients are held against it for real."""

from __future__ import annotations

import pytest

from ibench.errors import StageError
from ibench.load.calibrate import Truth, calibrate, compare, null_server, plan
from ibench.load.client import LoadClient, LoadRun
from ibench.load.httpx_client import HttpxClient
from ibench.load.kernel_client import KernelClient
from ibench.load.sse import interpret, parse

pytestmark = [pytest.mark.slow, pytest.mark.measures]


@pytest.mark.parametrize("make", [KernelClient, HttpxClient])
def test_no_chunk_is_lost_and_the_error_is_told(make: type[LoadClient]) -> None:
    found = calibrate(make(), [0] * 64, 8, "before", 0.7)
    assert (found.requests, found.chunks, found.when) == (16, 256, "before")
    assert found.timestamp_source == ("kernel" if make is KernelClient else "user")
    # Sending and receiving take time: what is measured is never shorter than the truth.
    assert 0 < found.ttft_bias_s < 0.1
    assert 0 <= found.ttft_sigma_s < 0.1
    assert found.ttft_error_p99_s >= found.ttft_bias_s / 2
    assert found.ceiling_chunks_per_s == pytest.approx(0.7 / found.cpu_s_per_chunk)


def test_the_null_server_paces_as_it_says_and_logs_everything() -> None:
    with null_server(ttft_s=0.03, tokens_per_s=200) as server:
        run = KernelClient().run(server.base_url, plan([0, 0, 0], 20), 2, 10.0)
        truth = server.end()
    assert sorted(truth) == ["n0", "n1", "n2"]
    for exchange in run.exchanges:
        outcome = interpret(parse(exchange.reads))
        true = truth[exchange.request_id]
        assert len(outcome.chunks) == len(true.sent_ns) == 20
        assert outcome.usage_tokens == 20
        assert true.sent_ns[0] - true.arrived_ns >= 30_000_000
        assert true.sent_ns[-1] - true.sent_ns[0] > 80_000_000
        # Nothing is stamped before it was handed over.
        stamps = [chunk.best_ns for chunk in outcome.chunks]
        late = [a - b for a, b in zip(stamps, true.sent_ns, strict=True)]
        assert min(late) > -20_000  # the two clocks are read some microseconds apart


def test_a_lost_chunk_is_no_calibration() -> None:
    with null_server() as server:
        run = KernelClient().run(server.base_url, plan([0], 5), 1, 10.0)
        truth = server.end()
    short = {"n0": Truth(truth["n0"].arrived_ns, truth["n0"].sent_ns[:-1])}
    with pytest.raises(StageError, match="n0 got 5 chunks, the null server logged 4"):
        compare(run, short, "after", 0.7)
    with pytest.raises(StageError, match="no request"):
        compare(run, {}, "after", 0.7)


def test_a_known_error_is_found() -> None:
    with null_server() as server:
        run = KernelClient().run(server.base_url, plan([0] * 4, 8), 4, 10.0)
        truth = server.end()
    late = {
        name: Truth(t.arrived_ns, tuple(at - 5_000_000 for at in t.sent_ns))
        for name, t in truth.items()
    }
    right = compare(run, truth, "after", 0.7)
    wrong = compare(LoadRun(run.exchanges, run.cost), late, "after", 0.7)
    assert wrong.ttft_bias_s - right.ttft_bias_s == pytest.approx(0.005, abs=1e-6)
    assert wrong.itl_bias_s == pytest.approx(right.itl_bias_s, abs=1e-9)
