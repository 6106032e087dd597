"""Tables, summaries, the viewer's JSON and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ibench.__main__ import main
from ibench.analysis.trajectories import summary
from ibench.analysis.trajectories.events import FAMILIES
from ibench.analysis.trajectories.folder import write_all
from ibench.analysis.trajectories.table import EVENTS, TableWriter, event_table
from tests.analysis.trajectories import made
from tests.analysis.trajectories.made import labelled_runs

RUN_KEYS = ["id", "agent", "scenario", "seeds", "outcome", "speedup", "objective"]
RUN_KEYS += ["budget_s", "engine", "n_events", "episodes_file"]
EPISODE_KEYS = ["index", "family", "tier", "t_start_s", "t_end_s", "confidence"]
EPISODE_KEYS += ["engine", "score", "summary", "evidence", "events"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made.public_run(tmp_path / "in" / "run_1")
    long = [made.call("cat big"), made.result("z" * 5000), made.call("vllm serve m")]
    made.public_run(tmp_path / "in" / "run_2", long, metrics=None)
    return tmp_path / "in"


def test_a_table_is_that_of_its_runs(folder: Path, tmp_path: Path) -> None:
    parts = [event_table(run.events) for run in labelled_runs(folder, [])]
    with TableWriter(tmp_path / "e.parquet", EVENTS) as writer:
        for part in parts:
            writer.write(part)
    assert pq.read_table(tmp_path / "e.parquet").equals(pa.concat_tables(parts))


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), TableWriter(tmp_path / "e.parquet", EVENTS):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_summary(folder: Path) -> None:
    runs = list(labelled_runs(folder, []))
    facts = [r.facts for r in runs]
    shares = summary.technique_shares(facts).set_index("technique")
    assert shares.loc["prefix_caching", "percent_mentioned"] == 50
    modes = summary.failure_modes(facts).set_index("mode")["runs"]
    assert modes["first_working_config"] == 1
    assert modes["server_failed"] == 1
    table = summary.transitions([[e.family for e in r.episodes] for r in runs])
    assert table.to_numpy().sum() == sum(len(r.episodes) - 1 for r in runs)
    assert list(table.index) == list(FAMILIES)
    assert summary.behaviour(facts).set_index("metric").loc["runs", "value"] == 2


def test_no_runs_define_no_numbers() -> None:
    assert summary.behaviour([])["value"].isna().sum() == 6
    assert summary.technique_shares([])["percent_mentioned"].isna().all()


def test_the_viewers_json_has_its_shape(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert len(write_all(folder, out).facts) == 2
    rows = json.loads((out / "runs.json").read_text())
    assert [list(row) for row in rows] == [RUN_KEYS, RUN_KEYS]
    first = json.loads((out / rows[0]["episodes_file"]).read_text())
    assert set(first) == {*RUN_KEYS[:-1], "evaluations", "episodes"}
    assert first["evaluations"] == [{"t_s": None, "objective": 20, "accuracy": None}]
    episode = first["episodes"][0]
    assert list(episode) == EPISODE_KEYS
    keys = {"index", "t_s", "kind", "tool", "text", "truncated"}
    assert set(episode["events"][0]) == keys
    indices = [e["index"] for x in first["episodes"] for e in x["events"]]
    assert indices == list(range(first["n_events"]))
    second = json.loads((out / rows[1]["episodes_file"]).read_text())
    shown = second["episodes"][0]["events"][1]
    assert shown["truncated"] is True
    assert len(shown["text"]) <= 2000


def test_command_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "run_3").mkdir()
    assert main(["trajectories", str(folder), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "problem: run_3: a run folder without a trajectory"
    assert said[-1] == f"2 runs in {tmp_path / 'out'}"
    for name in ("events", "episodes", "runs"):
        assert len(pd.read_parquet(tmp_path / "out" / f"{name}.parquet")) > 0
    assert (tmp_path / "out" / "transitions.csv").is_file()


@pytest.mark.parametrize("name", ["missing", "empty", "hub"])
def test_mistakes_end_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    target = name if name == "hub" else str(tmp_path / name)
    assert main(["trajectories", target, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
