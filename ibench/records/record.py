"""``record.json``: a result, where it comes from, and the files it vouches for."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ibench.records.base import Closed, Sha256
from ibench.records.kinds import Result

__all__ = ["Provenance", "Record", "TableRef"]


class TableRef(Closed):
    """A file beside the record, by content."""

    path: str
    sha256: Sha256
    bytes: int


class Provenance(Closed):
    """Where a record comes from."""

    parameters: dict[str, bool | int | float | str]
    git_commit: str | None
    git_dirty: bool | None
    notebook_sha256: Sha256 | None = Field(
        description="of the code that ran; None where no notebook ran it"
    )
    lock_sha256: Sha256 | None
    inputs: dict[str, Sha256] = Field(description="upstream records by path")
    seeds: dict[str, int]
    versions: dict[str, str]
    host: dict[str, str | int]
    started_utc: str
    ended_utc: str
    wall_s: float
    attempt: int = Field(ge=1)


class Record(Closed):
    """``record.json``: written last, so that its existence means finished."""

    schema_version: Literal[2] = 2
    stage: str
    run_id: Sha256
    spec: dict[str, Any]
    provenance: Provenance
    files: dict[str, TableRef]
    result: Result
