from __future__ import annotations

import pytest

from ibench.analysis.explore.data import PanelData, find_source
from ibench.study.definition import Study
from tests.analysis.explore.studies import PROFILE, make_explored


@pytest.fixture(scope="session")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_explored(tmp_path_factory.mktemp("explored"))


@pytest.fixture(scope="session")
def own(explored: Study) -> PanelData:
    """A source with runs."""
    return find_source(
        PROFILE, params=str(explored.params), results=str(explored.results)
    )


@pytest.fixture(scope="session")
def printed(tmp_path_factory: pytest.TempPathFactory) -> PanelData:
    """A source without runs."""
    return find_source("cpu", results=str(tmp_path_factory.mktemp("empty")))
