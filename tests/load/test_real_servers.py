"""The whole path against engines that run here: launch, negotiate, measure, stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoTokenizer

from ibench import REPOSITORY
from ibench.load.calibrate import calibrate
from ibench.load.client import LoadClient
from ibench.load.dialect import negotiate_dialect, served_model_name
from ibench.load.driver import run_phase
from ibench.load.httpx_client import HttpxClient
from ibench.load.kernel_client import KernelClient
from ibench.metrics.intervals import Interval, t_interval
from ibench.metrics.requests import percentile, tpot_s, ttft_s
from ibench.params.engines import Engine, Setting
from ibench.records import LaunchOutcome, RequestResult, RequestSpec
from ibench.serving.engines import launcher_script
from ibench.serving.launch import LAUNCHER, launch
from ibench.serving.processes import free_port
from ibench.serving.sandbox import detect

pytestmark = [pytest.mark.slow, pytest.mark.measures]

ENGINES = REPOSITORY / "params" / "engines"
MAX_TOKENS = 24


def _spec(number: int) -> RequestSpec:
    return RequestSpec(
        request_id=f"r{number}",
        messages=({"role": "user", "content": f"Write about number {number}."},),
        max_tokens=MAX_TOKENS,
        temperature=0.7,
        ignore_eos=True,
        document_id="d",
        target_input_tokens=1,
        input_tokens=1,
        source_tokens=1,
        content_hash=f"{number:08x}" * 8,
    )


def _agree(ours: Interval, theirs: Interval, bias_s: float) -> bool:
    """Whether two intervals meet, once a known bias is allowed for."""
    return ours.low - bias_s <= theirs.high and theirs.low - bias_s <= ours.high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "config", "dialect"),
    [
        ("reference", {"dtype": "float32"}, "ignore_eos+continuous_usage"),
        ("transformers-serve", {}, "generation_config+continuous_usage"),
        (
            "transformers-serve",
            {"continuous_batching": True},
            "generation_config+continuous_usage",
        ),
    ],
)
def test_engine(
    tmp_path: Path,
    model_dir: Path,
    name: str,
    config: dict[str, Setting],
    dialect: str,
) -> None:
    folder = tmp_path / "submission"
    folder.mkdir()
    content = yaml.safe_load((ENGINES / f"{name}.yaml").read_text())
    engine = Engine.model_validate(content)
    (folder / LAUNCHER).write_text(launcher_script(engine, config))
    (folder / LAUNCHER).chmod(0o755)
    tokenizer: Any = AutoTokenizer.from_pretrained(model_dir)
    clients: dict[str, LoadClient] = {"kernel": KernelClient(), "user": HttpxClient()}
    seen: dict[str, list[tuple[RequestResult, ...]]] = {"kernel": [], "user": []}
    with launch(
        folder,
        port=free_port(),
        model_dir=model_dir,
        model_id="embedded",
        log_path=tmp_path / "log",
        ready_timeout_s=60,
        sandbox_kind=detect(),
    ) as server:
        assert server.launch.outcome == LaunchOutcome.READY, server.launch
        model = served_model_name(server.launch.served_models, model_dir)
        found = negotiate_dialect(
            clients["kernel"],
            server.base_url,
            model,
            temperature=0.7,
            request_timeout_s=60,
        )
        assert found.label == dialect
        for turn in range(8):  # alternately, so that drift hits both alike
            source = ("kernel", "user")[turn % 2]
            run = run_phase(
                clients[source],
                server.base_url,
                [_spec(3 * turn + i) for i in range(3)],
                model_id=model,
                dialect=found,
                phase_name="burst",
                offsets_ns=[0] * 3,
                concurrency=1,
                request_timeout_s=60,
                count_tokens=lambda text: len(tokenizer.encode(text)),
                min_length_ratio=0.8,
            )
            assert run.cost.timestamp_source == source
            seen[source].append(run.results)
        server.check_alive()
        assert server.stop() == ()
    for result in (r for runs in seen.values() for run in runs for r in run):
        assert result.failure is None, result.error
        assert result.usage_tokens == MAX_TOKENS
        assert len(result.chunks) > MAX_TOKENS / 2
    bar = calibrate(clients["user"], [0] * 8, 1, "after", 0.7)
    # On shared cores the heavier client also takes its CPU a chunk from the server.
    cost_s = 3 * bar.cpu_s_per_chunk
    for metric, allowed_s in (
        (ttft_s, abs(bar.ttft_bias_s) + bar.ttft_error_p99_s + cost_s),
        (tpot_s, cost_s),
    ):
        # Over turns, not requests: the machine changes between turns too.
        ours, theirs = (
            t_interval(
                [percentile([metric(r) for r in run], 50) for run in runs], 0.999
            )
            for runs in seen.values()
        )
        assert _agree(ours, theirs, allowed_s), (name, metric.__name__, ours, theirs)
