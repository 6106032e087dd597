from __future__ import annotations

import pytest

from ibench.analysis.explore.compare import AGGREGATE, PAPER, Boards, methods_of
from ibench.analysis.explore.data import PanelData

SEPTEMBER = "site, September 2026"


def test_the_profile_stands_first_where_there_is_one(
    own: PanelData, printed: PanelData
) -> None:
    published = [PAPER, "site, June 2026", SEPTEMBER]
    assert Boards(own).names() == ["profile many", *published]
    assert Boards(printed).names() == published


def test_aggregates_are_the_printed_ones(printed: PanelData) -> None:
    boards = Boards(printed)
    paper = methods_of(boards.all[PAPER], AGGREGATE).set_index("method").value
    assert paper["SMAC"] == pytest.approx(11.53, abs=0.01)
    site = methods_of(boards.all[SEPTEMBER], AGGREGATE)
    assert len(site) == 41
    assert site.method.is_unique
    assert set(site.kind) == {"agent", "search", "default"}


def test_kinds_are_compared_with_the_noise(own: PanelData, printed: PanelData) -> None:
    text = Boards(own).text("profile many", PAPER, AGGREGATE)
    assert text.startswith("Aggregate over A, B, C, D: profile many and paper, Table 2")
    assert text.count("ratio") == 3
    assert "noise unknown" in Boards(printed).text(PAPER, SEPTEMBER, "a")


def test_methods_that_both_name_are_joined(own: PanelData, printed: PanelData) -> None:
    named = Boards(printed).figure(PAPER, SEPTEMBER, "c").axes
    assert len(named) == 2
    labels = [t.get_text() for t in named[1].get_yticklabels()]
    assert "Claude Opus 4.7" in labels
    assert "vLLM default" in labels
    assert len(Boards(own).figure("profile many", PAPER, AGGREGATE).axes) == 1
    assert len(Boards(printed).figure(PAPER, PAPER, AGGREGATE).axes) == 1
