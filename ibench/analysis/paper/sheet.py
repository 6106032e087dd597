"""What a notebook of the paper holds: it makes, writes and shows artefacts by name."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ibench import REPOSITORY
from ibench.analysis.paper.catalogue import CATALOGUE, THEMES, Artefact, artefacts_of
from ibench.analysis.paper.data import Published
from ibench.analysis.paper.drawings import Drawn
from ibench.analysis.paper.publish import present, write_table
from ibench.analysis.paper.uncertainty import Settings
from ibench.analysis.style import save_figure
from ibench.errors import ParameterError, StageError, unknown_name
from ibench.files import file_sha256, write_atomic

__all__ = ["Sheet", "open_sheet"]

FORMATS = {"figure": ("png", "pdf", "svg"), "table": ("md", "tex")}


@dataclass
class Sheet:
    """One theme: its published data, its output folder, what was made so far."""

    theme: str
    data: Published
    output: Path
    settings: Settings
    made: dict[str, pd.DataFrame] = field(default_factory=dict)

    def table(self, name: str) -> pd.io.formats.style.Styler:
        """Make a table, write its formats, return it for display."""
        artefact, result = self._make(name)
        frame = result.data if isinstance(result, Drawn) else result
        if artefact.kind == "table":
            title = f"{artefact.title} ({artefact.source})"
            write_table(frame, self.output / "tables", name, title, artefact.note)
        self.made[name] = frame
        return present(frame).style.hide(axis="index")

    def figure(self, name: str) -> str:
        """Draw a figure, write its formats, return the path of the PNG."""
        result = self._make(name)[1]
        if not isinstance(result, Drawn):
            raise ParameterError(self.theme, "figure", name, "is a table")
        folder = self.output / "figures"
        save_figure(result.figure, result.data, folder, name, FORMATS["figure"])
        self.made[name] = result.data
        return str(folder / f"{name}.png")

    def caption(self, name: str) -> str:
        """Title, source and note of an artefact."""
        artefact = self._artefact(name)
        text = f"{artefact.title} ({artefact.source}). {artefact.note}".strip()
        return f"*{text.replace('*', chr(92) + '*')}*"

    def close(self) -> pd.DataFrame:
        """Write the manifest; return it for display.

        Raises:
            StageError: an artefact of this theme was not made.
        """
        missing = [a.name for a in artefacts_of(self.theme) if a.name not in self.made]
        if missing:
            raise StageError(f"{self.theme}: not made: {', '.join(missing)}")
        rows = [self._row(a) for a in artefacts_of(self.theme)]
        body = {"theme": self.theme, "artefacts": rows}
        text = json.dumps(body, indent=1, ensure_ascii=False)
        write_atomic(self.output / "manifests" / f"{self.theme}.json", text.encode())
        return pd.DataFrame(rows)[["name", "kind", "title", "source", "function"]]

    def _artefact(self, name: str) -> Artefact:
        artefact = CATALOGUE.get(name)
        if artefact is None or artefact.theme != self.theme:
            there = [a.name for a in artefacts_of(self.theme)]
            raise unknown_name(self.theme, "artefact", name, there)
        return artefact

    def _make(self, name: str) -> tuple[Artefact, pd.DataFrame | Drawn]:
        artefact = self._artefact(name)
        return artefact, artefact.make(self.data, self.settings)

    def _row(self, artefact: Artefact) -> dict[str, object]:
        folder = self.output / f"{artefact.kind}s"
        files = [
            folder / f"{artefact.name}.{suffix}"
            for suffix in ("csv", *FORMATS[artefact.kind])
        ]
        return {
            "name": artefact.name,
            "kind": artefact.kind,
            "title": artefact.title,
            "source": artefact.source,
            "function": artefact.function,
            "reads": [f"{name}.csv" for name in artefact.files],
            "files": {
                path.relative_to(self.output).as_posix(): file_sha256(path)
                for path in files
            },
        }


def open_sheet(
    theme: str, *, published: str, output: str, draws: int = 4000, seed: int = 7
) -> Sheet:
    """Open a theme from its notebook's parameters; folders are the repository's.

    Raises:
        ParameterError: an unknown theme, or a published file that breaks its schema.
    """
    if theme not in THEMES:
        raise unknown_name("notebook", "theme", theme, THEMES)
    settings = Settings(draws=draws, seed=seed)
    return Sheet(theme, Published(published), REPOSITORY / output, settings)
