"""The folder an agent works in, and the submission taken out of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from ibench.errors import ParameterError
from ibench.files import file_sha256
from ibench.methods.agents.evaluator import EvaluatorConfig
from ibench.methods.agents.links import (
    HOLES_FROM_BYTES,
    is_utf8,
    leaves,
    own_path,
    printable,
)
from ibench.records import Question, RequestSpec
from ibench.workloads import write_questions, write_requests

__all__ = [
    "FIXED", "HARNESS_FILES", "Taken", "Workspace", "build_workspace",
    "evaluator_hashes", "render_prompt", "start_clock", "take_submission",
]  # fmt: skip

_FILES = Path(__file__).parent / "files"
EXECUTABLE = ("start_server.sh", "test_server.sh", "timer.sh", "evaluate.py")
EVALUATOR_FILES = (
    "evaluate.py",
    "test_server.sh",
    "timer.sh",
    "scenario.json",
    "dev/requests.jsonl",
    "dev/warmup.jsonl",
    "dev/questions.jsonl",
)
# The same by the names that a sandbox shows read-only: folders whole.
FIXED = ("evaluate.py", "test_server.sh", "timer.sh", "scenario.json", "dev")
HARNESS_FILES = (*EVALUATOR_FILES, "task.md", "session.json", "evaluations.jsonl")
LINK_FROM_BYTES = 2**20
# Far below what a system allows: copies have longer paths, and nest calls.
LONGEST_PATH_BYTES = 512
_SESSION_ONLY = {"server.log", "__pycache__", "dev", *HARNESS_FILES}


class Taken(NamedTuple):
    """What was taken out of a workspace.

    Attributes:
        changed: files that the agent had to leave alone, with their new hash.
        left_out: what was not copied, a sentence each.
        is_untouched: there is nothing of the agent's in it.
    """

    changed: dict[str, str]
    left_out: list[str]
    is_untouched: bool


class Workspace(Protocol):
    """What a benchmark lays out for an agent, and takes back when it is over.

    Sessions know nothing else of a benchmark: the clock, the turns, preemption,
    redaction and what they cost are the same for all.
    """

    @property
    def fixed(self) -> tuple[str, ...]:
        """Names in the workspace that the sandbox shows read-only."""

    def task(self) -> str:
        """Write the agent's first instruction."""

    def lay_out(self, folder: Path, task: str) -> dict[str, str]:
        """Fill an empty folder; return the hashes that ``take`` compares with."""

    def environment(self) -> dict[str, str]:
        """Variables of the agent's sandbox."""

    def reminder(self, left_s: float) -> str:
        """Tell an agent that stopped early what is left, and what to do with it."""

    def take(self, folder: Path, target: Path, before: Mapping[str, str]) -> Taken:
        """Copy the submission out of a workspace; ``before`` is of ``lay_out``."""


def render_prompt(template: str, values: dict[str, str], source: str) -> str:
    """Fill a prompt template.

    Raises:
        ParameterError: the template uses a variable that does not exist.
    """
    try:
        return string.Template(template).substitute(values)
    except (KeyError, ValueError) as error:
        raise ParameterError(
            source, "prompt", str(error), f"variables are {', '.join(sorted(values))}"
        ) from error


def build_workspace(
    workspace: Path,
    config: EvaluatorConfig,
    requests: Sequence[RequestSpec],
    warmup: Sequence[RequestSpec],
    questions: Sequence[Question],
    task: str,
) -> dict[str, str]:
    """Lay a workspace out and return the evaluator files' hashes.

    Only development material goes in: no evaluation seed, gold answer of a scored
    question, or baseline number.
    """
    (workspace / "dev").mkdir(parents=True)
    for name in EXECUTABLE:
        target = workspace / name
        shutil.copyfile(_FILES / name, target)
        target.chmod(target.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    (workspace / "scenario.json").write_text(config.model_dump_json(indent=1))
    (workspace / "task.md").write_text(task)
    write_requests(workspace / "dev" / "requests.jsonl", requests)
    write_requests(workspace / "dev" / "warmup.jsonl", warmup)
    write_questions(workspace / "dev" / "questions.jsonl", questions)
    return evaluator_hashes(workspace)


def evaluator_hashes(workspace: Path) -> dict[str, str]:
    """Hash the evaluator's files as they are; a missing one hashes to ``missing``."""
    return {
        name: file_sha256(workspace / name)
        if (workspace / name).is_file()
        else "missing"
        for name in EVALUATOR_FILES
    }


def start_clock(workspace: Path, started_ns: int, budget_s: float) -> None:
    """Write ``session.json``: the monotonic instants ``timer.sh`` reads."""
    times = {"started_ns": started_ns, "deadline_ns": started_ns + int(budget_s * 1e9)}
    own_path(workspace, "session.json").write_text(json.dumps(times))


def take_submission(workspace: Path, target: Path) -> list[str]:
    """Copy what the launcher may need; return warnings.

    Harness files and logs stay behind. Links that leave the workspace are not
    followed and not copied: the relaunch could read what they point to. Neither is a
    huge file that is mostly holes: a copy of it would fill the disk. Nor is what no
    record could name or no copy hold. Other large files are linked, not copied.
    """
    warnings: list[str] = []
    root = workspace.resolve()
    target.mkdir(parents=True, exist_ok=True)

    def skip(folder: str, names: list[str]) -> set[str]:
        here = Path(folder)
        skipped = set()
        for name in names:
            if here == root and name in _SESSION_ONLY:
                skipped.add(name)
            elif why := _unfit(here / name, root):
                warnings.append(f"left out {printable(name)}: {why}")
                skipped.add(name)
        return skipped

    shutil.copytree(
        root,
        target,
        symlinks=True,
        ignore=skip,
        copy_function=_copy,
        dirs_exist_ok=True,
    )
    return warnings


def _unfit(path: Path, root: Path) -> str | None:
    """Say why something is no part of a submission; None if it is."""
    if not is_utf8(path.name):
        return "its name is not UTF-8"
    if len(path.relative_to(root).as_posix().encode()) > LONGEST_PATH_BYTES:
        return "its path is too long"
    return _unfit_link(path, root) if path.is_symlink() else _unfit_file(path)


def _unfit_link(path: Path, root: Path) -> str | None:
    if leaves(path, root):
        return "a link out of the workspace"
    return None if is_utf8(str(path.readlink())) else "a link to no UTF-8 name"


def _unfit_file(path: Path) -> str | None:
    if not (path.is_file() or path.is_dir()):
        return "not a plain file"
    if not os.access(path, os.R_OK):
        return "it cannot be read"
    return "a huge file of holes" if _is_hollow(path) else None


def _is_hollow(path: Path) -> bool:
    found = path.stat()
    return path.is_file() and (
        found.st_size >= HOLES_FROM_BYTES and found.st_blocks * 512 < found.st_size / 2
    )


def _copy(source: str, target: str, *, follow_symlinks: bool = True) -> None:
    path = Path(source)
    if not path.is_symlink() and path.stat().st_size >= LINK_FROM_BYTES:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target, follow_symlinks=follow_symlinks)
