from __future__ import annotations

import ast

import nbformat
import pytest

from ibench import REPOSITORY
from ibench.analysis.explore.pictures import PICTURES
from ibench.study.notebook import declared_parameters

# What a live panel shows is of the moment: a table of it stands instead of a picture.
LIVE = "sessions"
FOLDER = REPOSITORY / "notebooks" / "explore"
KINDS = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef, ast.Lambda)


def test_every_view_has_a_notebook() -> None:
    assert {p.stem for p in FOLDER.glob("*.ipynb")} == {*PICTURES, LIVE}


@pytest.mark.parametrize("name", PICTURES)
def test_a_notebook_has_its_picture_and_the_published_numbers(name: str) -> None:
    path = FOLDER / f"{name}.ipynb"
    first = nbformat.read(path, as_version=4).cells[0].source
    assert f"(../../docs/figures/explore-{name}.png)" in first
    assert (path.parent / f"../../docs/figures/explore-{name}.png").is_file()
    assert declared_parameters(path)["published"] == "results/published"


def test_the_live_one_says_in_a_table_what_it_shows() -> None:
    first = nbformat.read(FOLDER / f"{LIVE}.ipynb", as_version=4).cells[0].source
    rows = [line for line in first.splitlines() if line.startswith("| ")]
    for word in (
        "phase",
        "time left",
        "evaluations",
        "tokens",
        "dollars",
        "transcript",
    ):
        assert any(word in row for row in rows), word


@pytest.mark.parametrize("name", [*PICTURES, LIVE])
def test_a_notebook_is_thin(name: str) -> None:
    path = FOLDER / f"{name}.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    usual = {"profile": "cpu", "params": "params", "results": "results"}
    assert declared_parameters(path).items() >= usual.items()
    for cell in cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert len(cell.source.splitlines()) <= 15
            tree = ast.parse(cell.source)
            assert not any(isinstance(n, KINDS) for n in ast.walk(tree))
