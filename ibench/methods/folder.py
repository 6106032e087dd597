"""The folder that competes: ``start_server.sh`` and what it needs."""

from __future__ import annotations

from pathlib import Path

from ibench.files import tree_sha256
from ibench.records import Submission
from ibench.serving.launch import LAUNCHER
from ibench.study.job import OpenJob

__all__ = ["FOLDER", "submission", "write_launcher"]

FOLDER = "submission"


def write_launcher(folder: Path, script: str) -> None:
    """Make a folder a submission."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LAUNCHER
    path.write_text(script)
    path.chmod(0o755)


def submission(job: OpenJob, target: Path, **facts: object) -> Submission:
    """Hash the folder and state how it was made."""
    target.mkdir(parents=True, exist_ok=True)
    values: dict[str, object] = {
        "method": job.cell.method,
        "path": FOLDER,
        "sha256": tree_sha256(target),
        "sandbox": "none",
    }
    return Submission.model_validate(values | facts)
