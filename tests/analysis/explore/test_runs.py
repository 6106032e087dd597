from __future__ import annotations

import pytest

from ibench.analysis.explore.data import PanelData
from ibench.analysis.explore.runs import RunsView, request_figure, requests_of
from ibench.records import FailureKind
from ibench.study.definition import Study
from tests.factories import result


def test_each_request_has_its_latency_and_its_place() -> None:
    made = requests_of(
        (
            result(30.0, 2.0, 4, start_ms=500.0),
            result(40.0, 3.0, 2, start_ms=700.0),
            result(failure=FailureKind.TIMEOUT, start_ms=900.0),
        )
    )
    assert made.each.at_s.tolist() == pytest.approx([0.0, 0.2, 0.4])
    assert made.each.ttft_ms.tolist()[:2] == pytest.approx([30.0, 40.0])
    assert made.each.why.tolist() == ["", "", "timeout"]
    assert made.gaps.itl_ms.tolist() == pytest.approx([2.0, 2.0, 2.0, 3.0])


def test_failed_requests_are_drawn_as_such() -> None:
    made = requests_of((result(), result(failure=FailureKind.TIMEOUT, start_ms=9.0)))
    labels = request_figure(made, "t").axes[0].get_legend_handles_labels()[1]
    assert labels == ["burst, p50 10 ms", "burst, 1 failed: timeout"]


def test_nothing_but_failures_is_drawn_too() -> None:
    made = requests_of((result(failure=FailureKind.CONNECT),))
    assert made.gaps.empty
    assert len(request_figure(made, "t").axes) == 2


def test_the_table_has_a_row_a_run_with_units(own: PanelData) -> None:
    view = RunsView(own)
    table = view.table()
    assert len(table) == 24
    assert {"speedup (x)", "TTFT p50 (ms)", "TPOT p50 (ms)"} <= set(table)
    for i in (0, 23):
        assert table.method[i] == own.runs[i].method
        assert f"<b>{own.runs[i].method}</b>" in view.text(i)


def test_a_row_shows_its_own_requests(own: PanelData) -> None:
    view = RunsView(own)
    row = next(i for i, r in enumerate(own.runs) if len(r.evidence.phases) == 3)
    figure = view.figure(row)
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert [name.split(",")[0] for name in labels] == ["burst", "poisson", "constant"]
    assert figure.get_suptitle().startswith(f"{own.runs[row].method}, C")


def test_missing_tables_are_said(own: PanelData, explored: Study) -> None:
    path = explored.root / own.finished[0][0].path / "relaunch" / "requests.parquet"
    kept = path.read_bytes()
    path.unlink()
    try:
        figure = RunsView(own).figure(0)
    finally:
        path.write_bytes(kept)
    assert "requests.parquet" in figure.axes[0].texts[0].get_text()


def test_published_rows_stand_among_their_field(printed: PanelData) -> None:
    view = RunsView(printed)
    table = view.table()
    assert len(table) == 4 * (21 + 39)
    assert "Requests are not published" in view.text(0)
    axis = view.figure(0).axes[0]
    assert len(axis.patches) == 21
    assert sum(p.get_alpha() == 1 for p in axis.patches) == 1
