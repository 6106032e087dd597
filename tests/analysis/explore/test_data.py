from __future__ import annotations

from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.analysis.explore.data import PanelData, find_source
from ibench.analysis.explore.pictures import PICTURES, write_pictures
from ibench.errors import CorruptResultError, ParameterError
from ibench.study.definition import Study
from tests.analysis.explore.studies import PROFILE

pytestmark = pytest.mark.slow

RECORD = Path("a") / "m00" / "10000-20000" / "gating" / "record.json"


def look(study: Study) -> PanelData:
    return find_source(PROFILE, params=str(study.params), results=str(study.results))


def test_a_profile_with_runs_is_taken(own: PanelData) -> None:
    assert own.name == "profile many, 24 of 24 runs"
    assert own.sentence().startswith("**Data: profile `many`**, 24 of 24")
    assert len(own.frame()) == len(own.runs) == 24
    assert own.frame().speedup.notna().all()


def test_a_study_under_way_is_shown_as_far_as_it_is(explored: Study) -> None:
    path = explored.root / RECORD
    kept = path.read_bytes()
    path.unlink()
    try:
        assert look(explored).name == "profile many, 23 of 24 runs"
    finally:
        path.write_bytes(kept)


def test_an_unreadable_record_costs_its_own_run_and_is_named(explored: Study) -> None:
    path = explored.root / RECORD
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b'"gating"', b'"grating"'))
    try:
        source = look(explored)
    finally:
        path.write_bytes(kept)
    assert source.study is not None
    assert len(source.runs) == source.planned - 1
    assert "Left out: " in source.sentence()
    assert "edited after it was written" in source.sentence()


def test_without_runs_the_published_numbers_say_so(printed: PanelData) -> None:
    assert printed.runs == ()
    assert printed.frame().empty
    assert printed.name == "published numbers"
    assert "`make reproduce PROFILE=cpu`" in printed.sentence()


def test_an_unknown_profile_is_named_with_the_known_ones() -> None:
    source = find_source("cpus")
    assert source.study is None
    assert "choose one of" in source.why


def test_published_files_must_be_there(tmp_path: Path) -> None:
    source = find_source("cpu", results=str(tmp_path), published=str(tmp_path))
    with pytest.raises((ParameterError, CorruptResultError)):
        source.published("paper_table02_leaderboard")


@pytest.mark.parametrize("which", ["own", "printed"])
def test_every_notebook_has_a_picture_of_either_data(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = request.getfixturevalue(which)
    first = [p.read_bytes() for p in write_pictures(source, tmp_path)]
    again = [p.read_bytes() for p in write_pictures(source, tmp_path)]
    assert len(first) == len(PICTURES) == 4
    assert first == again
    assert all(len(data) > 5_000 for data in first)


def test_the_pictures_are_committed() -> None:
    for name in PICTURES:
        path = REPOSITORY / "docs" / "figures" / f"explore-{name}.png"
        assert path.read_bytes().startswith(b"\x89PNG")
