"""The cpu profile cut down, and commands over it as a person would give them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ibench import REPOSITORY
from ibench.cluster.cells import CellJob, cell_jobs
from ibench.study.definition import Study

CLUSTER: dict[str, Any] = {
    "scheduler": "slurm",
    "gpus": 1,
    "cpus": 1,
    "memory_mib": 500,
    "time_limit_s": 600,
    "max_parallel": 2,
}


@dataclass
class Grid:
    """A study of few requests in a folder of its own.

    Args:
        folder: parameters and results go there.
        scenarios: of the cpu profile.
        seed_pairs: how many of each scenario's.
        methods: how many of the profile's, cheapest first.
        cluster: what ``params/clusters/test.yaml`` says beside the defaults.
    """

    folder: Path
    scenarios: tuple[str, ...] = ("a",)
    seed_pairs: int = 1
    methods: int = 1
    cluster: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shutil.copytree(REPOSITORY / "params", self.folder / "params")
        path = self.folder / "params" / "profiles" / "cpu.yaml"
        profile = yaml.safe_load(path.read_text())
        small = {"input_tokens": 64, "output_tokens": 8}
        profile |= {"scenarios": list(self.scenarios), "seed_pairs": self.seed_pairs}
        profile["scale"] = {
            s: {**small, "phases": {"burst": {"requests": 3}}} for s in self.scenarios
        }
        profile["methods"] = profile["methods"][: self.methods]
        profile["questions"] |= {"n": 20, "development_n": 2}
        profile["measure"]["warmup_requests"] = 1
        path.write_text(yaml.safe_dump(profile))
        text = yaml.safe_dump(CLUSTER | self.cluster)
        (self.folder / "params" / "clusters" / "test.yaml").write_text(text)

    @property
    def study(self) -> Study:
        return Study("cpu", self.folder / "params", self.folder / "results")

    @property
    def cells(self) -> dict[str, CellJob]:
        return cell_jobs(self.study)

    def __call__(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "ibench", verb, "--profile", "cpu"]
        argv += ["--params", str(self.folder / "params")]
        argv += ["--results", str(self.folder / "results")]
        if verb in ("cell", "submit", "pool"):
            argv += ["--cluster", "test"]
        return subprocess.run(
            [*argv, *arguments],
            cwd=REPOSITORY,
            env=os.environ | self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def endings(self) -> dict[str, list[str | None]]:
        """How the attempts of each cell ended, oldest first."""
        return {n: [a.ended for a in c.attempts()] for n, c in self.cells.items()}

    def stage_attempts(self) -> dict[str, int]:
        """How often each measured stage was begun: once a log, kept or set aside."""
        return {
            job.name: len(list(job.folder.glob("attempts/*/request.json")))
            + (job.folder / "request.json").exists()
            for cell in self.cells.values()
            for job in cell.jobs
        }


def one_line(text: str) -> bool:
    """Whether an error is what it should be: one line of ours."""
    return bool(re.fullmatch(r"ibench: [^\n]+\n", text))
