from __future__ import annotations

from pathlib import Path

import nbformat
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ibench.analysis import figures, text
from ibench.analysis.frames import Run, found_frame, progress_rows, run_row
from ibench.analysis.scores import (
    aggregate_table,
    cell_table,
    outcome_table,
    with_speedups,
)
from ibench.analysis.style import save_figure
from ibench.analysis.timeline import request_figure
from ibench.errors import CorruptResultError
from ibench.records import Outcome, Submission, Trial, Verdict
from ibench.stages.report import export_report
from tests.analysis.test_scores import CHOICES
from tests.factories import evidence, result


def run(method: str, scenario: str, seeds: str, objective: float, outcome: str) -> Run:
    trial = Trial(
        index=0,
        config={"threads": 1},
        outcome="ok",
        objective=objective,
        started_s=0.0,
        launch_s=4.0,
        evaluate_s=2.0,
        teardown_s=0.5,
    )
    submission = Submission(
        method=method,
        path="submission",
        sha256="0" * 64,
        outcome="finished",
        budget_s=30.0,
        used_s=20.0,
        sandbox="bwrap",
        trials=(trial,),
        best_seen=objective,
        shipped=objective,
    )
    verdict = Verdict(
        outcome=Outcome(outcome),
        reason="as made",
        quality=None,
        findings=(),
        judge="not_run",
        required_checks=("quality", "rules"),
        not_run=("judge",),
        objective=objective,
        baseline_objective=2.0,
    )
    return Run(scenario, method, "search", seeds, submission, evidence(), verdict)


RUNS = [
    run(method, scenario, seeds, base + bump, outcome)
    for method, base, outcome in (("tpe", 5.0, "ok"), ("careful", 7.0, "quality"))
    for scenario in ("a", "c")
    for seeds, bump in (("21-1337", 0.0), ("248-428", 0.5))
]
FRAME = with_speedups(pd.DataFrame([run_row(r) for r in RUNS]), CHOICES)
PROGRESS = pd.DataFrame([row for r in RUNS for row in progress_rows(r)])
CELLS, AGGREGATE = cell_table(FRAME), aggregate_table(FRAME, CHOICES)

DRAWN: dict[str, tuple[Figure, pd.DataFrame]] = {
    "aggregate": (figures.aggregate_figure(AGGREGATE, CELLS), AGGREGATE),
    "scenarios": (figures.scenario_figure(FRAME), FRAME),
    "outcomes": (figures.outcome_figure(outcome_table(FRAME)), outcome_table(FRAME)),
    "convergence": (figures.convergence_figure(PROGRESS, 30.0), PROGRESS),
    "found": (figures.found_figure(found_frame(FRAME)), found_frame(FRAME)),
}


@pytest.mark.parametrize("name", list(DRAWN))
def test_figures_are_written_as_png_pdf_and_csv(tmp_path: Path, name: str) -> None:
    figure, data = DRAWN[name]
    save_figure(figure, data, tmp_path, name)
    assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / f"{name}.pdf").read_bytes()[:4] == b"%PDF"
    assert len(pd.read_csv(tmp_path / f"{name}.csv")) == len(data)


def test_figures_are_byte_stable(tmp_path: Path) -> None:
    figure, data = DRAWN["aggregate"]
    for folder in ("one", "two"):
        save_figure(figure, data, tmp_path / folder, "f")
    for suffix in ("png", "pdf", "csv"):
        one, two = (tmp_path / f / f"f.{suffix}" for f in ("one", "two"))
        assert one.read_bytes() == two.read_bytes(), suffix


def test_the_caption_says_what_the_whiskers_are() -> None:
    line = text.aggregate_caption(FRAME, CHOICES)
    assert "95% interval over seed pairs" in line
    one = FRAME[FRAME.seeds == "21-1337"]
    assert "One seed pair gives no whiskers" in text.aggregate_caption(one, CHOICES)


def test_what_was_not_run_is_said() -> None:
    line = text.not_run_paragraph(FRAME)
    assert "**Not run: judge.**" in line
    assert "not a pass" in line


def test_the_matrix_shows_mean_and_sem() -> None:
    matrix = text.cell_matrix(CELLS).set_index("method")
    assert matrix.loc["tpe", "A"] == "2.62 ± 0.12"
    assert matrix.loc["careful", "C"] == "1.00 ± 0.00"


def test_measuring_pays_counts_pairs_of_runs() -> None:
    line = text.careful_paragraph(FRAME, "tpe", "careful")
    assert "**4 of 4** pairs of runs" in line
    assert "does not hold both" in text.careful_paragraph(FRAME, "tpe", "nobody")


def test_pairs_without_a_score_are_not_counted() -> None:
    first = FRAME.index == FRAME.index[0]
    runs = FRAME.assign(speedup=FRAME.speedup.mask(first))
    line = text.careful_paragraph(runs, "tpe", "careful")
    assert "**3 of 3** pairs of runs" in line
    none = FRAME.assign(speedup=float("nan"))
    assert "No pair of runs" in text.careful_paragraph(none, "tpe", "careful")


def test_progress_is_the_best_so_far_over_the_baseline() -> None:
    assert PROGRESS.iloc[0].t_s == 6.0
    assert PROGRESS.iloc[0].best == 2.5


def test_the_request_figure_needs_tokens() -> None:
    rows = [result().model_dump(exclude={"chunks"})]
    assert isinstance(request_figure(pd.DataFrame(rows)), Figure)
    assert request_figure(pd.DataFrame()) == "no request got a token"


def test_the_report_is_one_page_without_code(tmp_path: Path) -> None:
    output = nbformat.v4.new_output(
        "display_data", {"text/html": "<table><tr><td>42</td></tr></table>"}
    )
    cells = [
        nbformat.v4.new_markdown_cell("# Title"),
        nbformat.v4.new_code_cell("secret_code = 1", outputs=[output]),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "executed.ipynb")
    page = export_report(tmp_path, tmp_path / "report.html").read_text()
    assert "<td>42</td>" in page
    assert "secret_code" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_lost_notebook_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CorruptResultError, match="make reproduce"):
        export_report(tmp_path, tmp_path / "report.html")


def test_trials_have_a_column_for_each_searched_parameter() -> None:
    rows = [
        {"scenario": "a", "method": "tpe", "seeds": "21-1337", "trial": i + 1}
        | {"configuration": f'{{"fixed":1,"threads":{i}}}', "outcome": "ok"}
        | {"objective": 1.0, "launch_s": 1.0, "evaluate_s": 1.0}
        for i in range(2)
    ]
    table = text.trial_table(pd.DataFrame(rows))
    assert list(table.threads) == [0, 1]
    assert "fixed" not in table
    assert text.trial_table(pd.DataFrame()).iloc[0, 0] == "none"
