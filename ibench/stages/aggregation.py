"""Stage 5: every verdict of the grid into tables and figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from ibench.analysis.comparison import comparison_table
from ibench.analysis.control import control_table
from ibench.analysis.costs import (
    cost_paragraph,
    cost_row,
    cost_table,
    price_sessions,
)
from ibench.analysis.exactness import timing_rows
from ibench.analysis.frames import (
    Run,
    found_frame,
    progress_rows,
    run_row,
    trial_rows,
)
from ibench.analysis.lives import life_rows
from ibench.analysis.report import Tables, drawn
from ibench.analysis.runs import read_baseline, read_runs
from ibench.analysis.scores import (
    aggregate_tables,
    cell_table,
    competitors,
    outcome_table,
    with_speedups,
)
from ibench.analysis.style import save_figure, titles
from ibench.files import file_sha256
from ibench.methods.agents.links import read_head
from ibench.metrics.intervals import t_interval
from ibench.params.prices import latest_prices
from ibench.records import StudyResult
from ibench.store import load_record
from ibench.study.job import OpenJob

__all__ = ["aggregate", "figures_of", "frames_of", "iteration_logs"]

LOG_BYTES = 256 * 2**10


def frames_of(runs: Iterable[Run]) -> tuple[pd.DataFrame, ...]:
    """Tables of runs: themselves, progress, trials, timing, what they used, lives."""
    tables: tuple[list[dict[str, Any]], ...] = ([], [], [], [], [], [])
    for run in runs:  # one at a time: they need not fit in memory
        rows = (
            [run_row(run)],
            progress_rows(run),
            trial_rows(run),
            timing_rows(run),
            [cost_row(run)],
            life_rows(run),
        )
        for table, made in zip(tables, rows, strict=True):
            table.extend(made)
    return tuple(map(pd.DataFrame, tables))


def build_tables(job: OpenJob) -> Tables:
    """Compute every table of the report.

    Raises:
        CorruptResultError: a record is missing or was edited.
    """
    choices = job.study.profile.statistics
    read = read_runs(job.study).checked()
    runs, progress, trials, timing, used, lives = frames_of(read)
    frame = with_speedups(runs, choices)
    other = "speedup_plain" if choices.floor_below_baseline else "speedup_floored"
    competing = competitors(frame)
    scores, other_floor = aggregate_tables(competing, choices, ("speedup", other))
    prices = latest_prices(job.study.params)
    costs = price_sessions(job.study, used, prices)
    return Tables(
        runs=frame,
        cells=cell_table(competing),
        aggregate=scores,
        comparison=comparison_table(competing, scores, choices.confidence),
        control=control_table(frame, choices.confidence),
        other_floor=other_floor,
        outcomes=outcome_table(frame),
        trials=trials,
        progress=progress,
        found=found_frame(frame),
        baselines=_baselines(job),
        timing=timing,
        lives=lives,
        costs=cost_table(costs, scores),
        cost_text=cost_paragraph(costs, prices),
        host=_host(job),
        choices=choices,
        budget_s=max(job.study.budget.search_s, job.study.budget.agent_s),
    )


def _host(job: OpenJob) -> dict[str, str]:
    """The machine that measured, from the first baseline's provenance."""
    record = load_record(next(f for f in job.job.needs if f.name == "baseline"))
    return {k: str(v) for k, v in record.provenance.host.items()}


def iteration_logs(job: OpenJob, method: str) -> str:
    """The agent's own iteration logs of the first seed pair, as it wrote them."""
    parts = []
    for cell in job.study.cells():
        first = job.study.scenarios[cell.scenario].seed_pairs[0]
        if cell.method != method or cell.seeds != first:
            continue
        path = job.study.root / cell.path / "submission" / "workspace"
        data = read_head(path / "iteration_log.md", LOG_BYTES + 1)
        text = (data or b"no log was left")[:LOG_BYTES].decode(errors="replace")
        if len(data or b"") > LOG_BYTES:
            text += f"\n\n(cut at {LOG_BYTES >> 10} KiB)"
        parts.append(f"**{titles(cell.scenario)}, seeds {cell.seeds.label}**\n\n{text}")
    return "\n\n".join(parts) or f"No method {method!r} in this profile."


def _baselines(job: OpenJob) -> pd.DataFrame:
    rows = []
    for cell in job.study.cells():
        if cell.method != "baseline":
            continue
        result = read_baseline(job.study, cell)
        spread = _relative_half_width(result.repeats, job)
        for phase in result.evidence.phases:
            rows.append(
                {
                    "scenario": cell.scenario,
                    "seeds": cell.seeds.label,
                    "phase": phase.name,
                    "completed": f"{phase.completed}/{phase.requests}",
                    "ttft_p50_ms": _ms(phase.ttft_p50_s),
                    "tpot_p50_ms": _ms(phase.tpot_p50_s),
                    "request_rate_per_s": phase.request_rate_per_s,
                    "token_rate_per_s": phase.token_rate_per_s,
                    "lives": max(1, len(result.repeats)),
                    "half_width_percent": spread,
                }
            )
    return pd.DataFrame(rows)


def _relative_half_width(objectives: Sequence[float], job: OpenJob) -> float | None:
    """Half width of the mean's interval over server lives, as a share in percent.

    On logarithms, since speedups are ratios; unknown after a single life.
    """
    if len(objectives) < 2:
        return None
    confidence = job.study.profile.statistics.confidence
    found = t_interval([math.log(o) for o in objectives], confidence)
    return 100 * math.expm1((found.high - found.low) / 2)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def aggregate(job: OpenJob) -> tuple[StudyResult, Tables]:
    """Write tables and figures; return what was published and the tables to show."""
    job.status.phase("tables")
    tables = build_tables(job)
    out = job.folder / "tables"
    out.mkdir(exist_ok=True)
    for name, frame in vars(tables).items():
        if not isinstance(frame, pd.DataFrame):
            continue
        frame.to_csv(out / f"{name}.csv", index=False, float_format="%.6g")
        job.keep(f"tables/{name}.csv")
    job.status.phase("figures")
    files = {}
    for entry in drawn(tables):
        figure, data = entry.draw(tables), entry.data(tables)
        save_figure(figure, data, job.folder / "figures", entry.name)
        for suffix in ("png", "pdf", "csv"):
            name = f"{entry.name}.{suffix}"
            job.keep(f"figures/{name}")
            files[name] = file_sha256(job.folder / "figures" / name)
    counts = tables.runs.outcome.value_counts()
    result = StudyResult(
        runs=len(tables.runs),
        outcomes={str(k): int(v) for k, v in counts.items()},
        report="report.html",
        files=files,
    )
    return result, tables


def figures_of(job: OpenJob, tables: Tables, section: str) -> list[Any]:
    """Figures of one section of the report with their captions, to be displayed."""
    from IPython import display  # noqa: PLC0415 (notebooks only)

    untyped: Any = display
    shown: list[Any] = []
    for entry in drawn(tables):
        if entry.section == section:
            path = job.folder / "figures" / f"{entry.name}.png"
            shown.append(untyped.Image(path, width=entry.width))
            shown.append(untyped.Markdown(entry.caption(tables)))
    return shown
