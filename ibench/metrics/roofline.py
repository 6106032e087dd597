"""What no server on a card can beat, at its datasheet's bandwidth and FLOPs.

The bounds hold for one bfloat16 model without speculation, which makes several tokens
out of one reading of the weights. Formulas: docs/metrics.md.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from ibench.params import ModelSpec
from ibench.params.hosts import Host
from ibench.params.shape import Shape
from ibench.records import Closed

__all__ = [
    "Bounds",
    "Card",
    "Lengths",
    "Roof",
    "bounds",
    "card_of",
    "generous",
    "objective_bound",
    "roof_of",
    "tpot_bound_s",
    "ttft_bound_s",
]  # fmt: skip

SMALLEST_WEIGHT = 4
"""A weight or a cached number of 4 bits is a fourth of a bfloat16 one."""
TOKENS_A_READING = 8
"""Tokens that speculation makes out of one reading of the weights, at most."""
FASTER_ARITHMETIC = 2
"""Dense 8-bit arithmetic over bfloat16 on the cards of ``params/hosts``."""


class Card(Closed):
    """One GPU by its datasheet."""

    host: str
    bandwidth_bytes_per_s: float
    flops_per_s: float


class Roof(NamedTuple):
    """What serves what: the card and the shape of the base model."""

    card: Card
    shape: Shape


def card_of(host: Host) -> Card | None:
    """The datasheet of a host's card; None where its file does not know it."""
    if host.gpu_bandwidth_gb_per_s is None or host.gpu_bf16_tflops is None:
        return None
    return Card(
        host=host.name,
        bandwidth_bytes_per_s=host.gpu_bandwidth_gb_per_s * 1e9,
        flops_per_s=host.gpu_bf16_tflops * 1e12,
    )


def roof_of(host: Host, model: ModelSpec) -> Roof | None:
    """Card and shape, where the files know both."""
    card = card_of(host)
    if card is None or model.shape is None:
        return None
    return Roof(card, model.shape)


def generous(card: Card) -> Card:
    """The card as no honest server of the base model could use it better.

    The bandwidth of 4-bit weights and caches, read once for eight tokens of a draft
    that is always right; the arithmetic of 8-bit numbers.
    """
    return Card(
        host=card.host,
        bandwidth_bytes_per_s=card.bandwidth_bytes_per_s
        * SMALLEST_WEIGHT
        * TOKENS_A_READING,
        flops_per_s=card.flops_per_s * FASTER_ARITHMETIC,
    )


class Lengths(NamedTuple):
    """Tokens of one request."""

    input_tokens: int
    output_tokens: int

    @property
    def mean_context(self) -> float:
        """Tokens that a generated one attends to, on average over the answer."""
        return self.input_tokens + self.output_tokens / 2


class Bounds(Closed):
    """The best that one phase could show: latencies from below, the rate from above."""

    ttft_p50_s: float
    tpot_p50_s: float
    request_rate_per_s: float


def ttft_bound_s(shape: Shape, card: Card, input_tokens: int) -> float:
    """Time to first token, seconds: ``max(FLOPs / peak, weights / bandwidth)``."""
    compute = shape.prefill_flops(input_tokens) / card.flops_per_s
    return max(compute, shape.step_weight_bytes / card.bandwidth_bytes_per_s)


def tpot_bound_s(shape: Shape, card: Card, lengths: Lengths) -> float:
    """Time per output token of a request by itself, seconds.

    ``max((weights + KV of the mean context) / bandwidth, FLOPs / peak)``.
    """
    kv = shape.kv_bytes_per_token * lengths.mean_context
    read = (shape.step_weight_bytes + kv) / card.bandwidth_bytes_per_s
    return max(read, shape.decode_flops(lengths.mean_context) / card.flops_per_s)


def bounds(
    shape: Shape, card: Card, requests: Sequence[Lengths], concurrency: int
) -> Bounds:
    """Bound a phase by its own requests; medians stand beside medians.

    Args:
        shape: of the model.
        card: what it runs on.
        requests: every request of the phase.
        concurrency: in flight at most.
    """
    ttft = [ttft_bound_s(shape, card, r.input_tokens) for r in requests]
    tpot = [tpot_bound_s(shape, card, r) for r in requests]
    return Bounds(
        ttft_p50_s=statistics.median(ttft),
        tpot_p50_s=statistics.median(tpot),
        request_rate_per_s=len(requests) / _wall_s(shape, card, requests, concurrency),
    )


def objective_bound(kind: str, phases: Sequence[Bounds]) -> float:
    """The objective (``metrics.objective``) of a server at every bound."""
    if kind == "request_rate":
        return statistics.geometric_mean(b.request_rate_per_s for b in phases)
    best = phases[0]
    if kind == "ttft":
        return 1 / best.ttft_p50_s
    if kind == "tpot":
        return 1 / best.tpot_p50_s
    return math.cbrt(best.request_rate_per_s / (best.ttft_p50_s * best.tpot_p50_s))


def _wall_s(
    shape: Shape, card: Card, requests: Sequence[Lengths], concurrency: int
) -> float:
    """Shortest time for all requests: the largest of three that must pass anyway.

    Bytes: every step shares one reading of the weights among at most ``concurrency``
    tokens, and each token reads its own context. FLOPs: of all prompts and tokens.
    Slots: each request takes its TTFT and its later tokens, ``concurrency`` at a time.
    """
    slots = min(concurrency, len(requests))
    later = [r.output_tokens - 1 for r in requests]
    steps = sum(later) / slots
    contexts = math.fsum(
        n * r.mean_context for n, r in zip(later, requests, strict=True)
    )
    read = steps * shape.step_weight_bytes + contexts * shape.kv_bytes_per_token
    flops = math.fsum(
        shape.prefill_flops(r.input_tokens) + n * shape.decode_flops(r.mean_context)
        for n, r in zip(later, requests, strict=True)
    )
    alone = math.fsum(
        ttft_bound_s(shape, card, r.input_tokens) + n * tpot_bound_s(shape, card, r)
        for n, r in zip(later, requests, strict=True)
    )
    return max(
        read / card.bandwidth_bytes_per_s, flops / card.flops_per_s, alone / slots
    )
