"""A verdict does not outlive its evidence: what changed is named and runs again."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.errors import CorruptResultError
from ibench.records import BaselineResult, Evidence
from ibench.stages.relaunch import relaunch
from ibench.store import RECORD, load_record
from ibench.study import state
from ibench.study.definition import Job, Study
from ibench.study.job import OpenJob
from ibench.study.judging import open_case
from ibench.study.make import retire_outdated, verify_all
from ibench.study.state import is_done, standing, standings
from perf.synthetic import make_study, publish_job, publish_records

CELL = "a/m00/10000-20000"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = make_study(REPOSITORY / "params", tmp_path, methods=2, seed_pairs=1)
    publish_records(made)
    return made


def _not_done(study: Study) -> dict[str, str]:
    found = standings(study)
    return {n: f"{s.state}: {s.why}" for n, s in found.items() if s.state != "done"}


def _measured_anew(study: Study) -> Job:
    job = study.job(f"{CELL}/relaunch")
    shutil.move(job.folder, job.folder.with_name("aside"))
    publish_job(study, job, random.Random(7))
    return job


def test_a_relaunch_measured_anew_makes_its_verdict_stale(study: Study) -> None:
    assert _not_done(study) == {"aggregation": "missing: "}
    _measured_anew(study)
    why = f"{CELL}/relaunch was made anew since it ran"
    assert _not_done(study)[f"{CELL}/gating"] == f"stale: {why}"
    count, lines = verify_all(study)
    (named,) = [line for line in lines if "stale" in line]
    assert count == len(study.jobs) - 1
    assert named == f"{CELL}/gating: stale: {why}: `make reproduce` runs it again"
    assert retire_outdated(study) == [f"{CELL}/gating: stale: {why}"]
    assert _not_done(study)[f"{CELL}/gating"] == "missing: "
    assert is_done(study, study.job(f"{CELL}/relaunch"))
    assert is_done(study, study.job("a/m01/10000-20000/gating"))


def test_what_follows_a_stage_that_is_gone_is_stale(study: Study) -> None:
    shutil.rmtree(study.job(f"{CELL}/submission").folder)
    found = _not_done(study)
    assert found.pop("aggregation") == "missing: "
    assert found == {
        f"{CELL}/submission": "missing: ",
        f"{CELL}/relaunch": f"stale: {CELL}/submission, which it is built on, is not "
        "done",
        f"{CELL}/gating": f"stale: {CELL}/relaunch, which it is built on, is not done",
    }


def test_other_code_in_a_notebook_is_seen_and_other_prose_is_not(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(REPOSITORY / "notebooks", tmp_path / "notebooks")
    monkeypatch.setattr(state, "REPOSITORY", tmp_path)
    path = tmp_path / "notebooks" / "4_gating.ipynb"
    job = study.job(f"{CELL}/gating")
    for kind, expected in (("markdown", "done"), ("code", "stale")):
        cells = json.loads(path.read_text())
        cell = next(c for c in cells["cells"] if c["cell_type"] == kind)
        cell["source"] = ["changed"]
        path.write_text(json.dumps(cells))
        state._code.cache_clear()
        assert standing(study, job).state == expected
    assert "4_gating.ipynb" in standing(study, job).why
    state._code.cache_clear()


def test_a_record_edited_by_hand_stops_planning_with_one_line(study: Study) -> None:
    path = study.job(f"{CELL}/gating").folder / RECORD
    path.write_text(path.read_text().replace('"quality"', '"speed"'))
    assert standing(study, study.job(f"{CELL}/gating")).state == "broken"
    with pytest.raises(CorruptResultError, match=r"gating/record.json: edited.*move"):
        retire_outdated(study)
    assert "edited" in "".join(verify_all(study)[1])


def test_a_relaunch_refuses_a_submission_that_is_another_one(study: Study) -> None:
    job = study.job(f"{CELL}/relaunch")
    folder = study.job(f"{CELL}/submission").folder / "submission"
    folder.mkdir()
    (folder / "start_server.sh").write_text("exit 1")
    shutil.rmtree(job.folder)
    with pytest.raises(CorruptResultError, match=r"sha256: .* move .* away"):
        relaunch(OpenJob(study, job))


def test_a_stage_refuses_upstream_records_of_other_parameters(study: Study) -> None:
    job = study.job(f"{CELL}/gating")
    other = study.job("a/m01/10000-20000/relaunch")
    shutil.copy(other.folder / RECORD, study.job(f"{CELL}/relaunch").folder / RECORD)
    with pytest.raises(CorruptResultError, match=r"relaunch: run id: .* planned on"):
        _ = OpenJob(study, job).upstream


def test_a_run_and_a_baseline_with_other_requests_are_refused(study: Study) -> None:
    run = study.job(f"{CELL}/relaunch").folder
    base = study.job("a/baseline/10000-20000/baseline").folder
    evidence, baseline = load_record(run).result, load_record(base).result
    assert isinstance(evidence, Evidence)
    assert isinstance(baseline, BaselineResult)
    other = evidence.model_copy(update={"requests_sha256": "f" * 64})
    with pytest.raises(CorruptResultError, match=r"requests.jsonl: .*Python version"):
        open_case(study, "a", (run, other), (base, baseline))
