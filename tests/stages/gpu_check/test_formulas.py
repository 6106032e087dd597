"""Counts of Mistral-7B against numbers made by hand, bounds against a small sum."""

from __future__ import annotations

import csv

import pytest

from ibench import REPOSITORY
from ibench.metrics.roofline import (
    Card,
    Lengths,
    bounds,
    objective_bound,
    tpot_bound_s,
    ttft_bound_s,
)
from ibench.params.files import load_yaml
from ibench.params.hosts import Host
from ibench.params.shape import Shape
from ibench.stages.gpu_check.settings import load_settings, needed_gpu_bytes, shortened

PARAMS = REPOSITORY / "params"
SETTINGS = load_settings(PARAMS)
MISTRAL = SETTINGS.shapes["mistral-7b"]
# One byte and one FLOP a second, ten times as many FLOPs: bounds are sums by hand.
SLOW = Card(host="slow", bandwidth_bytes_per_s=1.0, flops_per_s=10.0)
H100 = Card(host="h100", bandwidth_bytes_per_s=3.35e12, flops_per_s=989e12)


def test_mistral_7b_has_the_published_number_of_weights() -> None:
    # A layer: q and o 4096 x 4096, k and v 4096 x 1024, three of 4096 x 14336.
    layer = 2 * 16_777_216 + 2 * 4_194_304 + 3 * 58_720_256
    assert MISTRAL.layer_matrix_parameters == 32 * layer == 6_979_321_856
    # Two tables of 32,768 x 4,096 and 65 norms of 4,096.
    assert MISTRAL.parameters == 6_979_321_856 + 268_435_456 + 266_240
    assert MISTRAL.parameters == 7_248_023_552
    assert MISTRAL.weight_bytes == 14_496_047_104
    assert MISTRAL.step_weight_bytes == 14_496_047_104 - 2 * 134_217_728


def test_mistral_7b_keeps_128_kib_a_token() -> None:
    # Keys and values, 32 layers, 8 heads of 128 numbers of two bytes.
    assert MISTRAL.kv_bytes_per_token == 2 * 32 * 8 * 128 * 2 == 131_072


def test_flops_are_two_a_weight_and_four_a_pair_of_tokens() -> None:
    assert MISTRAL.decode_flops(0) == 2 * (6_979_321_856 + 134_217_728)
    assert MISTRAL.decode_flops(1000) - MISTRAL.decode_flops(0) == 1000 * 524_288
    # A prompt of one token is one decoded token that attends to itself.
    assert MISTRAL.prefill_flops(1) == MISTRAL.decode_flops(1)
    # Two more tokens: two passes of the layers, three and four pairs would be seven.
    more = MISTRAL.prefill_flops(4) - MISTRAL.prefill_flops(2)
    assert more == 2 * 2 * 6_979_321_856 + (3 + 4) * 524_288


def test_a_long_prompt_is_bound_by_flops_and_a_short_one_by_bytes() -> None:
    assert ttft_bound_s(MISTRAL, H100, 8192) == pytest.approx(0.1334, rel=1e-3)
    assert ttft_bound_s(MISTRAL, H100, 16) == pytest.approx(14.2276e9 / 3.35e12)


def test_a_token_is_bound_by_weights_and_its_context() -> None:
    found = tpot_bound_s(MISTRAL, H100, Lengths(1000, 2000))
    assert found == pytest.approx((14_227_611_648 + 2000 * 131_072) / 3.35e12)


SMALL = Shape(
    vocab_size=512,
    hidden_size=8,
    intermediate_size=8,
    layers=1,
    heads=1,
    kv_heads=1,
    head_dim=2,
    max_position_embeddings=64,
    rope_theta=1e4,
)


def test_one_at_a_time_a_phase_takes_all_its_requests_after_each_other() -> None:
    asked = [Lengths(10, 4), Lengths(20, 8)]
    alone = [
        ttft_bound_s(SMALL, SLOW, r.input_tokens)
        + (r.output_tokens - 1) * tpot_bound_s(SMALL, SLOW, r)
        for r in asked
    ]
    found = bounds(SMALL, SLOW, asked, 1)
    assert found.request_rate_per_s == pytest.approx(2 / sum(alone))
    assert found.ttft_p50_s == pytest.approx(
        (ttft_bound_s(SMALL, SLOW, 10) + ttft_bound_s(SMALL, SLOW, 20)) / 2
    )


def test_slots_share_the_reading_of_weights_and_nothing_else() -> None:
    rate = {k: _rate(MISTRAL, [Lengths(900, 900)] * 64, k) for k in (1, 2, 64, 128)}
    assert 1.95 * rate[1] < rate[2] < 2 * rate[1]  # each reads its own context
    assert 30 * rate[1] < rate[64] < 64 * rate[1]
    assert rate[128] == rate[64]  # there are 64 requests


def test_many_slots_are_bound_by_bytes_then_by_flops() -> None:
    asked = [Lengths(900, 900)] * 64
    later = 64 * 899
    read = 899 * 14_227_611_648 + later * 1350 * 131_072
    slow_memory = H100.model_copy(update={"flops_per_s": 1e18})
    found = bounds(MISTRAL, slow_memory, asked, 64).request_rate_per_s
    assert found == pytest.approx(64 / (read / 3.35e12), rel=1e-2)
    slow_compute = H100.model_copy(update={"bandwidth_bytes_per_s": 1e18})
    flops = 64 * MISTRAL.prefill_flops(900) + later * MISTRAL.decode_flops(1350)
    found = bounds(MISTRAL, slow_compute, asked, 64).request_rate_per_s
    assert found == pytest.approx(64 / (flops / 989e12), rel=1e-6)


def _rate(shape: Shape, asked: list[Lengths], concurrency: int) -> float:
    return bounds(shape, H100, asked, concurrency).request_rate_per_s


def test_the_bound_of_an_objective_is_the_objective_at_the_bounds() -> None:
    best = bounds(MISTRAL, H100, [Lengths(900, 900)], 1)
    assert objective_bound("ttft", [best]) == 1 / best.ttft_p50_s
    assert objective_bound("tpot", [best]) == 1 / best.tpot_p50_s
    assert objective_bound("request_rate", [best] * 3) == pytest.approx(
        best.request_rate_per_s
    )
    cubed = best.request_rate_per_s / (best.ttft_p50_s * best.tpot_p50_s)
    assert objective_bound("balanced", [best]) ** 3 == pytest.approx(cubed)


def test_the_reference_needs_ten_minutes_at_the_published_speed() -> None:
    seconds = 0.0
    for name, counts in SETTINGS.engines["reference"].requests.items():
        scenario, _ = shortened(PARAMS, name, MISTRAL, counts)
        ttft = SETTINGS.published.a_ttft_s if name == "a" else 0.0
        answer = 0.9 * scenario.output_tokens * SETTINGS.published.b_tpot_s
        seconds += sum(counts.values()) * (ttft + answer)
    assert seconds / 60 == pytest.approx(10.1, abs=0.1)


def test_lengths_are_full_and_only_the_counts_are_cut() -> None:
    counts = SETTINGS.engines["transformers-serve"].requests["c"]
    scenario, seed = shortened(PARAMS, "c", MISTRAL, counts)
    assert (scenario.input_tokens, scenario.output_tokens) == (1024, 1024)
    assert [(p.concurrency, p.rate_per_s, p.requests) for p in scenario.phases] == [
        (64, None, 64),
        (32, 32.0, 32),
        (16, 16.0, 16),
    ]
    # Nothing is scored here: the evaluation seed stays with the stages that score.
    assert (seed, scenario.range_ratio) == (21, 0.8)


def test_memory_holds_weights_and_every_slot_at_its_longest() -> None:
    counts = SETTINGS.engines["transformers-serve"].requests["c"]
    scenario, _ = shortened(PARAMS, "c", MISTRAL, counts)
    kv = 64 * 2048 * 131_072
    assert needed_gpu_bytes(MISTRAL, [scenario]) == 14_496_047_104 + kv + 2 * 2**30


def test_the_baseline_is_the_published_one() -> None:
    path = REPOSITORY / "results/published/paper_table11_native_units.csv"
    with path.open() as stream:
        row = next(r for r in csv.DictReader(stream) if r["kind"] == "baseline")
    paper = SETTINGS.published
    assert paper.a_ttft_s * 1e3 == float(row["a_ttft_ms"])
    assert paper.b_tpot_s * 1e3 == float(row["b_tpot_ms"])
    assert paper.c_request_rate_per_s == float(row["c_req_per_s"])
    assert paper.d_objective == float(row["d_score"])


@pytest.mark.parametrize("name", ["h100", "h200", "a100"])
def test_a_host_with_a_gpu_has_its_datasheet(name: str) -> None:
    host = load_yaml(Host, PARAMS / "hosts" / f"{name}.yaml")
    known = {"h100": (3350, 989), "h200": (4800, 989), "a100": (2039, 312)}
    assert (host.gpu_bandwidth_gb_per_s, host.gpu_bf16_tflops) == known[name]


def test_a_bandwidth_without_flops_is_refused() -> None:
    host = load_yaml(Host, PARAMS / "hosts" / "h100.yaml").model_dump()
    with pytest.raises(ValueError, match="goes with gpu_bf16_tflops"):
        Host.model_validate(host | {"gpu_bf16_tflops": None})
