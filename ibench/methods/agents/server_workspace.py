"""InferenceBench's workspace: development data, an evaluator, a launcher to write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ibench.files import file_sha256
from ibench.methods.agents.continuation import time_left
from ibench.methods.agents.evaluator import EvaluatorConfig
from ibench.methods.agents.task import task_text, warm_start
from ibench.methods.agents.workspace import (
    FIXED,
    Taken,
    build_workspace,
    evaluator_hashes,
    take_submission,
)
from ibench.params import AgentMethod
from ibench.serving.launch import LAUNCHER
from ibench.serving.processes import free_port
from ibench.study.draw import development
from ibench.study.job import OpenJob
from ibench.study.live import client_cores
from ibench.workloads.hub.snapshot import changed_files

__all__ = ["ServerWorkspace"]


class ServerWorkspace:
    """What an agent finds that is to build a faster server.

    Args:
        job: the stage.
        method: prompt, conditions and starting point of the agent.
    """

    fixed = FIXED

    def __init__(self, job: OpenJob, method: AgentMethod) -> None:
        """Keep both; nothing is written before it is asked for."""
        self._job, self._method = job, method

    def task(self) -> str:
        """Write the agent's first instruction."""
        return task_text(self._job, self._method)

    def lay_out(self, folder: Path, task: str) -> dict[str, str]:
        """Fill an empty folder; return hashes of the evaluator and of the stub."""
        job, drawn = self._job, development(self._job)
        config = EvaluatorConfig(
            scenario=job.scenario.workload,
            measure=job.study.profile.measure,
            development_seed=drawn.seed,
            quick_requests=job.study.budget.trial_requests,
            question_concurrency=job.study.profile.questions.concurrency,
            model_dir=str(job.assets.model_dir),
            model_id=job.study.model.model_id,
            client_cores=client_cores(job),
        )
        hashes = build_workspace(
            folder, config, drawn.requests, drawn.warmup, drawn.questions, task
        )
        warm_start(job, self._method, folder)
        # A stub that was never touched is no launcher; a working one that was not, is.
        is_stub = self._method.warm_engine is None
        hashes[LAUNCHER] = file_sha256(folder / LAUNCHER) if is_stub else ""
        return hashes

    def environment(self) -> dict[str, str]:
        """Variables of the launcher's contract, with a port of their own."""
        return {
            "HOST": "127.0.0.1",
            "PORT": str(free_port()),
            "MODEL_PATH": str(self._job.assets.model_dir),
            "MODEL_ID": self._job.study.model.model_id,
        }

    def reminder(self, left_s: float) -> str:
        """Tell an agent that stopped early how much is left, and to go on."""
        return (
            f"{time_left(left_s)} Go on: look for what still makes the server faster, "
            "measure it, and keep start_server.sh working. The task is in task.md; "
            "./timer.sh prints the time left."
        )

    def take(self, folder: Path, target: Path, before: Mapping[str, str]) -> Taken:
        """Copy the launcher and what it may need."""
        hashes = dict(before)
        stub = hashes.pop(LAUNCHER)
        left_out = take_submission(folder, target)
        launcher = target / LAUNCHER
        shipped = file_sha256(launcher) if launcher.is_file() else None
        changed = changed_files(hashes, evaluator_hashes(folder))
        return Taken(changed, left_out, is_untouched=shipped in (None, stub))
