"""The archive of a study is what the RO-Crate validator calls a Process Run Crate."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import requests
from rocrate_validator import models, services

from ibench import REPOSITORY
from ibench.__main__ import main
from ibench.errors import ParameterError
from ibench.store import RECORD
from ibench.study.crate import PROFILE, make_crate
from ibench.study.definition import Study
from perf.synthetic import publish_records

pytestmark = pytest.mark.slow

CONTEXT = "ro-crate@3.7.2"  # ships the JSON-LD context that crates name by address


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The context's text from its package: the validator would ask the network."""
    folder = tmp_path_factory.mktemp("context")
    command = ["npm", "pack", "--silent", CONTEXT]
    packed = subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    )
    with tarfile.open(folder / packed.stdout.strip()) as archive:
        member = archive.extractfile("package/lib/context.json")
        assert member is not None
        return json.load(member)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    made = Study("smoke", REPOSITORY / "params", tmp_path_factory.mktemp("results"))
    publish_records(made)
    return made


def _issues(crate: Path, context: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    def send(_: object, request: requests.PreparedRequest, **__: object) -> Any:
        answer = requests.Response()
        answer.status_code, answer.url = 200, str(request.url)
        answer.headers["content-type"] = "application/ld+json"
        answer.raw = io.BytesIO(json.dumps(context).encode())
        answer.request = request
        return answer

    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", send)
    settings = services.ValidationSettings(
        rocrate_uri=models.URI(str(crate)),
        profile_identifier="process-run-crate-0.5",
        requirement_severity=models.Severity.REQUIRED,
        skip_availability_check=True,
        no_cache=True,
    )
    return [str(issue.message) for issue in services.validate(settings).get_issues()]


def test_the_validator_accepts_it(
    study: Study, tmp_path: Path, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = make_crate(study, tmp_path / "crate")
    done = [j for j in study.jobs.values() if (j.folder / RECORD).exists()]
    assert count == len(done) > 10
    assert _issues(tmp_path / "crate", context, monkeypatch) == []
    graph = json.loads((tmp_path / "crate" / "ro-crate-metadata.json").read_text())
    by_id = {entity["@id"]: entity for entity in graph["@graph"]}
    assert by_id["./"]["conformsTo"] == {"@id": PROFILE}
    actions = [e for e in graph["@graph"] if e["@type"] == "CreateAction"]
    assert len(actions) == count
    for action in actions:
        assert action["instrument"] == {"@id": "#ibench"}
        for result in action["result"]:
            assert (tmp_path / "crate" / result["@id"]).is_file()
    gating = by_id["#a/first-working/21-1337/gating"]
    assert {"@id": "a/first-working/21-1337/relaunch/record.json"} in gating["object"]


def test_the_validator_refuses_one_that_lost_its_times(
    study: Study, tmp_path: Path, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_crate(study, tmp_path / "crate")
    path = tmp_path / "crate" / "ro-crate-metadata.json"
    graph = json.loads(path.read_text())
    for entity in graph["@graph"]:
        if entity["@type"] == "CreateAction":
            del entity["instrument"]
    path.write_text(json.dumps(graph))
    assert _issues(tmp_path / "crate", context, monkeypatch) != []


def test_a_crate_replaces_a_crate_and_nothing_else(
    study: Study, tmp_path: Path
) -> None:
    make_crate(study, tmp_path / "crate")
    make_crate(study, tmp_path / "crate")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ParameterError, match="is no crate"):
        make_crate(study, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_without_results_it_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["crate", "--profile", "smoke", "--results", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "make reproduce" in line
