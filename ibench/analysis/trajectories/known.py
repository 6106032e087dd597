"""What reading transcripts knows beforehand: ``params/transcripts.yaml``."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ibench import REPOSITORY
from ibench.analysis.trajectories.events import Family
from ibench.params.files import load_yaml
from ibench.records import Closed

__all__ = ["KNOWN", "TechniqueRule", "ToolGroup"]

ToolGroup: TypeAlias = Literal[
    "shell", "write", "read", "web", "plan", "poll", "unknown"
]


class TechniqueRule(Closed):
    """One technique; the file says what the keys mean."""

    name: Family
    hint: tuple[str, ...]
    pattern: tuple[str, ...]
    flags: tuple[str, ...]


class Known(Closed):
    """The file."""

    tools: dict[ToolGroup, tuple[str, ...]]
    wrappers: dict[str, int]
    defaults: dict[str, dict[str, str]]
    who_and_where: frozenset[str]
    hyperparameters: tuple[str, ...]
    techniques: tuple[TechniqueRule, ...]


KNOWN = load_yaml(Known, REPOSITORY / "params" / "transcripts.yaml")
