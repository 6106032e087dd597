"""A control is measured and does not compete: not ranked, not drawn, not shown."""

from __future__ import annotations

import pytest

from ibench import REPOSITORY
from ibench.analysis.explore.compare import boards_of
from ibench.analysis.explore.data import find_source
from ibench.analysis.headline import headline
from ibench.analysis.paper.runs import finished_runs
from ibench.analysis.report import FIGURES, Tables
from ibench.analysis.site.boards import profile_board
from ibench.analysis.site.profile import load_profile
from ibench.stages.aggregation import build_tables
from ibench.study.definition import Study
from ibench.study.job import OpenJob
from perf.synthetic import PROFILE, make_study, publish_records

METHODS = ["m00", "m01", "m02"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("control")
    made = make_study(
        REPOSITORY / "params", folder, methods=3, seed_pairs=2, control=True
    )
    publish_records(made)
    return made


@pytest.fixture(scope="module")
def tables(study: Study) -> Tables:
    return build_tables(OpenJob(study, study.job("aggregation")))


def test_the_report_ranks_and_draws_competitors_only(tables: Tables) -> None:
    assert sorted(tables.aggregate.method) == METHODS
    assert sorted(tables.other_floor.method) == METHODS
    assert set(tables.cells.method) == set(METHODS)
    drawn = {figure.name: figure.data(tables) for figure in FIGURES}
    assert "control" not in set(drawn["scenarios"].method)
    assert "control" not in set(drawn["found_vs_submitted"].method)
    # What came of its runs is told, as of every run.
    assert "control" in set(tables.outcomes.method)
    assert "control" in set(tables.runs.method)


def test_the_report_has_its_table_and_a_made_control_orders_nobody(
    tables: Tables,
) -> None:
    """Made objectives are drawn at random: the control is as wide as a barn."""
    assert list(tables.control.scenario) == ["a", "b", "c", "d", "aggregate"]
    shown = (tables.runs, tables.aggregate, tables.comparison, tables.control)
    assert "**This study cannot order these methods:** its control" in headline(*shown)


def test_site_paper_and_explorer_leave_it_out(study: Study) -> None:
    view = load_profile(study)
    assert view.planned == len(view.runs) == 3 * 4 * 2
    assert sorted(row.name for row in profile_board(view).rows) == METHODS
    assert sorted(set(finished_runs(study).runs.method)) == METHODS
    source = find_source(PROFILE, params=str(study.params), results=str(study.results))
    own = boards_of(source)[f"profile {PROFILE}"]
    assert sorted(set(own.method)) == METHODS
