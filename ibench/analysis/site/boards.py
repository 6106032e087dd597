"""Leaderboards and outcome pictures: frames in, models out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from ibench.analysis.paper.data import Published, rows_of
from ibench.analysis.scores import aggregate_table, cell_table
from ibench.analysis.site.data import (
    FOCI,
    OUTCOMES,
    Board,
    BoardRow,
    OutcomeGroup,
    OutcomeRow,
    Value,
)
from ibench.analysis.site.profile import StudyView

__all__ = [
    "outcome_group",
    "profile_board",
    "published_boards",
    "published_outcomes",
]

_GATES = {
    "passed_both_gates": "ok",
    "failed_or_incomplete_quality_gate": "quality",
    "failed_quality_gate": "quality",
    "integrity_flagged": "integrity",
    "server_or_runtime_failure": "unreachable",
}


def _value(mean: object, low: object = None, high: object = None) -> Value | None:
    number = _number(mean)
    if number is None:
        return None
    return Value(mean=number, low=_number(low), high=_number(high))


def _number(value: object) -> float | None:
    """A finite float; everything else is unknown."""
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return None


def _around(mean: object, sem: object) -> Value | None:
    middle, half = _number(mean), _number(sem)
    if middle is None or half is None:
        return _value(mean)
    return _value(middle, middle - half, middle + half)


def profile_board(profile: StudyView) -> Board:
    """The profile's own leaderboard, as its report computes it."""
    choices = profile.statistics
    frame = profile.frame
    cells = {(r.method, r.scenario): r for r in rows_of(cell_table(frame))}
    whole = {r.method: r for r in rows_of(aggregate_table(frame, choices))}
    kinds = dict(zip(frame.method, frame.kind, strict=True))
    rows = []
    for method, kind in kinds.items():
        values: dict[str, Value | None] = dict.fromkeys(FOCI)
        for scenario in FOCI[1:]:
            cell = cells.get((method, scenario))
            values[scenario] = cell and _around(cell.mean, cell.sem)
        total = whole[method]
        # A geometric mean over fewer scenarios cannot be compared with the others.
        if total.scenarios == frame.scenario.nunique():
            values["aggregate"] = _value(total.aggregate, total.low, total.high)
        row = {"name": method, "kind": kind, "note": _unscored(frame, method)}
        rows.append(BoardRow.model_validate(row | values))
    return Board(
        key="own",
        label=f"Profile {profile.name}",
        note=(
            f"{len(profile.runs)} of {profile.planned} runs finished, model "
            f"{profile.model}. Whiskers: {choices.confidence * 100:g} % interval over "
            "seed pairs (aggregate), mean ± SEM (one scenario); a single seed pair "
            "gives none. The control does not compete and is left out."
        ),
        rows=tuple(rows),
    )


def _unscored(frame: pd.DataFrame, method: str) -> str:
    own = frame[frame.method == method]
    unscored = int(own.speedup.isna().sum())
    return f"{unscored} of {len(own)} runs without a score" if unscored else ""


def published_boards(published: Published) -> tuple[Board, ...]:
    """The paper's Table 2 and the site's latest board."""
    paper = published("paper_table02_leaderboard")
    site = published("site_v1_0_5_leaderboard")
    return (
        Board(
            key="paper",
            label="Paper",
            note="Table 2 of the paper, as printed. Whiskers: mean ± SEM.",
            rows=tuple(
                _published(r, r.method, r.kind, _text(r.scaffold))
                for r in rows_of(paper)
            ),
        ),
        Board(
            key="site",
            label="Site, Sep 2026",
            note=(
                "Leaderboard v1.0.5 of the original site, as printed; * newer "
                "scaffold, † strict prompt. Whiskers: mean ± SEM of the aggregate; "
                "single scenarios are published without one."
            ),
            rows=tuple(
                _published(r, _name(r), "agent", _scaffold(r)) for r in rows_of(site)
            ),
        ),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _name(row: Any) -> str:  # noqa: ANN401 (a row of a checked frame)
    """Rows of one model differ in what the site marks: two may not look the same."""
    marks = "*" * bool(row.newer_scaffold) + "†" * bool(row.strict_prompt)
    return f"{row.model} {marks}".strip()


def _scaffold(row: Any) -> str:  # noqa: ANN401
    version = _text(row.scaffold_version)
    return f"{row.scaffold} {version}".strip()


def _published(row: Any, name: str, kind: str, note: str) -> BoardRow:  # noqa: ANN401
    values = {
        f: _around(getattr(row, f"{f}_speedup"), getattr(row, f"{f}_sem", None))
        for f in FOCI
    }
    return BoardRow.model_validate({"name": name, "kind": kind, "note": note} | values)


def outcome_group(
    key: str, label: str, note: str, pairs: Iterable[tuple[str, str]]
) -> OutcomeGroup:
    """Count (method, outcome) pairs; methods in the order they come."""
    counts: dict[str, Counter[str]] = {}
    for name, outcome in pairs:
        counts.setdefault(name, Counter())[outcome] += 1
    rows = tuple(
        OutcomeRow(
            name=name,
            runs=own.total(),
            shares=tuple(own[o] / own.total() for o in OUTCOMES),
        )
        for name, own in counts.items()
    )
    return OutcomeGroup(key=key, label=label, note=note, rows=rows)


def published_outcomes(published: Published) -> OutcomeGroup:
    """Outcomes as the paper and the site's later version print them."""
    paper = {
        str(r.outcome): float(r.runs)
        for r in rows_of(published("paper_table03_outcomes"))
    }
    total = paper.pop("total")
    frame = published("site_outcomes")
    later = frame[frame.site_version != "first"]
    percent = {str(r.outcome): float(r.percent) for r in rows_of(later)}
    return OutcomeGroup(
        key="published",
        label="Published",
        note=(
            "Paper, Table 3 (180 agent runs), and the site from June 2026, which "
            "prints shares only. The quality share includes evaluations that did "
            "not finish."
        ),
        rows=(
            OutcomeRow(
                name="Paper, 180 runs",
                runs=round(total),
                shares=_shares(paper, total),
            ),
            OutcomeRow(
                name="Site, June to September 2026",
                runs=None,
                shares=_shares(percent, 100.0),
            ),
        ),
    )


def _shares(numbers: dict[str, float], whole: float) -> tuple[float, ...]:
    by_outcome: dict[str, float] = {}
    for name, number in numbers.items():
        by_outcome[_GATES[name]] = number / whole
    return tuple(by_outcome.get(o, 0.0) for o in OUTCOMES)
