"""A session that really runs: its agent talks, evaluates once, and never stops."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from ibench import REPOSITORY
from ibench.study.definition import Study
from tests.stages.stage_bench import Bench

__all__ = ["BUDGET_S", "CELL", "KEY", "MARKUP", "begun", "talking_study"]

CELL = "a/talker/21-1337"
BUDGET_S = 100.0
KEY = "sk-ant-" + "x" * 24
MARKUP = "<b onclick=alert(1)>3 < 4</b>"
ZEROS = "0" * 64
# Leaks a key, writes colours and markup, evaluates once by hand, writes a launcher.
TALKER = f"""
echo "looking around in /root/secret-place"
echo "my key is {KEY}"
echo '{{"t_s": 1.0, "quick": false, "objective": 3.5, "accuracy": null,
"launcher_sha256": "{ZEROS}", "completed": 3,
"requests": 3, "note": ""}}' | tr -d '\\n' \
  >> evaluations.jsonl
echo >> evaluations.jsonl
printf '#!/bin/sh\\nexec sleep 1\\n' > start_server.sh
printf '\\033[31m%s\\033[0m\\r\\n' '{MARKUP}'
echo "waiting"
sleep 600
"""


def talking_study(model_dir: Path, folder: Path) -> Study:
    """The smoke profile, small, with the talker as its only method."""
    study = Bench(model_dir, folder / "cache").study(folder)
    talker = {
        "name": "talker",
        "description": "talks",
        "argv": ["bash", "-c", TALKER],
        "network": False,
    }
    (study.params / "agents" / "talker.yaml").write_text(yaml.safe_dump(talker))
    profile = yaml.safe_load(study.profile_path.read_text())
    profile["methods"] = [
        {"kind": "agent", "name": "talker", "agent": "talker", "prompt": "default"}
    ]
    profile["budget"]["agent_s"] = BUDGET_S
    study.profile_path.write_text(yaml.safe_dump(profile))
    return Study("smoke", study.params, study.results)


@contextmanager
def begun(study: Study) -> Iterator[subprocess.Popen[bytes]]:
    """Its stage, by the command that make uses; ended with the test."""
    argv = [sys.executable, "-m", "ibench", "stage", "--profile", "smoke"]
    argv += ["--params", str(study.params), "--results", str(study.results)]
    child = subprocess.Popen(
        [*argv, f"{CELL}/submission"],
        cwd=REPOSITORY,
        env=os.environ,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield child
    finally:
        child.terminate()
        child.wait(30)
