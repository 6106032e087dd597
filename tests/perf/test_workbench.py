"""The benchmarks run and print what they measured; how fast it was is not tested."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ibench import REPOSITORY
from perf.__main__ import main
from perf.overhead import overhead_rows
from perf.sampling import sampling_rows
from perf.synthetic import make_study, publish_records
from perf.table import Row, render

pytestmark = [pytest.mark.long, pytest.mark.slow]

PARAMS = REPOSITORY / "params"


def test_a_table_lines_its_columns_up() -> None:
    rows: list[Row] = [{"what": "a", "n": 1.23456}, {"what": "long", "n": 12345}]
    assert render(
        "Title", [*rows, {"what": "b", "n": None}], ["note"]
    ).splitlines() == [
        "Title",
        "=====",
        "what       n",
        "a       1.23",
        "long  12,345",
        "b          -",
        "note",
    ]


def test_a_profile_without_results_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--profile", "smoke", "--only", "overhead"]
    arguments += ["--params", str(PARAMS), "--results", str(tmp_path)]
    assert main(arguments) == 0
    assert "no finished stage of profile 'smoke' yet" in capsys.readouterr().out


def test_an_unknown_profile_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--profile", "smok", "--only", "overhead"]
    arguments += ["--params", str(PARAMS), "--results", str(tmp_path)]
    assert main(arguments) == 2
    assert "did you mean 'smoke'?" in capsys.readouterr().err


def test_overhead_is_wall_time_without_server_and_budget(tmp_path: Path) -> None:
    study = make_study(PARAMS, tmp_path, methods=2, seed_pairs=1)
    publish_records(study)
    for job in study.jobs.values():
        job.folder.mkdir(parents=True, exist_ok=True)
        for name, at_s in (("request.json", 1000.0), ("executed.ipynb", 8500.0)):
            (job.folder / name).touch()
            os.utime(job.folder / name, (at_s, at_s))
    found = overhead_rows(study, study.params, study.results)
    rows = {row["stage"]: row for row in found}
    assert {k: v["results"] for k, v in rows.items()} == {
        "baseline": 4,
        "submission": 8,
        "relaunch": 8,
        "gating": 8,
    }
    # Made records: 331 s of server, 7000 s of search; default flags take none.
    assert rows["relaunch"]["purpose p50 s"] == 331.0
    assert rows["submission"]["purpose p50 s"] == 3500.0
    assert rows["gating"]["purpose p50 s"] == 0.0
    start_s = float(rows["gating"]["own p50 s"] or 0) - 7500.0
    assert start_s > 0
    assert rows["relaunch"]["own p50 s"] == pytest.approx(7500.0 - 331.0 + start_s)
    assert rows["gating"]["own p50 share"] == 1.0


@pytest.mark.slow
def test_sampling_reports_every_set(model_dir: Path) -> None:
    rows = sampling_rows(PARAMS / "scenarios", model_dir, only=("b", "d"))
    assert [(r["what"], r["items"]) for r in rows[1:]] == [
        ("scenario b", 64),
        ("scenario d", 96),
    ]
    assert all(isinstance(r["seconds"], float) and r["seconds"] > 0 for r in rows)
    # A prompt has between 0.8 L and L tokens: 1024 in scenario b, 4096 in d.
    for row, (n, length) in zip(rows[1:], ((64, 1024), (96, 4096)), strict=True):
        assert 0.8 * n * length <= int(row["input tokens"] or 0) <= n * length


def test_aggregation_of_200_runs_prints_its_rows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--params", str(PARAMS), "--only", "aggregation"]
    assert main([*arguments, "--methods", "5", "--seed-pairs", "10"]) == 0
    printed = capsys.readouterr().out
    rows = [line.rsplit(None, 1) for line in printed.splitlines() if "  " in line]
    values = {k.strip(): v for k, v in rows}
    assert (values["runs"], values["records"]) == ("200", "640")
    for name in (
        "load and tables, s",
        "of it: processor time of its process, s",
        "peak memory, MiB",
    ):
        assert float(values[name]) > 0
