"""One baseline for every study that agrees on it, averaged over its server lives."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from ibench import REPOSITORY
from ibench.records import BaselineResult
from ibench.store import RECORD, load_record, retire, verify
from ibench.study.definition import Study
from ibench.study.job import OpenJob
from ibench.study.reuse import adopt
from tests.factories import evidence

BASE = "a/baseline/21-1337/baseline"


@pytest.fixture
def studies(tmp_path: Path) -> tuple[Study, Study, Study]:
    """Smoke; smoke under another agent budget; smoke with another baseline."""
    params, results = tmp_path / "params", tmp_path / "results"
    shutil.copytree(REPOSITORY / "params", params)
    changes: dict[str, dict[str, object]] = {
        "hurry": {"budget": {"agent_s": 5.0}},
        "float32": {"baseline_config": {"dtype": "float32"}},
    }
    for name, change in changes.items():
        text = yaml.safe_dump({"extends": "smoke", "name": name, **change})
        (params / "profiles" / f"{name}.yaml").write_text(text)
    one, two, three = (Study(n, params, results) for n in ("smoke", *changes))
    return one, two, three


def _publish(study: Study, *repeats: float) -> Path:
    job = OpenJob(study, study.job(BASE))
    (job.folder / "logs").mkdir()
    (job.folder / "logs" / "server.log").write_text("ready")
    job.save_rows("requests", [{"request_id": "r0"}])
    job.publish(BaselineResult(evidence=evidence(), repeats=repeats))
    return job.folder


def test_a_baseline_is_adopted_where_nothing_it_depends_on_differs(
    studies: tuple[Study, Study, Study],
) -> None:
    smoke, hurry, float32 = studies
    source = _publish(smoke, 1.0, 4.0)
    job = hurry.job(BASE)
    retire(job.folder)
    assert adopt(job, hurry.results) == source
    assert verify(job.folder) == []
    result = load_record(job.folder).result
    assert isinstance(result, BaselineResult)
    assert result.objective == pytest.approx(2.0)
    assert result.averaged.objective == pytest.approx(2.0)
    assert (job.folder / "logs" / "server.log").read_text() == "ready"
    assert adopt(float32.job(BASE), hurry.results) is None


def test_only_intact_baselines_are_adopted(
    studies: tuple[Study, Study, Study],
) -> None:
    smoke, hurry, _ = studies
    source = _publish(smoke)
    (source / "requests.parquet").write_bytes(b"changed")
    assert adopt(hurry.job(BASE), hurry.results) is None
    assert not (hurry.job(BASE).folder / RECORD).exists()
    other = next(j for j in hurry.jobs.values() if j.stage == "submission")
    assert adopt(other, hurry.results) is None


def test_a_single_life_is_its_own_mean(studies: tuple[Study, Study, Study]) -> None:
    folder = _publish(studies[0])
    result = load_record(folder).result
    assert isinstance(result, BaselineResult)
    assert result.objective == result.evidence.objective
