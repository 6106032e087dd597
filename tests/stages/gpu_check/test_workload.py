"""Full lengths out of the standard library's text."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from ibench import REPOSITORY
from ibench.stages.gpu_check.model import ensure_model
from ibench.stages.gpu_check.settings import ScenarioId, load_settings, shortened
from ibench.stages.gpu_check.workload import Sampler, parts_of

SETTINGS = load_settings(REPOSITORY / "params")


@pytest.mark.slow
def test_every_scenario_finds_documents_of_its_length(tmp_path: Path) -> None:
    full, tiny = SETTINGS.shapes["mistral-7b"], SETTINGS.shapes["tiny"]
    kept = {"vocab_size", "max_position_embeddings"}
    thin = tiny.model_copy(update=full.model_dump(include=kept))
    folder = ensure_model(tmp_path, "thin", thin, 0, "cpu", print)
    sampler = Sampler(folder, SETTINGS.warmup_output_tokens)
    counts = SETTINGS.engines["transformers-serve"].requests
    for name in get_args(ScenarioId):
        scenario, seed = shortened(REPOSITORY / "params", name, full, counts[name])
        drawn = sampler.requests(scenario, seed, 1)
        parts = parts_of(scenario, drawn)
        assert [len(p) for p in parts] == [p.requests for p in scenario.phases]
        for r in drawn.requests:
            low = 0.8 * scenario.input_tokens
            assert low <= r.input_tokens <= scenario.input_tokens
            assert 0.8 * scenario.output_tokens <= r.max_tokens
        assert drawn.warmup[0].max_tokens == SETTINGS.warmup_output_tokens
