"""Rules and techniques with examples that must hold, shell text or output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ibench.analysis.trajectories.events import Event
from ibench.analysis.trajectories.rules import (
    error_in,
    is_benchmark,
    is_evaluation,
    is_install,
    is_launch,
    is_monitor,
    is_stop,
    measurements_of,
    writes_evaluator,
    writes_launcher,
)


@dataclass(frozen=True)
class Rule:
    """A rule as the documentation shows it; examples are shell text or output."""

    name: str
    applies: Callable[[Event], bool]
    yes: tuple[str, ...]
    no: tuple[str, ...]

    @property
    def definition(self) -> str:
        """First line of the function's text."""
        return (self.applies.__doc__ or "").splitlines()[0]


def _has_error(event: Event) -> bool:
    """A result whose output or exit code says that something failed."""
    return error_in(event) is not None


def _has_measurement(event: Event) -> bool:
    """A result that prints a latency, a rate, an accuracy or an objective."""
    return bool(measurements_of(event, None))


RULES: tuple[Rule, ...] = (
    Rule(
        "launch",
        is_launch,
        (
            "nohup vllm serve $MODEL --port 8000 > server.log 2>&1 &",
            "python3 -m sglang.launch_server --model-path m",
            "cd /w && bash start_server.sh &",
        ),
        ("cat start_server.sh", "vllm serve --help", "chmod +x start_server.sh"),
    ),
    Rule(
        "evaluation",
        is_evaluation,
        ("python evaluate.py --quick", "timeout 900 ./evaluate.py | tee out.log"),
        ("cat evaluate.py", "python -m py_compile evaluate.py", "wc -l evaluate.py"),
    ),
    Rule(
        "benchmark",
        is_benchmark,
        (
            "vllm bench serve --model m",
            "python3 my_bench.py",
            "python /tmp/loadtest.py",
        ),
        ("cat bench.py", "python evaluate.py"),
    ),
    Rule(
        "install",
        is_install,
        ("pip install -U vllm", "uv pip install sglang", "git clone https://x/y"),
        ("pip show vllm", "pip list | grep vllm", "echo pip install vllm"),
    ),
    Rule(
        "monitor",
        is_monitor,
        ("sleep 60; tail -5 server.log", "nvidia-smi", "curl -s $URL/v1/models"),
        ("cat scenario.json", "python evaluate.py"),
    ),
    Rule("stop", is_stop, ("pkill -f vllm", "kill -9 123"), ("echo kill", "ps aux")),
    Rule(
        "launcher_written",
        writes_launcher,
        (
            "cat > start_server.sh <<'E'\nexec vllm serve m\nE",
            "sed -i 's/64/128/' ./start_server.sh",
        ),
        ("cat start_server.sh", "cp start_server.sh /tmp/"),
    ),
    Rule(
        "evaluator_edited",
        writes_evaluator,
        ("sed -i 's/500/5/' evaluate.py",),
        ("sed -n 1,40p evaluate.py", "cp evaluate.py /tmp/e.py"),
    ),
    Rule(
        "error",
        _has_error,
        (
            "Traceback (most recent call last)",
            "vllm: error: unrecognized arguments: -x",
        ),
        ("0 errors", "INFO: Application startup complete."),
    ),
    Rule(
        "measurement",
        _has_measurement,
        ('{"objective": 9.4, "accuracy": 0.8}', "TTFT p50: 31.2 ms", "18.7 req/s"),
        ("Avg generation throughput: 90.1 tokens/s", "takes 800 ms", "3 requests"),
    ),
)

TECHNIQUE_EXAMPLES = {
    "quantization": (
        ("try FP8 weights", "--quantization fp8", "quantise it to W8A8"),
        ("--kv-cache-dtype fp8", "fp8 KV cache", "a large quantity of logs"),
    ),
    "speculative_decoding": (
        ("n-gram speculation helps B", "--speculative-config '{}'", "EAGLE-3 head"),
        ("a first draft of the script", "let me not speculate about why"),
    ),
    "chunked_prefill": (
        ("turn chunked prefill off", "--chunked-prefill-size 8192"),
        ("the reply arrives in chunks", "prefill takes 800 ms"),
    ),
    "prefix_caching": (
        ("--enable-prefix-caching", "radix cache", "Prefix caching is useless here"),
        ("the path prefix is /v1", "pip cache dir"),
    ),
    "kv_cache": (
        ("--kv-cache-dtype fp8", "store the KV cache in FP8"),
        ("GPU KV cache usage: 12.5%", "the KV cache holds 90k tokens"),
    ),
    "attention_backend": (
        ("VLLM_ATTENTION_BACKEND=FLASHINFER", "switch to FlashInfer"),
        ("pay attention to the budget", "needs attention"),
    ),
    "compilation": (
        ("--enforce-eager", "capture CUDA graphs up to 64", "torch.compile it"),
        ("python -m compileall .", "draw the graph of results"),
    ),
    "custom_kernels": (
        ("write a fused kernel for the sampler", "@triton.jit\ndef k(x): ..."),
        ("Linux kernel 5.15", "ipykernel"),
    ),
}
