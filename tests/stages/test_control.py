"""The control: the baseline's own folder, in every profile, made by stage 2."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from ibench import REPOSITORY
from ibench.errors import ParameterError
from ibench.files import tree_sha256
from ibench.methods.folder import FOLDER
from ibench.stages.baseline import baseline_folder
from ibench.stages.submission import make_submission
from ibench.study.definition import Study
from ibench.study.job import OpenJob
from ibench.study.plan import make_plan

PARAMS = REPOSITORY / "params"
PROFILES = sorted(p.stem for p in (PARAMS / "profiles").rglob("*.yaml"))


@pytest.mark.parametrize("profile", PROFILES)
def test_every_shipped_profile_has_one_control(profile: str, tmp_path: Path) -> None:
    study = Study(profile, PARAMS, tmp_path)
    controls = [m.name for m in study.profile.methods if m.kind == "control"]
    assert controls == ["control"]
    cells = [c for c in study.cells() if c.method == "control"]
    assert len(cells) == len(study.scenarios) * study.profile.seed_pairs


def test_its_folder_is_the_baselines(tmp_path: Path) -> None:
    study = Study("smoke", PARAMS, tmp_path / "results")
    job = OpenJob(study, study.job("a/control/21-1337/submission"))
    made = make_submission(job)
    base = OpenJob(study, study.job("a/baseline/21-1337/baseline"))
    assert made.sha256 == tree_sha256(baseline_folder(base, tmp_path / "own"))
    assert tree_sha256(job.folder / FOLDER) == made.sha256
    assert (made.budget_s, made.used_s, made.trials) == (None, 0.0, ())


def test_another_baseline_is_another_control(tmp_path: Path) -> None:
    params = tmp_path / "params"
    shutil.copytree(PARAMS, params)
    path = params / "profiles" / "smoke.yaml"
    name = "a/control/21-1337/submission"
    before = Study("smoke", params, tmp_path).job(name).run_id
    path.write_text(path.read_text().replace("threads: 1", "threads: 2"))
    assert Study("smoke", params, tmp_path).job(name).run_id != before


def test_it_is_planned_at_the_pace_of_the_baseline(tmp_path: Path) -> None:
    plan = make_plan(Study("smoke", PARAMS, tmp_path))
    assert plan.left_s["relaunch"] > 0


@pytest.mark.parametrize(
    ("methods", "why"),
    [
        ([{"kind": "control", "name": "control"}], "competes with nobody"),
        (
            [{"kind": "control", "name": n} for n in ("one", "two")],
            "leave one",
        ),
    ],
)
def test_a_control_is_one_beside_others(
    methods: list[dict[str, str]], why: str, tmp_path: Path
) -> None:
    shutil.copytree(PARAMS, tmp_path / "params")
    path = tmp_path / "params" / "profiles" / "smoke.yaml"
    profile = yaml.safe_load(path.read_text()) | {"methods": methods}
    path.write_text(yaml.safe_dump(profile))
    with pytest.raises(ParameterError, match=why):
        Study("smoke", tmp_path / "params", tmp_path)
