"""The last job: judge what was measured, aggregate, write the report. No GPU."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from ibench.cluster.claims import Claim, Owner
from ibench.errors import StageError
from ibench.store import RECORD, retire
from ibench.study.definition import Study
from ibench.study.make import make_rules
from ibench.study.state import job_states

__all__ = ["finish"]


def finish(
    study: Study,
    owner: Owner,
    utc: str,
    stage: Sequence[str],
    run: Callable[[list[str]], int] = subprocess.call,
) -> Path:
    """Run every stage that needs no measured machine, several at once.

    Args:
        study: the profile.
        owner: this process.
        utc: the time for people.
        stage: command line of one stage, without its job.
        run: runs make.

    Returns:
        The report.

    Raises:
        HeldError: another last job of this grid runs.
        StageError: cells are missing, or a stage failed.
    """
    states = job_states(study)
    missing = [
        j.name for j in study.jobs.values() if j.exclusive and states[j.name] != "done"
    ]
    if missing:
        # Make would run them here, where there may be no GPU.
        raise StageError(
            f"{study.profile.name}: {len(missing)} measured stages are not there, the "
            f"first is {missing[0]}: `make status`, then `make submit` runs them"
        )
    folder = study.root / ".cluster" / "finish"
    # nbconvert takes seconds to import, which `ibench status` need not wait for.
    from ibench.stages.report import export_report  # noqa: PLC0415

    report = study.root / "report.html"
    with Claim(folder, "finish", owner, utc) as claim:
        for job in study.jobs.values():
            if states[job.name] in ("outdated", "stale"):  # make sees times only
                retire(job.folder)
        rules = study.root / "grid.mk"
        make_rules(study, rules)
        argv = ["make", "--no-print-directory", "--keep-going", "-f", str(rules)]
        argv += [f"-j{len(os.sched_getaffinity(0))}", f"STAGE={' '.join(stage)}", "all"]
        if run(argv) != 0:
            claim.end("failed", "make")
            raise StageError(f"{study.profile.name}: a stage failed: see above")
        record = study.jobs["aggregation"].folder / RECORD
        if not report.exists() or report.stat().st_mtime < record.stat().st_mtime:
            export_report(study.jobs["aggregation"].folder, report)
        claim.end("done")
    return report
