"""What ``make status`` says of a grid that was given to a scheduler."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from ibench.cluster.cells import MAX_RETRIES, retries_used
from ibench.cluster.submissions import Scheduler, read_submissions
from ibench.cluster.submit import Seen, look, queued_cells
from ibench.study.definition import Study
from ibench.study.progress import last_status
from ibench.study.state import JobState
from ibench.terminal import Part, Table

__all__ = ["cluster_table"]


def cluster_table(
    study: Study,
    records: dict[str, JobState],
    scheduler_of: Callable[[str], Scheduler],
) -> list[Part]:
    """Show cells that were begun or queued and are not finished; then the sums.

    Empty for a grid that no scheduler has seen.
    """
    submissions = read_submissions(study)
    if not submissions:
        return []
    queued, lines = queued_cells(study, scheduler_of)
    seen = look(study, records, queued)
    open_cells = [s for s in seen if s.state != "done" and (s.tried or s.queued)]
    rows = [(s.state, s.cell.name, _how(s)) for s in open_cells]
    states = Counter(s.state for s in seen)
    retried = sum(min(retries_used(s.tried), MAX_RETRIES) for s in seen)
    preempted = sum(a.ended == "preempted" for s in seen for a in s.tried)
    last = submissions[-1]
    return [
        *lines,
        *([Table(("state", "cell", "how"), rows, header=False)] if rows else []),
        f"cells: {', '.join(f'{n} {state}' for state, n in states.items())}; "
        f"{retried} retries, {preempted} preemptions; last submitted by {last.by} to "
        f"{last.cluster}, {last.utc}",
    ]


def _how(seen: Seen) -> str:
    """Name the scheduler's state, host, phase and retries of one cell."""
    last = seen.tried[-1] if seen.tried else None
    parts = [f"scheduler: {seen.queued}"] if seen.queued else []
    if last is not None:
        parts.append(f"host {last.owner.host}")
        parts += [f"job {last.owner.job}"] if last.owner.job else []
        if last.ended is None:
            parts.append(f"phase {_phase(seen)}")
        elif last.ended != "done":
            parts.append(f"{last.ended}: {last.detail}")
    used = retries_used(seen.tried)
    if used:
        parts.append(f"retries {min(used, MAX_RETRIES)} of {MAX_RETRIES}")
    return ", ".join(parts)


def _phase(seen: Seen) -> str:
    """The phase of the stage that runs: the last one that has a folder."""
    begun = [j for j in seen.cell.jobs if (j.folder / "request.json").exists()]
    if not begun:
        return "starting"
    phase, _ = last_status(begun[-1].folder, time.monotonic())
    return f"{begun[-1].stage}: {phase}"
