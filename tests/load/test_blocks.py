from __future__ import annotations

from collections.abc import Sequence

import pytest

from ibench.load.blocks import (
    blocks_of,
    joined_costs,
    one_after_the_other,
    parts_of,
)
from ibench.metrics.requests import ttft_s, wall_s
from ibench.params import Measure, Phase, Scenario
from ibench.records import Chunk, ClientCost, RequestResult, RequestSpec
from ibench.workloads import Workload


def request(number: int) -> RequestSpec:
    return RequestSpec(
        request_id=f"r{number}",
        messages=({"role": "user", "content": "text"},),
        max_tokens=4,
        temperature=0.0,
        ignore_eos=True,
        document_id="d",
        target_input_tokens=1,
        input_tokens=1,
        source_tokens=1,
        content_hash="0" * 64,
    )


def scenario(*phases: Phase) -> Scenario:
    return Scenario(
        id="x",
        name="x",
        mission="x",
        input_tokens=1,
        output_tokens=4,
        range_ratio=1.0,
        temperature=0.0,
        ignore_eos=True,
        max_model_tokens=8,
        objective="ttft",
        phases=phases,
    )


def measure(blocks: int) -> Measure:
    return Measure(
        warmup_requests=1,
        request_timeout_s=1.0,
        ready_timeout_s=1.0,
        min_length_ratio=1.0,
        ttft_slo_s=1.0,
        tpot_slo_s=1.0,
        blocks=blocks,
    )


@pytest.mark.parametrize(
    ("requests", "concurrency", "most", "found"),
    [(12, 1, 6, 6), (12, 6, 6, 2), (5, 1, 6, 5), (3, 8, 6, 1), (7, 2, 2, 2)],
)
def test_a_block_fills_the_concurrency(
    requests: int, concurrency: int, most: int, found: int
) -> None:
    assert blocks_of(requests, concurrency, most) == found


@pytest.mark.parametrize("lives", [1, 2, 3])
def test_lives_share_every_request_of_every_phase_once(lives: int) -> None:
    burst = Phase(name="burst", arrivals="burst", concurrency=1, requests=7)
    rate = Phase(
        name="rate", arrivals="poisson", rate_per_s=9.0, concurrency=2, requests=8
    )
    drawn = Workload(7, tuple(request(i) for i in range(15)), ())
    parts = parts_of(scenario(burst, rate), drawn, measure(4))
    sent = [
        r.request_id
        for life in range(lives)
        for part in parts
        for block in part.shared(life, lives).blocks
        for r in block.requests
    ]
    assert sorted(sent) == sorted(r.request_id for r in drawn.requests)
    for part in parts:
        at = 0
        for block in part.blocks:
            assert block.offsets_ns[0] == 0
            own = part.offsets_ns[at : at + len(block.requests)]
            assert [o - own[0] for o in own] == list(block.offsets_ns)
            at += len(block.requests)


def result(name: str, at_ns: int) -> RequestResult:
    return RequestResult(
        request_id=name,
        phase="p",
        scheduled_ns=at_ns,
        sent_ns=at_ns,
        first_byte_ns=at_ns + 10,
        first_token_ns=at_ns + 10,
        last_token_ns=at_ns + 30,
        end_ns=at_ns + 30,
        status=200,
        failure=None,
        error=None,
        text="ab",
        finish_reason="length",
        tokens=2,
        usage_tokens=2,
        prompt_tokens=1,
        requested_tokens=2,
        model=None,
        first_text="a",
        chunks=(
            Chunk(t_read_ns=at_ns + 11, t_recv_ns=at_ns + 10, text="a", n_tokens=1),
            Chunk(t_read_ns=at_ns + 30, t_recv_ns=None, text="b", n_tokens=1),
        ),
    )


def test_time_stands_still_while_the_other_server_has_its_turn() -> None:
    blocks: Sequence[Sequence[RequestResult]] = [
        [result("a", 1000)], [], [result("b", 9000), result("c", 9005)],
    ]  # fmt: skip
    moved = one_after_the_other(blocks)
    assert wall_s(moved) == pytest.approx(65e-9)  # 30 of the first, 35 of the second
    assert [ttft_s(r) for r in moved] == [pytest.approx(10e-9)] * 3
    assert moved[0] == blocks[0][0]
    assert moved[1].chunks[0].t_recv_ns == moved[1].first_token_ns
    assert moved[1].chunks[0].t_read_ns - moved[1].first_token_ns == 1  # type: ignore[operator]


def test_costs_are_as_bad_as_the_worst_of_them() -> None:
    def cost(source: str, drift_s: float | None) -> ClientCost:
        return ClientCost.model_validate(
            {
                "timestamp_source": source,
                "processes": 1,
                "cpu_s": 0.5,
                "clock_drift_s": drift_s,
                "resent": 1,
            }
        )

    joined = joined_costs([cost("kernel", 1e-6), cost("user", -3e-6)])
    assert (joined.timestamp_source, joined.clock_drift_s) == ("user", -3e-6)
    assert (joined.cpu_s, joined.resent) == (1.0, 2)
