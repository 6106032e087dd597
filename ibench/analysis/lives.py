"""A submission beside the baseline, and the machine meanwhile: one row a run."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ibench.analysis.frames import Run

__all__ = ["life_rows", "lives_paragraph", "lives_table"]

_PERCENT = 100.0


def life_rows(run: Run) -> list[dict[str, Any]]:
    """The run's speedup as its lives gave it, and the worst that the machine did."""
    found, hosts = run.verdict.speedup, run.evidence.host
    if found is None:
        return []
    faults = [why for why in run.verdict.invalid if why.startswith("run: ")]
    return [
        {
            "scenario": run.scenario,
            "method": run.method,
            "seeds": run.seeds,
            "speedup": found.value,
            "low": found.low,
            "high": found.high,
            "unpaired": found.unpaired,
            "lives": found.lives,
            "blocks": found.blocks,
            "block_sd": found.block_sd,
            "life_sd": found.life_sd,
            "drift": max((h.drift for h in hosts), default=None),
            "steal": max((h.steal_share for h in hosts), default=None),
            "others": max((h.others_cores for h in hosts), default=None),
            "faults": "; ".join(f.removeprefix("run: ") for f in faults),
        }
    ]


def lives_paragraph(lives: pd.DataFrame) -> str:
    """Say how runs were compared, and on how many the machine did not hold still."""
    if lives.empty:
        return "No run was compared with a baseline."
    paired = int((lives.blocks > 0).sum())
    text = (
        f"{paired} of {len(lives)} runs were loaded beside the baseline, block by "
        "block in turns. `unpaired` is the ratio to the baseline alone in stage 1; it "
        "scores nothing. `drift`: how much a fixed piece of work changed on the "
        "servers' cores over a life; `others`: cores that were busy for somebody else. "
    )
    moved = lives[lives.faults != ""]
    if moved.empty:
        return text + "**The machine held still within the gates' limits.**"
    return text + (
        f"**On {len(moved)} of {len(lives)} runs it did not**, by the gates' limits: "
        "they stand first, with the reason."
    )


def lives_table(lives: pd.DataFrame) -> pd.DataFrame:
    """Per run, those on which the machine moved first; spreads in percent."""
    if lives.empty:
        return lives
    ordered = lives.sort_values("faults", ascending=False, kind="stable")
    shares = {
        "block sd (%)": ordered.block_sd,
        "life sd (%)": ordered.life_sd,
        "drift (%)": ordered.drift,
        "steal (%)": ordered.steal,
    }
    named = ["method", "seeds", "speedup", "low", "high", "unpaired", "lives"]
    table = ordered[named].copy()
    table.insert(0, "scenario", ordered.scenario.str.upper())
    for name, values in shares.items():
        table[name] = (values.astype(float) * _PERCENT).round(1)
    table["others (cores)"] = ordered.others.astype(float).round(2)
    return table.assign(reason=ordered.faults)
