"""A made study with trajectories, and the real bundle of the pages."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from ibench import REPOSITORY
from ibench.analysis.site.build import CACHE, PAGES
from ibench.analysis.site.bundle import bundle
from ibench.study.definition import Study
from perf.site import make_trajectories, run_of
from perf.synthetic import make_study, publish_records

SEEDS = "10000-20000"


@pytest.fixture(scope="session")
def bundled() -> Path:
    """The pages as users get them; needs npm once, fails with the remedy without."""
    return bundle(PAGES, CACHE)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A stand-in for the bundle, for tests that look at the data only."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html>")
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Three methods (default, search, agent), four scenarios, one seed pair."""
    made = make_study(REPOSITORY / "params", tmp_path, methods=3, seed_pairs=1)
    publish_records(made)
    return made


@pytest.fixture
def runs() -> list[dict[str, Any]]:
    """Two trajectories: one of the study's agent, one of an agent from elsewhere."""
    rng = random.Random(1)
    own = run_of("a-m02", rng, agent="m02", scenario="a", seeds=SEEDS)
    other = run_of("elsewhere", rng, agent="stranger", scenario="C", seeds="")
    return [own, other]


@pytest.fixture
def trajectories(tmp_path: Path, runs: list[dict[str, Any]]) -> Path:
    return make_trajectories(tmp_path / "trajectories", runs)
