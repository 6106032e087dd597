from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from ibench import REPOSITORY
from ibench.errors import ParameterError
from ibench.methods.agents.session import HURRY_CLOSE_S, HURRY_GRACE_S
from ibench.params import Gates, PaperScenario, Profile
from ibench.params.files import load_yaml, named
from ibench.records import sha256_of
from ibench.stages.runner import SAVE_S
from ibench.study.definition import Study

PARAMS = REPOSITORY / "params"
# How long after its deadline a session may end, and what a preempted one's files take.
OVERRUN_S, FILES_S = 3.0, 10.0


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PARAMS, tmp_path / "params"))


def change(path: Path, **values: object) -> None:
    data = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(data | values))


@pytest.mark.parametrize(
    ("name", "lengths", "phases", "temperature"),
    [
        ("a", (8192, 1024), [("burst", None, 1, 128)], 0.2),
        ("b", (1024, 8192), [("burst", None, 1, 64)], 0.7),
        (
            "c",
            (1024, 1024),
            [
                ("burst", None, 64, 256),
                ("poisson", 32.0, 32, 256),
                ("constant", 16.0, 16, 256),
            ],
            0.3,
        ),
        ("d", (4096, 2048), [("burst", None, 4, 96)], 0.4),
    ],
)
def test_scenarios_hold_the_papers_values(
    name: str,
    lengths: tuple[int, int],
    phases: list[tuple[str, float | None, int, int]],
    temperature: float,
) -> None:
    scenario = load_yaml(PaperScenario, named(PARAMS / "scenarios", name))
    assert (scenario.input_tokens, scenario.output_tokens) == lengths
    found = [
        (p.arrivals, p.rate_per_s, p.concurrency, p.requests) for p in scenario.phases
    ]
    assert found == phases
    assert scenario.temperature == temperature
    assert scenario.range_ratio == 0.8
    assert scenario.ignore_eos
    assert [s.label for s in scenario.seed_pairs] == ["21-1337", "248-428", "999-777"]


@pytest.mark.parametrize("profile", ["smoke", "cpu", "h100"])
def test_every_shipped_profile_loads(profile: str, tmp_path: Path) -> None:
    study = Study(profile, PARAMS, tmp_path)
    assert study.jobs["aggregation"].needs
    assert len({job.run_id for job in study.jobs.values()}) == len(study.jobs)


@pytest.mark.parametrize("path", sorted((PARAMS / "profiles").glob("*.yaml")))
def test_a_session_of_a_shipped_profile_ends_in_time(path: Path) -> None:
    grace_s = load_yaml(Profile, path).budget.grace_s
    assert grace_s + 0.5 < OVERRUN_S
    assert min(grace_s, HURRY_GRACE_S) + HURRY_CLOSE_S + FILES_S < SAVE_S


def test_scenario_d_runs_at_its_declared_concurrency(tmp_path: Path) -> None:
    study = Study("h100", PARAMS, tmp_path)
    assert study.scenarios["d"].phases[0].concurrency == 4


@pytest.mark.parametrize(
    ("values", "key", "hint"),
    [
        ({"scenaros": ["a"]}, "scenaros", "did you mean 'scenarios'"),
        ({"seed_pairs": "two"}, "seed_pairs", "integer"),
        ({"seed_pairs": "2"}, "seed_pairs", "integer"),
        ({"scenarios": []}, "scenarios", "at least 1 item"),
        ({"documents": None}, "documents", "stdlib"),
    ],
)
def test_bad_profile_is_one_line_with_a_remedy(
    params: Path, values: dict[str, object], key: str, hint: str
) -> None:
    path = params / "profiles" / "smoke.yaml"
    change(path, **values)
    with pytest.raises(ParameterError) as caught:
        load_yaml(Profile, path)
    assert caught.value.key == key
    assert hint in caught.value.remedy
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "key", "hint"),
    [
        ({"scenarios": ["e"]}, "scenario", "choose one of a, b, c, d"),
        ({"scenarios": ["a"]}, "scale", "choose one of a"),
    ],
)
def test_a_scenario_that_is_not_there_is_named(
    params: Path, values: dict[str, object], key: str, hint: str, tmp_path: Path
) -> None:
    change(params / "profiles" / "smoke.yaml", **values)
    with pytest.raises(ParameterError) as caught:
        Study("smoke", params, tmp_path)
    assert caught.value.key == key
    assert hint in caught.value.remedy


def test_a_unit_where_none_belongs_is_refused(params: Path) -> None:
    path = params / "profiles" / "smoke.yaml"
    path.write_text(path.read_text().replace("agent_s: 30.0", "agent_s: 30s"))
    with pytest.raises(ParameterError) as caught:
        load_yaml(Profile, path)
    assert (caught.value.key, caught.value.value) == ("budget.agent_s", "30s")


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("default", "engine", "transformer-serve"),
        ("agent", "agent", "carefull"),
        ("agent", "prompt", "defualt"),
        ("search", "space", "nothing"),
    ],
)
def test_unknown_names_are_refused_before_anything_runs(
    params: Path, tmp_path: Path, kind: str, field: str, value: str
) -> None:
    path = params / "profiles" / "smoke.yaml"
    data = yaml.safe_load(path.read_text())
    method = next(m for m in data["methods"] if m["kind"] == kind)
    method[field] = value
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ParameterError, match="choose one of"):
        Study("smoke", params, tmp_path / "results")


def test_a_search_space_must_name_flags_of_its_engine(
    params: Path, tmp_path: Path
) -> None:
    path = params / "search" / "transformers-serve.yaml"
    path.write_text(path.read_text().replace("dtype:", "dtypo:"))
    with pytest.raises(ParameterError, match="dtypo"):
        Study("smoke", params, tmp_path / "results")


def test_a_rate_goes_with_paced_arrivals_only(params: Path) -> None:
    path = params / "scenarios" / "a.yaml"
    path.write_text(
        path.read_text().replace("concurrency: 1", "rate_per_s: 3.0, concurrency: 1")
    )
    with pytest.raises(ParameterError, match="every kind but burst"):
        load_yaml(PaperScenario, path)


def test_a_required_judge_is_named(params: Path) -> None:
    path = params / "gates" / "no-judge.yaml"
    path.write_text(path.read_text().replace("rules, timing", "rules, judge"))
    with pytest.raises(ParameterError, match="required_checks has judge: name one"):
        load_yaml(Gates, path)


def test_run_ids_change_downstream_of_a_change_and_nowhere_else(
    params: Path, tmp_path: Path
) -> None:
    before = {n: j.run_id for n, j in Study("smoke", params, tmp_path).jobs.items()}
    path = params / "gates" / "cpu.yaml"
    path.write_text(path.read_text().replace("tau: 0.95", "tau: 0.93"))
    after = {n: j.run_id for n, j in Study("smoke", params, tmp_path).jobs.items()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {n for n in before if n.endswith("gating") or n == "aggregation"}


def test_phases_have_requests_of_their_own_unless_they_replay(tmp_path: Path) -> None:
    scenario = Study("h100", PARAMS, tmp_path).scenarios["c"]
    assert scenario.starts(replay=False) == (0, 256, 512, 768)
    assert scenario.starts(replay=True) == (0, 0, 0, 256)


def test_run_ids_hold_no_path(tmp_path: Path) -> None:
    here = Study("smoke", PARAMS, tmp_path / "one").jobs
    there = Study("smoke", PARAMS, tmp_path / "two").jobs
    assert [j.run_id for j in here.values()] == [j.run_id for j in there.values()]


def test_a_run_id_is_the_hash_of_the_spec_as_it_stands(tmp_path: Path) -> None:
    study = Study("smoke", PARAMS, tmp_path)
    jobs = list(study.jobs.values())
    assert [j.run_id for j in jobs] == [sha256_of(j.spec) for j in jobs]
