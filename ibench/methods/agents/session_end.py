"""What becomes of an agent's session once it is over, from its end to its record."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from ibench.files import file_sha256
from ibench.methods.agents.links import drop_links, remove, reopen
from ibench.methods.agents.saved import Ended
from ibench.methods.agents.saving import read_evaluations, save_session
from ibench.methods.agents.workspace import Workspace
from ibench.methods.folder import submission
from ibench.records import Submission
from ibench.serving.launch import LAUNCHER
from ibench.study.job import OpenJob

__all__ = ["BEFORE", "ENDED", "take_session"]

BEFORE, ENDED = "before.json", "ended.json"
# The agent's own of a session that is over: a login, caches, its conversation.
NEVER_KEPT = ("home", "shown", "state")


def take_session(
    job: OpenJob,
    workspace: Workspace,
    ended: Ended,
    secrets: Sequence[str],
    root: Path,
    target: Path,
) -> Submission:
    """Save what is kept, copy the submission, read the evaluations the agent ran.

    What the session left goes from its place only after its record is there: until
    then this can be done again.

    Args:
        job: the stage.
        workspace: knows what is the submission in it.
        ended: how the session ended.
        secrets: values known to be secret.
        root: the session's working folder.
        target: the submission.
    """
    job.status.phase("taking the submission")
    reopen(root)
    for name in NEVER_KEPT:
        remove(root / name)
    folder = root / "workspace"
    ended = _cleaned(job, ended, secrets, root)
    before = json.loads((root / BEFORE).read_text())
    taken = workspace.take(folder, target, before)
    evaluations, broken = read_evaluations(folder / "evaluations.jsonl")
    job.save("evaluations", evaluations)
    launcher = target / LAUNCHER
    shipped = file_sha256(launcher) if launcher.is_file() else None
    full = [e for e in evaluations if e.objective is not None and not e.quick]
    of_shipped = [e for e in full if e.launcher_sha256 == shipped]
    facts = ended.model_dump() | {
        "outcome": "no_launcher" if taken.is_untouched else ended.outcome,
        "warnings": (*ended.warnings, *taken.left_out, *broken),
        "evaluator_changed": taken.changed | ended.evaluator_changed,
    }
    made = submission(
        job,
        target,
        **facts,
        budget_s=job.study.budget.agent_s,
        evaluations=evaluations,
        best_seen=max((e.objective or 0.0 for e in full), default=None),
        shipped=of_shipped[-1].objective if of_shipped else None,
    )
    job.once_published(lambda: _clear(root, job.folder / "workspace"))
    return made


def _cleaned(job: OpenJob, ended: Ended, secrets: Sequence[str], root: Path) -> Ended:
    """Take secrets and links to elsewhere out; what was found is kept, too."""
    facts: dict[str, JsonValue] = {
        "scenario": job.cell.scenario,
        "seeds": job.seeds.label,
        "budget_s": job.study.budget.agent_s,
        "used_s": ended.used_s,
    }
    warnings = [
        f"removed {name}: a link out of the workspace"
        for name in drop_links(root / "workspace")
    ]
    warnings += save_session(
        root, job.folder, secrets, facts=facts, over=True, keep=job.keep
    )
    ended = ended.model_copy(update={"warnings": (*ended.warnings, *warnings)})
    ended.write(root / ENDED)
    return ended


def _clear(root: Path, kept: Path) -> None:
    remove(kept)
    shutil.move(root / "workspace", kept)
    remove(root)
