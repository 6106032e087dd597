"""Types that several parameter models share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

__all__ = ["Commit", "Name", "Value"]

Value: TypeAlias = bool | int | float | str
Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")]
Commit: TypeAlias = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
