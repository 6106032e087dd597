"""What a prefix cache could know of the scored prompts, once the nonce is stripped."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.load.nonce import marked, nonce_of
from ibench.study.assets import Assets
from ibench.study.definition import Study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def assets(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Assets:
    cache = tmp_path_factory.mktemp("cache")
    made = Assets(Study("cpu", REPOSITORY / "params", cache / "results"), cache)
    made.model_dir = model_dir
    return made


def shared_share(prompts: list[list[int]], scaffold: int) -> float:
    """Share of the prompt tokens that an earlier prompt of the set begins with."""
    shared = total = 0
    for i, prompt in enumerate(prompts):
        best = max((common(prompt, earlier) for earlier in prompts[:i]), default=0)
        shared += max(best - scaffold, 0)
        total += len(prompt)
    return shared / total


def common(one: list[int], other: list[int]) -> int:
    differs = (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differs, min(len(one), len(other)))


@pytest.mark.parametrize("scenario", ["a", "b", "c", "d"])
def test_two_requests_share_no_prefix_with_or_without_the_nonce(
    assets: Assets, scenario: str
) -> None:
    paper = assets.study.scenarios[scenario]
    encode = assets.tokenizer.encode
    for seeds in paper.seed_pairs:
        drawn = assets.requests(paper.workload, seeds.evaluation, "eval")
        texts = [r.messages[0]["content"] for r in drawn]
        bare = [encode(text) for text in texts]  # a cheat that strips every mark
        assert shared_share(bare, 0) < 0.01
        runs = [
            encode(marked(r.messages, nonce_of(run, r.request_id))[0]["content"])
            for run in ("life 1", "life 2")
            for r in drawn
        ]
        assert shared_share(runs, 0) < 0.01


def test_the_published_rule_begins_at_the_head(assets: Assets) -> None:
    """What the test above would find under ``compat: upstream``: far more than 1 %."""
    profile = assets.study.profile.model_copy(update={"compat": "upstream"})
    study = assets.study
    kept, study.profile = study.profile, profile
    try:
        paper = study.scenarios["c"]
        drawn = assets.requests(paper.workload, 1337, "eval")
    finally:
        study.profile = kept
    prompts = [assets.tokenizer.encode(r.messages[0]["content"]) for r in drawn]
    assert shared_share(prompts, 0) > 0.05


def test_stripping_by_comparison_finds_only_what_was_put_in(assets: Assets) -> None:
    """The realised text is the request's own: four short marks and nothing else."""
    paper = assets.study.scenarios["a"]
    first = assets.requests(paper.workload, 1337, "eval")[0]
    plain = first.messages[0]["content"]
    text = marked(first.messages, nonce_of("run", "r"))[0]["content"]
    ratio = difflib.SequenceMatcher(None, plain.split(), text.split(), autojunk=False)
    assert ratio.ratio() > 0.95
