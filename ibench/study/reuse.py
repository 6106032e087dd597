"""A baseline that another study of these results has measured already.

A baseline's run id is a hash of host, model, scenario, seed, engine and measurement:
studies that agree in those agree in the baseline, whatever else they vary. Ablations
over budgets or prompts therefore measure it once.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from ibench.files import write_atomic
from ibench.store import ATTEMPTS, RECORD, read_head, verify
from ibench.study.grid import Job

__all__ = ["adopt"]


def adopt(job: Job, results: Path) -> Path | None:
    """Take a finished baseline of the same run id from another profile.

    Its files are linked where the file system can and copied where it cannot; a record
    that does not verify is left alone.

    Args:
        job: a missing baseline whose folder holds nothing but earlier attempts; any
            other stage is not looked for.
        results: the results root of all profiles.

    Returns:
        The folder it came from, or None.
    """
    if job.stage != "baseline" or job.cell is None:
        return None
    place = job.cell.path / job.stage
    for folder in sorted(results.glob(f"*/{place}")):
        if folder == job.folder or not (folder / RECORD).is_file():
            continue
        head = read_head(folder)
        # Another interpreter has another standard library, so other requests.
        is_ours = head is not None and head.python == platform.python_version()
        if head and head.run_id == job.run_id and is_ours and not verify(folder):
            _link(folder, job.folder)
            return folder
    return None


def _link(source: Path, target: Path) -> None:
    """The record comes last and by rename, as when it was published."""
    skip = shutil.ignore_patterns(RECORD, ATTEMPTS)
    shutil.copytree(
        source, target, ignore=skip, copy_function=_hard_link, dirs_exist_ok=True
    )
    write_atomic(target / RECORD, (source / RECORD).read_bytes())


def _hard_link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
