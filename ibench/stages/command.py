"""Commands that run stages or judge outside a study: stage, report, figures, score."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from typer import Argument, Option

from ibench.params.options import NOTEBOOKS, PAPER, PUBLISHED, SCENARIO
from ibench.study.command import with_study
from ibench.study.definition import Study
from ibench.study.grid import FINAL, Grid
from ibench.terminal import show

__all__ = ["figures", "report", "score", "stage"]


@with_study()
def stage(
    study: Grid[Any],
    job: str = Argument(help="Such as a/careful/21-1337/relaunch."),
    notebooks: Path = NOTEBOOKS,
) -> int:
    """Run one job of the grid."""
    from ibench.stages.runner import StageRunner  # noqa: PLC0415
    from ibench.study.progress import Line  # noqa: PLC0415

    StageRunner(study, notebooks, Line(sys.stderr)).run(study.job(job))
    return 0


@with_study()
def report(study: Grid[Any]) -> int:
    """Write report.html from the executed aggregation notebook."""
    from ibench.stages.report import export_report  # noqa: PLC0415

    path = export_report(study.jobs[FINAL].folder, study.root / "report.html")
    show(f"report: {path}")
    return 0


def figures(
    notebooks: Path = NOTEBOOKS,
    published: Path = PUBLISHED,
    output: Path = PAPER,
) -> int:
    """Regenerate the paper's tables and figures."""
    from ibench.stages.figures import Build, run_notebooks  # noqa: PLC0415

    started = time.monotonic()
    sources = Build(published.resolve(), notebooks / "paper", output.resolve())
    ran = run_notebooks(sources, show)
    show(f"{output}: {ran} notebooks ran in {time.monotonic() - started:.1f} s")
    return 0


@with_study("cpu")
def score(
    study: Study,
    target: str = Argument(help="Folder with start_server.sh, or a server's address."),
    scenario: str = SCENARIO,
    baseline: bool = Option(False, "--baseline", help="Measure a missing reference."),
    out: Path | None = Option(None, help="Folder for evidence; else RESULTS/scores."),
) -> int:
    """Score a launcher folder or a running server."""
    from ibench.load.lines import phase_table  # noqa: PLC0415
    from ibench.stages import score as scoring  # noqa: PLC0415
    from ibench.study.lock import allocated_gpus, announced, measuring  # noqa: PLC0415
    from ibench.study.make import SCORES  # noqa: PLC0415

    name = "".join(c if c.isalnum() else "-" for c in target).strip("-")[-60:]
    own = study.results / SCORES / study.profile.name
    folder = out or own / f"{scenario}-{name}"
    gpus = allocated_gpus() if study.host.gpu else ()
    with measuring(study.results, gpus, announced(sys.stderr)):
        found, phases = scoring.score(
            study, target, scenario, folder.resolve(), with_baseline=baseline
        )
    show(*map(phase_table, phases), scoring.score_table(found), found.model_dump_json())
    return 0 if found.outcome == "ok" else 1
