"""The builder: what it writes, what it leaves out with one line, what it refuses."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from ibench import REPOSITORY
from ibench.__main__ import main
from ibench.analysis.scores import aggregate_table, cell_table
from ibench.analysis.site import build as building
from ibench.analysis.site.build import LARGEST_PAGE_BYTES, Built, build
from ibench.analysis.site.profile import load_profile
from ibench.errors import UserError
from ibench.study.definition import Study
from perf.site import make_trajectories, run_of
from perf.synthetic import make_study, publish_records
from tests.analysis.site.conftest import SEEDS
from tests.analysis.site.reading import index_of, page_of

PUBLISHED = Path("results", "published")


def make(study: Study, pages: Path, trajectories: Path | None = None) -> Built:
    out = study.root / "site"
    return build(
        study, out, published=PUBLISHED, trajectories=trajectories, pages=pages
    )


def rewrite(folder: Path, change: Any) -> None:
    rows = json.loads((folder / "runs.json").read_text())
    (folder / "runs.json").write_text(json.dumps(change(rows)))


def test_runs_of_the_profile_and_of_trajectories_are_joined(
    study: Study, pages: Path, trajectories: Path
) -> None:
    built = make(study, pages, trajectories)
    index = index_of(study.root / "site")
    assert built.runs == len(index["runs"]) == 3 * 4 + 1
    assert built.replays == 2
    assert built.problems == ()
    cards = {r["id"]: r for r in index["runs"]}
    assert cards["a-m02"]["kind"] == "agent"
    assert cards["a-m02"]["links"]
    assert cards["elsewhere"]["links"] == []
    assert cards["elsewhere"]["scenario"] == "c"
    assert cards["a-m01-10000-20000"]["path"] == []


def test_links_lead_to_records(study: Study, pages: Path) -> None:
    site = make(study, pages).index.parent
    for run in index_of(site)["runs"]:
        assert [link["label"] for link in run["links"]] == [
            "submission",
            "relaunch",
            "gating",
        ]
        for link in run["links"]:
            assert not link["href"].startswith("/")
            assert (site / link["href"]).resolve().is_file()


def test_the_own_board_is_the_report(study: Study, pages: Path) -> None:
    board = index_of(make(study, pages).index.parent)["boards"][0]
    profile = load_profile(study)
    whole = aggregate_table(profile.frame, profile.statistics).set_index("method")
    cells = cell_table(profile.frame).set_index(["method", "scenario"])
    assert board["key"] == "own"
    for row in board["rows"]:
        assert row["aggregate"]["mean"] == whole["aggregate"][row["name"]]
        assert row["a"]["mean"] == cells["mean"][row["name"], "a"]
        # One seed pair: the SEM is unknown, not zero.
        assert row["a"]["low"] is row["a"]["high"] is None
        assert row["aggregate"]["low"] is row["aggregate"]["high"] is None


def test_published_boards_are_as_printed(study: Study, pages: Path) -> None:
    boards = {b["key"]: b for b in index_of(make(study, pages).index.parent)["boards"]}
    paper = {r["name"]: r for r in boards["paper"]["rows"]}
    assert paper["SMAC"]["c"] == pytest.approx(
        {"mean": 46.7, "low": 43.12, "high": 50.28}
    )
    assert len(boards["site"]["rows"]) == 39
    assert len({(r["name"], r["note"]) for r in boards["site"]["rows"]}) == 39


def test_published_outcomes_add_up(study: Study, pages: Path) -> None:
    groups = index_of(make(study, pages).index.parent)["outcomes"]
    paper, site = next(g for g in groups if g["key"] == "published")["rows"]
    assert paper["runs"] == 180
    assert paper["shares"][0] == pytest.approx(117 / 180)
    assert site["runs"] is None
    assert sum(site["shares"]) == pytest.approx(1.0)


def test_without_trajectories_the_site_says_so(study: Study, pages: Path) -> None:
    index = index_of(make(study, pages).index.parent)
    assert any("No trajectories were given" in line for line in index["sources"])
    assert all(run["path"] == [] for run in index["runs"])
    page = page_of(study.root / "site", "a-m02-10000-20000")
    assert len(page["evaluations"]) == 8
    assert page["episodes"] == []


def test_without_records_the_published_boards_remain(tmp_path: Path) -> None:
    study = make_study(REPOSITORY / "params", tmp_path, methods=1, seed_pairs=1)
    (tmp_path / "bundle").mkdir()
    index = index_of(make(study, tmp_path / "bundle").index.parent)
    assert [b["key"] for b in index["boards"]] == ["paper", "site"]
    assert "no finished run" in index["sources"][0]


def test_an_empty_run_folder_is_a_run_that_is_not_finished(
    study: Study, pages: Path
) -> None:
    cell = study.root / "a" / "m00" / SEEDS
    shutil.rmtree(cell)
    cell.mkdir()
    built = make(study, pages)
    index = index_of(built.index.parent)
    assert built.runs == 11
    assert "11 of 12 runs finished" in index["boards"][0]["note"]
    # A mean over three scenarios is not compared with means over four.
    rows = {r["name"]: r for r in index["boards"][0]["rows"]}
    assert rows["m00"]["aggregate"] is rows["m00"]["a"] is None
    assert rows["m01"]["aggregate"]


def test_a_broken_record_costs_one_line(study: Study, pages: Path) -> None:
    path = study.root / "b" / "m01" / SEEDS / "gating" / "record.json"
    path.write_text(path.read_text().replace("passed", "edited", 1))
    built = make(study, pages)
    assert built.runs == 11
    assert len(built.problems) == 1
    assert built.problems[0].startswith(f"many/b/m01/{SEEDS}/gating/record.json: ")
    assert str(study.results) not in built.problems[0]


def test_a_second_run_of_one_id_is_left_out_with_one_line(
    study: Study, pages: Path, trajectories: Path
) -> None:
    rewrite(trajectories, lambda rows: [*rows, rows[1] | {"agent": "other"}])
    built = make(study, pages, trajectories)
    assert built.problems == (
        "runs.json: run id 'elsewhere' stands twice; the second one is left out",
    )
    agents = [r["agent"] for r in index_of(built.index.parent)["runs"]]
    assert agents.count("stranger") == 1
    assert "other" not in agents


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "runs/elsewhere.json: no such file"),
        ("{", "runs/elsewhere.json: Invalid JSON"),
        ('{"episodes": 3}', "runs/elsewhere.json: episodes: "),
    ],
)
def test_an_unreadable_replay_costs_one_line(
    study: Study, pages: Path, trajectories: Path, text: str | None, line: str
) -> None:
    path = trajectories / "runs" / "elsewhere.json"
    path.write_text(text) if text else path.unlink()
    built = make(study, pages, trajectories)
    assert len(built.problems) == 1
    assert built.problems[0].startswith(line)
    assert built.problems[0].endswith("run 'elsewhere' is shown without a replay")
    assert built.runs == 13


def test_a_replay_outside_of_the_folder_is_not_read(
    study: Study, pages: Path, trajectories: Path
) -> None:
    (trajectories.parent / "secret.json").write_text("{}")
    rewrite(
        trajectories,
        lambda rows: [rows[0], rows[1] | {"episodes_file": "../secret.json"}],
    )
    (line,) = make(study, pages, trajectories).problems
    assert line.startswith("../secret.json: outside of the exported folder")


def test_a_row_without_an_id_is_left_out(
    study: Study, pages: Path, trajectories: Path
) -> None:
    rewrite(trajectories, lambda rows: [{"agent": "nobody"}, *rows])
    (line,) = make(study, pages, trajectories).problems
    assert line == "runs.json: run 0: id: Field required; it is left out"


def test_episodes_of_an_unknown_family_and_empty_runs_are_named(
    study: Study, pages: Path, tmp_path: Path, runs: list[dict[str, Any]]
) -> None:
    runs[0]["episodes"][0]["family"] = "day dreaming"
    runs[1]["episodes"] = []
    built = make(study, pages, make_trajectories(tmp_path / "t", runs))
    assert built.problems == (
        "run 'a-m02': 1 episodes of an unknown family are left out",
        "run 'elsewhere': its trajectory has no episodes",
    )


def test_a_page_stays_small_whatever_the_transcript(
    study: Study, pages: Path, tmp_path: Path, runs: list[dict[str, Any]]
) -> None:
    episode = runs[1]["episodes"][0]
    event = episode["events"][0] | {"text": "\u00e9" * 2500}
    runs[1]["episodes"] = [episode | {"events": [event] * 45}] * 30
    runs[1]["episodes"] += [episode | {"events": []}] * 500
    make(study, pages, make_trajectories(tmp_path / "t", runs))
    site = study.root / "site"
    page = page_of(site, "elsewhere")
    assert (site / "data/runs/elsewhere.js").stat().st_size <= LARGEST_PAGE_BYTES
    assert len(page["episodes"]) == 500
    assert page["episodes"][0]["n_events"] == 45
    assert page["episodes"][0]["events"][0]["truncated"]


def test_three_hundred_runs(tmp_path: Path, pages: Path) -> None:
    study = make_study(REPOSITORY / "params", tmp_path, methods=1, seed_pairs=1)
    publish_records(study)
    rng = random.Random(3)
    made = [
        run_of(f"run-{i}", rng, agent=f"m{i % 9}", scenario="abcd"[i % 4], seeds=str(i))
        for i in range(300)
    ]
    built = make(study, pages, make_trajectories(tmp_path / "t", made))
    assert built.replays == 300
    site = built.index.parent
    assert len(list((site / "data" / "runs").iterdir())) == built.runs == 304
    assert (site / "data" / "index.js").stat().st_size < 300_000


def test_a_folder_that_is_no_site_is_not_touched(study: Study, pages: Path) -> None:
    mine = study.root / "site" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UserError, match="something else than a site"):
        make(study, pages)
    assert mine.read_text() == "mine"


def test_a_build_that_fails_leaves_the_old_site(
    study: Study, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make(study, pages).index.parent
    before = (site / "data" / "index.js").read_bytes()

    def broken(_: object) -> bytes:
        raise OSError("disk full")

    monkeypatch.setattr(building, "_fitting", broken)
    with pytest.raises(OSError, match="disk full"):
        make(study, pages)
    assert (site / "data" / "index.js").read_bytes() == before
    assert [p.name for p in study.root.iterdir() if p.name.startswith(".")] == []


def test_the_same_input_gives_the_same_bytes(
    study: Study, pages: Path, trajectories: Path
) -> None:
    def content(site: Path) -> dict[str, bytes]:
        return {
            p.relative_to(site).as_posix(): p.read_bytes()
            for p in sorted(site.rglob("*"))
            if p.is_file()
        }

    first = content(make(study, pages, trajectories).index.parent)
    assert content(make(study, pages, trajectories).index.parent) == first


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--profile", "nonsense"], "nonsense"),
        (["--trajectories", "/nonexistent"], "/nonexistent/runs.json: no such file"),
        (["--published", "/nonexistent"], "/nonexistent"),
    ],
)
def test_a_mistake_ends_in_one_line(
    study: Study,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    line: str,
) -> None:
    common = ["--params", str(study.params), "--results", str(study.results)]
    assert main(["site", *common, "--profile", "many", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert line in captured.err


def test_a_list_that_is_none_ends_in_one_line(
    study: Study, trajectories: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (trajectories / "runs.json").write_text('{"runs": []}')
    common = ["--params", str(study.params), "--results", str(study.results)]
    arguments = ["--profile", "many", "--trajectories", str(trajectories)]
    assert main(["site", *common, *arguments]) == 2
    assert "export the trajectories again" in capsys.readouterr().err


def test_the_command_says_what_it_built(
    study: Study, bundled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--params", str(study.params), "--results", str(study.results)]
    assert main(["site", *common, "--profile", "many"]) == 0
    site = study.root / "site"
    assert f"{site}/index.html: 12 runs, 0 with a replay" in capsys.readouterr().out
    assert {p.name for p in site.iterdir()} == {
        "LICENCES.txt",
        "theme.css", "app.js", "data", "index.html", "style.css",
    }  # fmt: skip
    assert (site / "app.js").read_bytes() == (bundled / "app.js").read_bytes()
