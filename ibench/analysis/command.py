"""Commands that read results: claims, compare, site, trajectories."""

from __future__ import annotations

import time
from pathlib import Path

from typer import Argument, Option

from ibench.errors import ParameterError
from ibench.params.options import PAPER, PARAMS, PUBLISHED, RESULTS
from ibench.study.command import with_study
from ibench.study.definition import Study
from ibench.terminal import say, show

__all__ = ["claims", "compare", "site", "trajectories"]

SHOWN = 10
HUB = "hub"
# Columns of the table of runs that fit beside each other.
COLUMNS = (
    "run_id", "agent", "outcome", "engine_shipped", "launches", "distinct_configs",
    "evaluations", "best_seen", "shipped_measured",
)  # fmt: skip


def claims(
    params: Path = PARAMS,
    results: Path = RESULTS,
    published: Path = PUBLISHED,
    profile: str | None = Option(None, help="Study whose records are checked too."),
) -> int:
    """Check the paper's claims one by one."""
    from ibench.analysis.paper.claims import check_claims, report  # noqa: PLC0415

    checked = check_claims(params, published, results, profile)
    show(*report(checked))
    return 1 if any(c.verdict.is_failure for c in checked) else 0


@with_study()
def compare(
    study: Study,
    published: Path = PUBLISHED,
    output: Path = Option(PAPER, help="Folder to write."),
) -> int:
    """Put a profile's results beside the paper's."""
    from ibench.analysis.paper.compare import compare as beside  # noqa: PLC0415

    show(beside(study, published, output / "compare"))
    return 0


@with_study("cpu")
def site(
    study: Study,
    published: Path = PUBLISHED,
    trajectories: Path | None = Option(None, help="Exported trajectories; else own."),
    out: Path | None = Option(None, help="Folder to write; else RESULTS/PROFILE/site."),
) -> int:
    """Write a profile as static pages."""
    from ibench.analysis.site.build import build_site  # noqa: PLC0415

    begin = time.perf_counter()
    exported = study.root / "trajectories"
    built = build_site(
        study,
        out or study.root / "site",
        published=published,
        trajectories=trajectories
        or (exported if (exported / "runs.json").is_file() else None),
    )
    for line in built.problems[:SHOWN]:
        say(f"site: {line}")
    if len(built.problems) > SHOWN:
        more = len(built.problems) - SHOWN
        say(f"site: {more} more lines stand on the page About")
    took = time.perf_counter() - begin
    show(
        f"{built.index}: {built.runs} runs, {built.replays} with a replay, "
        f"{built.bytes / 1e6:.1f} MB, {took:.1f} s"
    )
    return 0


def trajectories(
    folder: str = Argument(help=f"Folder of runs, or {HUB!r} for the public data set."),
    out: Path = Option(help="Folder to write."),
    revision: str | None = Option(None, help="Commit of the data set; else pinned."),
) -> int:
    """Read agents' transcripts into tables and the viewer's JSON."""
    from ibench.analysis.trajectories import summary  # noqa: PLC0415
    from ibench.analysis.trajectories.folder import write_all  # noqa: PLC0415
    from ibench.analysis.trajectories.public import REVISION, fetch  # noqa: PLC0415

    is_hub = folder == HUB and not Path(HUB).is_dir()
    if revision and not is_hub:
        remedy = f"only the public data set has one: read {HUB!r}"
        raise ParameterError("trajectories", "--revision", revision, remedy)
    try:
        source = fetch(revision=revision or REVISION) if is_hub else Path(folder)
        written = write_all(source, out)
    except KeyboardInterrupt:
        say("interrupted; no table was written")
        return 130  # as a shell has it
    show(*(f"problem: {problem}" for problem in written.problems))
    facts = written.facts
    modes = summary.failure_modes(facts)
    parts = [
        written.table[list(COLUMNS)],
        summary.behaviour(facts),
        summary.technique_shares(facts),
        modes[modes["runs"] > 0],
    ]
    for part in parts:
        if len(part):
            show(part.to_string(index=False, na_rep="-", max_rows=60), "")
    show(f"{len(facts)} runs in {out}")
    return 0
