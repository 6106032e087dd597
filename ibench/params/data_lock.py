"""``params/data.lock``: size and SHA-256 of every file that comes from a hub."""

from __future__ import annotations

from pydantic import Field

from ibench.records import Closed, Sha256

__all__ = ["Lock", "LockedFile"]


class LockedFile(Closed):
    """One file as it was when it was first fetched."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class Lock(Closed):
    """Files by source (``Source.key``) and path in its repository."""

    sources: dict[str, dict[str, LockedFile]]
