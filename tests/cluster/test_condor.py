"""HTCondor's descriptions by HTCondor's own parser; no pool has run them here."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ibench import REPOSITORY
from ibench.cluster.condor import Condor
from ibench.cluster.submissions import Batch, ClusterSubmission
from ibench.cluster.tools import run_tool
from ibench.errors import ClusterError
from ibench.params.clusters import load_cluster
from tests.cluster.grids import Grid

htcondor2 = pytest.importorskip("htcondor2")

CONDOR = {"scheduler": "condor", "gpus": 1, "account": "group_ours.ann"}
QUEUE = [
    {"ClusterId": 41, "JobStatus": 2},
    {"ClusterId": 42, "IbenchCell": "a/baseline/21-1337", "JobStatus": 5},
]


def batch_of(folder: Path, **cluster: Any) -> Batch:
    grid = Grid(folder, cluster=CONDOR | cluster)
    study = grid.study
    return Batch(
        study,
        load_cluster(study.params, "test"),
        "test",
        folder / "submission",
        tuple(grid.cells),
        REPOSITORY,
        REPOSITORY / "notebooks",
    )


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins on PATH that write down how they were called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    said = {
        "condor_submit_dag": "1 job(s) submitted to cluster 41.",
        "condor_q": json.dumps(QUEUE),
        "condor_rm": "removed",
    }
    for name, text in said.items():
        path = folder / name
        log = f"printf '%s\\n' \"$*\" >> {folder}/{name}.log"
        path.write_text(f"#!/bin/sh\n{log}\nenv > {folder}/env\necho '{text}'\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def submit(batch: Batch) -> ClusterSubmission:
    jobs, finish = Condor(run_tool).submit(batch)
    return ClusterSubmission(
        number=1,
        cluster="test",
        scheduler="condor",
        by="ann",
        host="n1",
        utc="now",
        job_ids=jobs,
        finish_id=finish,
        array_size=1000,
        cells=batch.cells,
    )


def test_the_description_of_a_cell_is_parsed_as_meant(
    tmp_path: Path, tools: Path
) -> None:
    batch = batch_of(tmp_path)
    submit(batch)
    parsed = htcondor2.Submit((batch.folder / "cell.sub").read_text())
    assert parsed["request_gpus"] == "1"
    assert parsed["arguments"] == "$(cell) $(ClusterId).$(ProcId)"
    assert parsed["on_exit_hold"] == "ExitCode =?= 85"
    assert parsed["on_exit_hold_subcode"] == "85"
    assert parsed["periodic_release"] == (
        "HoldReasonCode == 3 && HoldReasonSubCode == 85 && NumHolds <= 5"
    )
    assert (parsed["max_retries"], parsed["retry_until"]) == ("2", "ExitCode =!= 75")
    assert parsed["accounting_group"] == "group_ours.ann"
    assert parsed["getenv"] == "False"
    script = Path(parsed["executable"]).read_text()
    assert script.rstrip().endswith('--job "$2" "$1"')
    last = htcondor2.Submit((batch.folder / "finish.sub").read_text())
    assert "request_gpus" not in list(last)


def test_the_policies_hold_in_its_own_language(tmp_path: Path, tools: Path) -> None:
    classad = pytest.importorskip("classad2")
    batch = batch_of(tmp_path)
    submit(batch)
    parsed = htcondor2.Submit((batch.folder / "cell.sub").read_text())

    def holds(key: str, **values: int) -> object:
        ad = classad.ClassAd()
        for name, value in values.items():
            ad[name] = value
        ad["policy"] = classad.ExprTree(parsed[key])
        return ad.eval("policy")

    assert [holds("on_exit_hold", ExitCode=c) for c in (0, 75, 85)] == [
        False,
        False,
        True,
    ]
    assert [holds("retry_until", ExitCode=c) for c in (0, 1, 75)] == [True, True, False]
    preempted = {"HoldReasonCode": 3, "HoldReasonSubCode": 85}
    assert holds("periodic_release", NumHolds=5, **preempted) is True
    assert holds("periodic_release", NumHolds=6, **preempted) is False
    other = {"HoldReasonCode": 13, "HoldReasonSubCode": 2}
    assert holds("periodic_release", NumHolds=1, **other) is False
    day = 86_400
    for status, since, gone in (
        (5, day + 9, True),
        (5, day - 9, False),
        (2, 9 * day, False),
    ):
        entered = int(datetime.now(UTC).timestamp()) - since
        assert (
            holds("periodic_remove", JobStatus=status, EnteredCurrentStatus=entered)
            is gone
        )


def test_the_last_node_of_the_dag_judges(tmp_path: Path, tools: Path) -> None:
    batch = batch_of(tmp_path)
    assert submit(batch).job_ids == ("41",)
    lines = (batch.folder / "study.dag").read_text().splitlines()
    nodes = [line for line in lines if line.startswith(("JOB", "FINAL"))]
    cells = ["JOB cell:0 cell.sub", "JOB cell:1 cell.sub"]
    assert nodes == [*cells, "FINAL finish finish.sub"]
    given = [line.partition("cell=")[2] for line in lines if line.startswith("VARS")]
    assert given == [f'"{cell}"' for cell in batch.cells]
    called = (tools / "condor_submit_dag.log").read_text()
    assert called == f"-maxjobs 2 {batch.folder}/study.dag\n"


def test_no_secret_is_in_a_description_or_with_its_command(
    tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "do-not-keep")
    secrets = tmp_path / "secrets"
    secrets.write_text("JUDGE_KEY=do-not-keep\n")
    secrets.chmod(0o600)
    batch = batch_of(tmp_path, secrets_file=str(secrets))
    submit(batch)
    written = [p for p in batch.folder.rglob("*") if p.is_file()]
    assert len(written) >= 5
    for path in [*written, tools / "env"]:
        assert "do-not-keep" not in path.read_text()


def test_the_queue_is_read_by_cell(tmp_path: Path, tools: Path) -> None:
    batch = batch_of(tmp_path)
    submission = submit(batch)
    condor = Condor(run_tool)
    assert condor.poll(submission) == {
        batch.cells[0]: "held",
        batch.cells[1]: "pending",
    }
    condor.cancel(submission, [batch.cells[1]])
    condor.cancel(submission, None)
    assert (tools / "condor_rm.log").read_text().splitlines() == [
        f'-constraint DAGManJobId == 41 && (IbenchCell == "{batch.cells[1]}")',
        "41",
    ]


def test_a_description_htcondor_would_refuse_is_one_line(
    tmp_path: Path, tools: Path
) -> None:
    batch = batch_of(tmp_path, options=["no equals sign"])
    with pytest.raises(ClusterError, match="HTCondor refuses"):
        submit(batch)


def test_without_its_commands_it_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        ClusterError, match="condor_submit_dag: not found: call this on"
    ):
        submit(batch_of(tmp_path))
