"""The whole path against engines that run here: launch, negotiate, measure, stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoTokenizer

from ibench.load.client import HttpxClient
from ibench.load.driver import negotiate_dialect, run_phase, served_model_name
from ibench.records import LaunchOutcome, RequestSpec
from ibench.serving.engines import Engine, Setting, launcher_script
from ibench.serving.launch import LAUNCHER, launch
from ibench.serving.processes import free_port
from ibench.serving.sandbox import detect

ENGINES = Path(__file__).resolve().parents[2] / "params" / "engines"
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "config", "dialect"),
    [
        ("reference", {"dtype": "float32"}, "ignore_eos"),
        ("transformers-serve", {}, "generation_config"),
        ("transformers-serve", {"continuous_batching": True}, "generation_config"),
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
    client = HttpxClient()
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
            client, server.base_url, model, temperature=0.7, request_timeout_s=60
        )
        assert found == dialect
        results = run_phase(
            client,
            server.base_url,
            [_spec(i) for i in range(4)],
            model_id=model,
            dialect=found,
            phase_name="burst",
            offsets_ns=[0] * 4,
            concurrency=2,
            request_timeout_s=60,
            count_tokens=lambda text: len(tokenizer.encode(text)),
            min_length_ratio=0.8,
        )
        server.check_alive()
        assert server.stop() == ()
    for result in results:
        assert result.failure is None, result.error
        assert result.usage_tokens == MAX_TOKENS
        assert len(result.chunks) > MAX_TOKENS / 2
    assert len({result.text for result in results}) == 4
