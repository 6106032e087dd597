"""Stage 2: a method makes a submission: default flags, search, or an agent session.

The control's is the baseline's own launcher: the same folder, byte for byte.
"""

from __future__ import annotations

from pathlib import Path

from ibench.methods.agents.stage import session_submission
from ibench.methods.folder import FOLDER, submission, write_launcher
from ibench.methods.search.stage import search_submission
from ibench.params import ControlMethod, DefaultMethod, SearchMethod
from ibench.params.engines import Engine
from ibench.records import Submission
from ibench.serving.engines import launcher_script
from ibench.stages.baseline import baseline_folder
from ibench.study.job import OpenJob

__all__ = ["make_submission"]


def make_submission(job: OpenJob) -> Submission:
    """Let the cell's method make a submission folder."""
    method = job.study.method(job.cell.method)
    target = job.folder / FOLDER
    if isinstance(method, ControlMethod):
        baseline_folder(job, job.folder)
        return _written(job, target, job.study.baseline_engine)
    if isinstance(method, DefaultMethod):
        engine = job.study.engine(method.engine)
        write_launcher(target, launcher_script(engine, dict(engine.defaults)))
        return _written(job, target, engine)
    if isinstance(method, SearchMethod):
        return search_submission(job, method, target)
    return session_submission(job, method, target)


def _written(job: OpenJob, target: Path, engine: Engine) -> Submission:
    """A launcher that nobody had to look for."""
    return submission(
        job, target, outcome="finished", budget_s=None, used_s=0.0, image=engine.image
    )
