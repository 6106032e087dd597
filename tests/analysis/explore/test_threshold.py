from __future__ import annotations

from dataclasses import replace

import pytest

from ibench.analysis.explore.data import PanelData
from ibench.analysis.explore.rejudge import Rejudged, judge_again, open_rejudged
from ibench.analysis.explore.threshold import (
    ThresholdRules,
    Thresholds,
    _name,
    published_board,
    published_outcomes,
)
from ibench.analysis.frames import Run
from ibench.gates.verdict import judge_run
from ibench.records import BaselineResult
from ibench.store import load_record
from ibench.study.definition import Cell, Study
from ibench.study.judging import Case, open_case


@pytest.fixture(scope="module")
def mine(own: PanelData) -> Thresholds:
    return Thresholds(own)


@pytest.fixture(scope="module")
def theirs(printed: PanelData) -> Thresholds:
    return Thresholds(printed)


def _case(study: Study, cell: Cell, run: Run) -> Case:
    base = study.root / Cell(cell.scenario, "baseline", cell.seeds).path / "baseline"
    result = load_record(base).result
    assert isinstance(result, BaselineResult)
    folder = study.root / cell.path / "relaunch"
    return open_case(study, cell.scenario, (folder, run.evidence), (base, result))


@pytest.mark.parametrize("tau", [0.3, 0.5, 0.501, 0.9, 0.95, 1.0])
def test_every_tau_between_gives_what_the_gate_gives(
    own: PanelData, explored: Study, tau: float
) -> None:
    for cell, run in own.finished[:3]:
        path = Cell(cell.scenario, "baseline", cell.seeds).path / "baseline"
        base = load_record(explored.root / path).result
        assert isinstance(base, BaselineResult)
        case = _case(explored, cell, run)
        gates = explored.gates.model_copy(update={"tau": tau})
        again = judge_again(run, case, gates, judge=False)
        direct = judge_run(
            case.run,
            case.baseline,
            case.questions,
            gates,
            model_id=explored.model.model_id,
            model_dir_name=run.evidence.model_dir_name,
        )
        assert again.at(tau).outcome == direct.outcome


def test_the_explorer_judges_a_forced_engine_as_stage_4_does(
    own: PanelData, explored: Study
) -> None:
    cell, run = own.finished[0]
    case = _case(explored, cell, run)._replace(forced_engine="vllm")
    outcome = judge_again(run, case, explored.gates, judge=False).at(0.9).outcome
    assert outcome == case.judge(explored.gates).outcome == "integrity"


def test_a_recorded_violation_counts_while_the_judge_is_on(
    own: PanelData, explored: Study
) -> None:
    cell, run = own.finished[2]
    verdict = run.verdict.model_copy(update={"judge": "violation"})
    case = _case(explored, cell, run)
    case = case._replace(baseline=case.run)
    on, off = (
        judge_again(
            replace(run, verdict=verdict), case, explored.gates, judge=judge
        ).at(0.9)
        for judge in (True, False)
    )
    assert (on.outcome, off.outcome) == ("integrity", "ok")


def test_tau_moves_outcomes_and_board(mine: Thresholds) -> None:
    loose, usual = (ThresholdRules(t, floor=False, judge=False) for t in (0.5, 0.95))
    counts = [mine.outcomes(r).set_index("method") for r in (loose, usual)]
    assert counts[0]["ok"].tolist() == [8, 8, 8]
    assert counts[1]["quality"].to_dict() == {"m00": 8, "m01": 8, "m02": 0}
    boards = [mine.board(r).set_index("method")["aggregate"] for r in (loose, usual)]
    assert boards[0]["m00"] != boards[1]["m00"] == 1.0
    assert "ok <b>24</b>" in mine.text(loose)


def test_the_floor_lifts_and_never_lowers(mine: Thresholds) -> None:
    plain, floored = (
        mine.board(ThresholdRules(0.5, floor=f, judge=False)).set_index("method")[
            "aggregate"
        ]
        for f in (False, True)
    )
    assert (floored >= plain.loc[floored.index]).all()
    assert (floored > plain.loc[floored.index]).any()


def test_a_judge_that_was_not_run_gives_no_score(mine: Thresholds) -> None:
    rules = ThresholdRules(0.5, floor=False, judge=True)
    assert mine.board(rules).empty
    assert mine.outcomes(rules)["incomplete"].sum() == 24
    assert "not run for 24 runs" in mine.text(rules)
    assert "No method has a score" in mine.text(rules)
    assert len(mine.figure(rules).axes) == 2


def test_without_tables_the_published_numbers_are_shown(
    own: PanelData, explored: Study
) -> None:
    cell, _ = own.finished[0]
    path = explored.root / cell.path / "relaunch" / "chunks.parquet"
    kept = path.read_bytes()
    path.unlink()
    try:
        assert isinstance(open_rejudged(own), str)
        view = Thresholds(own)
    finally:
        path.write_bytes(kept)
    assert view.runs is None
    assert "chunks.parquet" in view.why
    assert "published numbers" in view.figure(view.usual).get_suptitle()
    assert isinstance(open_rejudged(own), Rejudged)


def test_the_published_outcomes_are_those_of_the_paper(theirs: Thresholds) -> None:
    row = published_outcomes(theirs.data, 0.95, judge=True).to_dict("records")[0]
    assert (row["ok"], row["quality"]) == (117, 34)
    assert (row["integrity"], row["unreachable"]) == (11, 18)
    strict = published_outcomes(theirs.data, 0.97, judge=True).loc[0]
    assert (strict.ok, strict.quality) == (116, 35)


def test_without_the_judge_flagged_runs_are_undecided(theirs: Thresholds) -> None:
    row = published_outcomes(theirs.data, 0.95, judge=False).loc[0]
    assert (row.ok, row.integrity, row.undecided) == (117, 0, 11)
    assert "undecided <b>11</b>" in theirs.text(
        ThresholdRules(0.95, floor=False, judge=False)
    )


def test_the_floor_lifts_one_published_cell(theirs: Thresholds) -> None:
    plain, floored = (
        published_board(theirs.data, floor=f).set_index("method")["aggregate"]
        for f in (False, True)
    )
    moved = floored[(floored - plain.loc[floored.index]).abs() > 1e-9]
    assert list(moved.index) == ["Claude Haiku 4.5"]


def test_the_taus_are_what_the_data_knows(mine: Thresholds, theirs: Thresholds) -> None:
    assert len(theirs.taus()) == 8
    assert theirs.usual == ThresholdRules(0.95, floor=False, judge=True)
    assert mine.taus()[0] == 0.5
    assert mine.taus()[-1] == 1.0
    assert "prints a change of 1" in theirs.text(
        ThresholdRules(0.97, floor=False, judge=True)
    )


def test_a_method_with_runs_without_a_score_keeps_its_place(mine: Thresholds) -> None:
    assert mine.runs is not None
    rules = ThresholdRules(0.5, floor=False, judge=False)
    frame = mine.runs.frame(rules.tau, floor=rules.floor, judge=rules.judge)
    lost = frame.index == frame[frame.method == "m00"].index[0]
    board = mine.runs.board(frame.assign(speedup=frame.speedup.mask(lost)))
    row = board.set_index("method").loc["m00"]
    assert (row.scored, row.runs) == (7, 8)
    assert _name("m00", board) == "m00 (7 of 8 runs)"
    assert _name("m01", board) == "m01"
