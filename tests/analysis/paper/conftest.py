from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.analysis.paper.data import Published

FOLDER = REPOSITORY / "results" / "published"


@pytest.fixture(scope="session")
def data() -> Published:
    return Published(FOLDER)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the published files that a test may break."""
    return Path(shutil.copytree(FOLDER, tmp_path / "published"))


@pytest.fixture
def edit(folder: Path) -> Callable[[str, str, str], Path]:
    """Replace a text that stands once in a file of the copy."""

    def change(name: str, old: str, new: str) -> Path:
        path = folder / f"{name}.csv"
        text = path.read_text()
        assert text.count(old) == 1, (name, old, text.count(old))
        path.write_text(text.replace(old, new))
        return path

    return change
