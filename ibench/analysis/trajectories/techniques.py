"""Techniques as data: what counts as a mention, and which arguments turn one on.

A mention is a name in what the agent says, thinks, types or writes; the task's prompt
and tools' output name techniques that nobody tried. Patterns run on lower-case text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ibench.analysis.trajectories.events import Family
from ibench.records import Closed

__all__ = ["FLAG_FAMILIES", "TECHNIQUES", "TechniqueRule", "mentioned", "of_flag"]


class TechniqueRule(Closed):
    """One technique.

    Attributes:
        name: a family of the optimization tier.
        hint: literal words, one of which every mention contains; a cheap first look.
        pattern: what a mention matches, lower case.
        flags: prefixes of arguments and variables that belong to it.
        yes: texts that mention it.
        no: texts that do not.
    """

    name: Family
    hint: tuple[str, ...]
    pattern: str
    flags: tuple[str, ...]
    yes: tuple[str, ...]
    no: tuple[str, ...]


TECHNIQUES: tuple[TechniqueRule, ...] = (
    TechniqueRule(
        name="quantization",
        hint=(
            "quant",
            "fp8",
            "int8",
            "int4",
            "awq",
            "gptq",
            "w8a8",
            "w4a16",
            "marlin",
            "nf4",
            "bitsandbytes",
            "nvfp4",
        ),
        pattern=(
            r"\b(?:quanti[sz](?:e[ds]?|ing|ation)"
            r"|(?:weight|activation)s? in (?:fp8|int8)|awq|gptq|w8a8|w4a16|int[48]"
            r"|nf4|bitsandbytes|marlin|nvfp4)\b|--quanti"
            r"|(?<!kv_cache_dtype )(?<!kv-cache-dtype )(?<!kv cache )"
            r"(?<!kv-cache-dtype=)"
            r"\bfp8\b(?! kv)(?![_-]e\dm\d kv)"
        ),
        flags=("quantization", "quantize", "load-format", "torchao-config"),
        yes=("try FP8 weights", "--quantization fp8", "quantise it to W8A8"),
        no=("--kv-cache-dtype fp8", "fp8 KV cache", "a large quantity of logs"),
    ),
    TechniqueRule(
        name="speculative_decoding",
        hint=("specul", "ngram", "n-gram", "eagle", "medusa", "draft", "lookup"),
        pattern=(
            r"speculative|\bspeculation\b|\bspeculator|\bspec[ _-]decod|\bn-?gram\b"
            r"|\beagle-?[23]?\b|\bmedusa\b|\bdraft[ -_]model|\bprompt[ -]lookup"
        ),
        flags=("speculative", "num-speculative-tokens", "ngram", "speculate"),
        yes=("n-gram speculation helps B", "--speculative-config '{}'", "EAGLE-3 head"),
        no=("a first draft of the script", "let me not speculate about why"),
    ),
    TechniqueRule(
        name="chunked_prefill",
        hint=("chunk",),
        pattern=r"chunked[ _-]*prefill|prefill[ _-]chunk|chunk(?:ed|ing) the prefill",
        flags=(
            "enable-chunked-prefill",
            "no-enable-chunked-prefill",
            "chunked-prefill-size",
            "long-prefill-token-threshold",
            "max-num-partial-prefills",
        ),
        yes=("turn chunked prefill off", "--chunked-prefill-size 8192"),
        no=("the reply arrives in chunks", "prefill takes 800 ms"),
    ),
    TechniqueRule(
        name="prefix_caching",
        hint=("prefix", "radix"),
        pattern=r"prefix[ _-]*cach|cache the (?:shared )?prefix|radix[ _-]?(?:cache|a)",
        flags=(
            "enable-prefix-caching",
            "no-enable-prefix-caching",
            "disable-radix-cache",
            "prefix-caching",
        ),
        yes=(
            "--enable-prefix-caching",
            "radix cache",
            "Prefix caching is useless here",
        ),
        no=("the path prefix is /v1", "pip cache dir"),
    ),
    TechniqueRule(
        name="kv_cache",
        hint=("kv",),
        pattern=(
            r"kv[ _-]?cache[ _-](?:dtype|quant|offload|memory|size)|fp8(?:_e\dm\d)? kv"
            r"|kv[ _-]?cache (?:in|to|at) (?:fp8|int8)|fp8[ _-]kv|kv offload"
        ),
        flags=(
            "kv-cache-dtype",
            "kv-cache-memory",
            "kv-cache-memory-bytes",
            "block-size",
            "swap-space",
            "cpu-offload-gb",
            "page-size",
            "kv-transfer-config",
            "calculate-kv-scales",
        ),
        yes=("--kv-cache-dtype fp8", "store the KV cache in FP8"),
        no=("GPU KV cache usage: 12.5%", "the KV cache holds 90k tokens"),
    ),
    TechniqueRule(
        name="attention_backend",
        hint=("attn", "attention", "flashinfer"),
        pattern=(
            r"attention[ _-]backend|attn[ _-]implementation|flash[ _-]?infer"
            r"|flash[ _-]?att(?:ention|n)|triton[ _]attn|\bxformers\b"
        ),
        flags=(
            "attention-backend",
            "vllm-attention-backend",
            "attn-implementation",
            "attention-config",
            "vllm-use-flashinfer",
            "vllm-flash-attn-version",
        ),
        yes=("VLLM_ATTENTION_BACKEND=FLASHINFER", "switch to FlashInfer"),
        no=("pay attention to the budget", "needs attention"),
    ),
    TechniqueRule(
        name="compilation",
        hint=("compil", "graph", "eager", "inductor"),
        pattern=(
            r"torch[._ -]?compile|compilation[ _-](?:config|level|mode)|cuda[ _-]?graph"
            r"|\binductor\b|enforce[ _-]eager|ahead-of-time compil"
        ),
        flags=(
            "enforce-eager",
            "no-enforce-eager",
            "compilation-config",
            "enable-torch-compile",
            "torch-compile-max-bs",
            "cuda-graph",
            "cuda-graphs",
            "cuda-graph-max-bs",
            "disable-cuda-graph",
            "disable-piecewise-cuda-graph",
            "max-seq-len-to-capture",
            "compile",
        ),
        yes=("--enforce-eager", "capture CUDA graphs up to 64", "torch.compile it"),
        no=("python -m compileall .", "draw the graph of results"),
    ),
    TechniqueRule(
        name="custom_kernels",
        hint=("kernel", "triton.jit", "cutlass", "__global__", "load_inline"),
        pattern=(
            r"(?:custom|own|fused|hand-?written|triton|cuda|write an?) kernel"
            r"|@triton\.jit|\bcutlass\b|__global__|load_inline"
        ),
        flags=("kernel-config",),
        yes=("write a fused kernel for the sampler", "@triton.jit\ndef k(x): ..."),
        no=("Linux kernel 5.15", "ipykernel"),
    ),
)
# Arguments of how much and how many: numbers to turn, no technique of their own.
_HYPERPARAMETERS = (
    "max-num-seqs max-num-batched-tokens gpu-memory-utilization max-model-len "
    "scheduling-policy schedule-policy schedule-conservativeness stream-interval "
    "async-scheduling no-async-scheduling max-running-requests max-prefill-tokens "
    "mem-fraction-static max-total-tokens num-continuous-decode-steps "
    "max-concurrent-requests max-batch-prefill-tokens max-batch-total-tokens "
    "max-waiting-tokens waiting-served-ratio max-batch-size cuda-memory-fraction "
    "max-input-tokens max-input-length num-scheduler-steps tensor-parallel-size "
    "data-parallel-size dtype tokenizer-mode tokenizer-pool-size context-length "
    "threads omp-num-threads continuous-batching cb-max-batch-tokens cb-num-blocks "
    "api-server-count disable-log-requests preemption-mode seed "
)
FLAG_FAMILIES: dict[str, Family] = {
    **dict.fromkeys(_HYPERPARAMETERS.split(), "hyperparameters"),
    **{flag: rule.name for rule in TECHNIQUES for flag in rule.flags},
}
_PREFIXES = tuple(
    (flag, rule.name)
    for rule in TECHNIQUES
    for flag in rule.flags
    if flag in {"speculative", "speculate", "ngram", "vllm-use-flashinfer"}
)
_COMPILED = tuple((r.name, r.hint, re.compile(r.pattern)) for r in TECHNIQUES)


def of_flag(flag: str) -> Family | None:
    """Family of one argument, without its dashes.

    >>> of_flag("kv-cache-dtype"), of_flag("speculative-config"), of_flag("host")
    ('kv_cache', 'speculative_decoding', None)
    """
    found = FLAG_FAMILIES.get(flag)
    if found is not None:
        return found
    return next((name for prefix, name in _PREFIXES if flag.startswith(prefix)), None)


def mentioned(text: str) -> Iterator[tuple[Family, str]]:
    """Give every technique that a text names, with the words that do."""
    low = text.lower()
    # Loops instead of any(): this runs for every text that an agent writes.
    for name, hints, pattern in _COMPILED:
        for hint in hints:
            if hint in low:
                if (found := pattern.search(low)) is not None:
                    yield name, text[found.start() : found.end()]
                break
