"""``params/clusters/*.yaml``: how jobs are asked for, and where their secrets lie."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from ibench.errors import ParameterError
from ibench.params.files import load_yaml, named
from ibench.records import Closed

__all__ = ["Cluster", "load_cluster", "read_secrets"]

# One line, no quote or control character: it is written into job descriptions.
Word: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,:=@+/\-]+$")]
Line: TypeAlias = Annotated[str, Field(pattern=r"^[^\n\r]+$")]


class Cluster(Closed):
    """One way to run cells.

    ``options`` are the scheduler's own, one a line: ``--constraint=h100`` for Slurm,
    ``requirements = ...`` for HTCondor.
    """

    scheduler: Literal["local", "slurm", "condor"]
    gpus: int = Field(ge=0, description="of a cell; local: per slot")
    cpus: int = Field(ge=1)
    memory_mib: int = Field(ge=1)
    time_limit_s: int = Field(ge=60, description="of one cell, all its stages")
    max_parallel: int = Field(ge=1)
    partition: Word | None = None
    account: Word | None = None
    options: tuple[Line, ...] = ()
    setup: tuple[Line, ...] = Field(default=(), description="shell lines before a job")
    secrets_file: str | None = None
    array_size: int = Field(default=1000, ge=1, description="at most, of one array")


def load_cluster(params: Path, name: str) -> Cluster:
    """Read ``params/clusters/<name>.yaml`` and check its secrets file.

    Raises:
        ParameterError: an unknown name or key, or a secrets file others can read.
    """
    path = named(params / "clusters", name)
    cluster = load_yaml(Cluster, path)
    if cluster.secrets_file is not None:
        read_secrets(path, cluster.secrets_file)
    return cluster


def read_secrets(path: Path, name: str) -> dict[str, str]:
    """Read ``KEY=value`` lines of a file that only its owner can read.

    Args:
        path: the parameter file that names it, for the message.
        name: the file; ``~`` is the home folder.

    Raises:
        ParameterError: missing, readable by others, or a line of another form. The
            message holds no part of a value.
    """
    file = Path(name).expanduser()
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ParameterError(path, "secrets_file", name, str(error.strerror)) from error
    if stat.S_IMODE(mode) & 0o077 or file.stat().st_uid != os.getuid():
        raise ParameterError(
            path, "secrets_file", name, "others can read it: chown it, chmod 600"
        )
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.isidentifier():
            raise ParameterError(
                path, "secrets_file", f"{name}:{number}", "write KEY=value"
            )
        values[key] = value.strip()
    return values
