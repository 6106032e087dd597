from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd

from ibench.analysis.frames import Run
from ibench.analysis.lives import life_rows, lives_paragraph, lives_table
from ibench.records import HostProbe, HostWatch, Speedup

PROBE = HostProbe(integer_s=1.0, copy_s=1.0, matmul_s=1.0)
SLOWER = HostProbe(integer_s=1.5, copy_s=1.0, matmul_s=1.0)
FOUND = Speedup(
    value=2.0, low=1.8, high=2.2, confidence=0.95, lives=2, blocks=4, block_sd=0.05
)


def run(method: str, speedup: Speedup | None = FOUND, *faults: str) -> Run:
    host = HostWatch(
        before=PROBE,
        after=SLOWER,
        seconds=9.0,
        steal_share=0.01,
        others_cores=0.5,
        pressure_share=None,
    )
    made: Any = SimpleNamespace(
        scenario="b",
        method=method,
        seeds="1-2",
        evidence=SimpleNamespace(host=(host,)),
        verdict=SimpleNamespace(speedup=speedup, invalid=faults),
    )
    return cast(Run, made)


def frame(*runs: Run) -> pd.DataFrame:
    return pd.DataFrame([row for r in runs for row in life_rows(r)])


def test_a_run_on_a_machine_that_moved_stands_first_with_the_reason() -> None:
    why = "run: other programs 0.5 cores, the limit 0.25"
    lives = frame(run("quiet"), run("moved", FOUND, why, "baseline, phase x: other"))
    table = lives_table(lives)
    assert list(table.method) == ["moved", "quiet"]
    assert list(table.reason) == ["other programs 0.5 cores, the limit 0.25", ""]
    assert list(table["drift (%)"]) == [50.0, 50.0]
    assert list(table["block sd (%)"]) == [5.0, 5.0]
    assert "On 1 of 2 runs it did not" in lives_paragraph(lives)


def test_a_machine_that_held_still_is_said_too() -> None:
    assert "held still" in lives_paragraph(frame(run("quiet")))


def test_a_run_without_a_speedup_has_no_row() -> None:
    lives = frame(run("dead", None))
    assert lives.empty
    assert lives_table(lives).empty
    assert lives_paragraph(lives) == "No run was compared with a baseline."
