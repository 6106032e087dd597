"""Every table and figure: its name, theme, sources, function and caption.

One list (``params/artefacts.yaml``) is what the notebooks show, what ``index.csv``
names and what the tests check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import pandas as pd
from pydantic import Field, field_validator

from ibench import REPOSITORY
from ibench.analysis.paper import (
    drawings,
    tables_behaviour,
    tables_results,
    uncertainty,
)
from ibench.analysis.paper.data import Published
from ibench.analysis.paper.drawings import Drawn
from ibench.analysis.paper.uncertainty import DrawSettings
from ibench.params.files import load_yaml
from ibench.records import Closed

__all__ = ["CATALOGUE", "THEMES", "Artefact", "artefacts_of"]

Made: TypeAlias = "pd.DataFrame | Drawn"

_PACKAGE = "ibench.analysis.paper"
REGISTRY: dict[str, Callable[..., Any]] = {
    f"{module.__name__.removeprefix(f'{_PACKAGE}.')}.{name}": getattr(module, name)
    for module in (drawings, tables_behaviour, tables_results, uncertainty)
    for name in module.__all__
}


class Artefact(Closed):
    """One table or figure."""

    name: str
    kind: Literal["table", "figure"]
    theme: str
    title: str
    source: str
    files: tuple[str, ...] = Field(description="of results/published, that it reads")
    by: str = Field(description="the function that makes it")
    note: str = ""

    @field_validator("by")
    @classmethod
    def _exists(cls, by: str) -> str:
        if by not in REGISTRY:
            raise ValueError(f"no such function; known: {', '.join(REGISTRY)}")
        return by

    @property
    def function(self) -> str:
        """Whole name of the function."""
        return f"{_PACKAGE}.{self.by}"

    def make(self, data: Published, settings: DrawSettings) -> Made:
        """Make it; only what draws random numbers is told how."""
        draws = self.by.startswith("uncertainty.")
        made: Made = REGISTRY[self.by](data, *([settings] if draws else []))
        return made


class Artefacts(Closed):
    """The file."""

    artefacts: tuple[Artefact, ...]


CATALOGUE = {
    a.name: a
    for a in load_yaml(Artefacts, REPOSITORY / "params" / "artefacts.yaml").artefacts
}
THEMES = tuple(dict.fromkeys(a.theme for a in CATALOGUE.values()))


def artefacts_of(theme: str) -> list[Artefact]:
    """Tables and figures of one theme, in the order of the catalogue."""
    return [a for a in CATALOGUE.values() if a.theme == theme]
