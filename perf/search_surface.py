"""A made response surface over the published vLLM space, with a clock of its own.

Every number here is invented; what matters is the shape: a few parameters matter much,
some of them together, a part of the space crashes, and the fastest corner loses the
accuracy that the gate asks for. docs/search.md states the noise model.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from functools import cached_property
from pathlib import Path

import numpy as np

from ibench.methods.search import Config, Space
from ibench.methods.search.space import Value, config_key
from ibench.params import SearchSpace
from ibench.params.files import load_yaml

__all__ = ["FULL", "LAUNCH_S", "QUESTIONS_S", "TEARDOWN_S", "Surface"]

FULL = 128
WARMUP_S, TEARDOWN_S, QUESTIONS_S, CRASH_S = 8.0, 10.0, 60.0, 45.0
LAUNCH_S, EAGER_LAUNCH_S = 180.0, 110.0
REQUEST_SIGMA, LIFE_SIGMA = 0.12, 0.01
ACCURACY_KEPT = {"fp8": 0.85}
TAU = 0.95

# Logarithms of factors; what is not named has the factor 1.
MAIN: dict[str, dict[Value, float]] = {
    "max_num_seqs": {16: -0.30, 32: -0.12},
    "max_num_batched_tokens": {1024: -0.10, 2048: -0.03},
    "gpu_memory_utilization": {0.80: -0.01},
    "enforce_eager": {True: -0.25},
    "quantization": {"fp8": 0.15},
    "kv_cache_dtype": {"fp8": 0.01},
    "attention_backend": {"TRITON_ATTN": -0.05},
    "num_speculative_tokens": {3: 0.02, 5: 0.02, 7: -0.03},
}


class Surface:
    """Truth, measurements and times of every configuration.

    Args:
        params: the parameter folder.
    """

    def __init__(self, params: Path) -> None:
        """Read the published space."""
        spec = load_yaml(SearchSpace, params / "search" / "vllm.yaml")
        self.space = Space({"vllm": spec.parameters})

    @staticmethod
    def truth(config: Config) -> float:
        """Requests per second of a configuration that does not crash."""
        seqs = int(config["max_num_seqs"])
        speculates = int(config["num_speculative_tokens"]) > 0
        small = int(config["max_num_batched_tokens"]) <= 2048
        fp8_kv = config["kv_cache_dtype"] == "fp8"
        log = math.fsum(effects.get(config[n], 0.0) for n, effects in MAIN.items())
        log -= 0.12 * (speculates and seqs >= 256)
        log -= 0.08 * (small and seqs >= 256)
        log += 0.01 * (fp8_kv and config["attention_backend"] == "FLASHINFER")
        return math.exp(log)

    @staticmethod
    def crash(config: Config) -> str | None:
        """Name what a configuration dies of."""
        chunked = config["enable_chunked_prefill"]
        if not chunked and int(config["max_num_batched_tokens"]) <= 4096:
            return "incompatible"
        if config["kv_cache_dtype"] == "fp8" and config["attention_backend"] == (
            "FLASH_ATTN"
        ):
            return "incompatible"
        full = float(config["gpu_memory_utilization"]) > 0.92
        if full and int(config["max_num_seqs"]) == 512:
            return "out_of_memory"
        return None

    @staticmethod
    def passes(config: Config) -> bool:
        """Whether the accuracy gate lets a configuration through."""
        return ACCURACY_KEPT.get(str(config["quantization"]), 1.0) >= TAU

    @cached_property
    def configs(self) -> list[Config]:
        """Every configuration."""
        own = self.space.own("vllm")
        names = [name for _, name, _ in own]
        products = itertools.product(*(values for _, _, values in own))
        return [dict(zip(names, values, strict=True)) for values in products]

    @cached_property
    def best(self) -> float:
        """Truth of the best configuration that runs and passes the gate."""
        return max(self.truth(c) for c in self.configs if self.is_valid(c))

    def is_valid(self, config: Config) -> bool:
        """Whether a configuration runs and passes the gate."""
        return self.crash(config) is None and self.passes(config)

    def share_within(self, regret: float) -> float:
        """Share of the whole space that is valid and that close to the best."""
        good = [
            c
            for c in self.configs
            if self.is_valid(c) and self.truth(c) >= (1 - regret) * self.best
        ]
        return len(good) / self.space.size

    def measure(self, config: Config, requests: int, seed: int, life: str) -> float:
        """Objective from the first requests of one server life."""
        digest = hashlib.sha256(f"{seed}:{life}:{config_key(config)}".encode()).digest()
        draws = np.random.default_rng(list(digest)).normal(size=FULL + 1)
        noise = REQUEST_SIGMA * draws[1 : requests + 1].mean() + LIFE_SIGMA * draws[0]
        return self.truth(config) * math.exp(noise)

    @staticmethod
    def launch_s(config: Config) -> float:
        """Seconds to ready; graphs and compilation take most of them."""
        return EAGER_LAUNCH_S if config["enforce_eager"] else LAUNCH_S

    def crash_s(self, config: Config) -> float:
        """Seconds to the crash: at once, or when memory is filled."""
        late = self.crash(config) == "out_of_memory"
        return self.launch_s(config) if late else CRASH_S

    def load_s(self, config: Config, requests: int) -> float:
        """Seconds of warm-up and load."""
        return WARMUP_S + requests / self.truth(config)
