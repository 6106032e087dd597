"""The commands of schedulers: started without our secrets, answers in one line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from ibench.errors import ClusterError

__all__ = ["Tool", "chunks", "run_tool"]

ItemT = TypeVar("ItemT")
Tool: TypeAlias = Callable[[list[str]], str]

# sbatch keeps the environment it is started in with the job: an API key exported in a
# shell would be stored by the scheduler and be with every job.
_KEPT = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR"),
    *("SLURM_CONF", "CONDOR_CONFIG"),
)
_LIMIT_S = 120.0


def run_tool(argv: list[str]) -> str:
    """Run a scheduler's command; return what it printed.

    Raises:
        ClusterError: it is not installed, fails, or does not answer.
    """
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        done = subprocess.run(
            argv,
            env=env,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise ClusterError(
            f"{argv[0]}: not found: call this on a node of the cluster that submits, "
            "or choose another CLUSTER"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{argv[0]}: no answer in {_LIMIT_S:g} s") from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise ClusterError(f"{argv[0]}: {said}")
    return done.stdout


def chunks(items: Sequence[ItemT], size: int) -> list[Sequence[ItemT]]:
    """Cut a sequence into parts of at most ``size``."""
    return [items[i : i + size] for i in range(0, len(items), size)]
