from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest

from ibench import REPOSITORY
from ibench.errors import ParameterError
from ibench.study.notebook import check_parameters, declared_parameters, source_sha256

NOTEBOOKS = REPOSITORY / "notebooks"
STAGES = sorted(NOTEBOOKS.glob("[1-5]_*.ipynb"))


def make(path: Path, source: str, *more: str) -> Path:
    first = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    cells = [first, *(nbformat.v4.new_code_cell(s) for s in more)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    text = 'scenario = None\nbudget_s = 2.0\nn = 3\nquick = False\nname = "x=y"'
    return make(tmp_path / "n.ipynb", text)


def test_parameters_are_read_from_the_tagged_cell(notebook: Path) -> None:
    assert declared_parameters(notebook) == {
        "scenario": None,
        "budget_s": 2.0,
        "n": 3,
        "quick": False,
        "name": "x=y",
    }


def test_given_strings_take_the_type_of_the_default(notebook: Path) -> None:
    given = {"scenario": "a", "budget_s": "3", "n": "4", "quick": "True"}
    assert check_parameters(notebook, given) == {
        "scenario": "a",
        "budget_s": 3.0,
        "n": 4,
        "quick": True,
        "name": "x=y",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scenario": "a", "budgets": "3"}, "did you mean 'budget_s'"),
        ({}, "missing"),
        ({"scenario": "a", "budget_s": "30s"}, "must be of type float"),
        ({"scenario": "a", "n": "3.5"}, "must be of type int"),
        ({"scenario": "a", "n": True}, "must be of type int"),
        ({"scenario": "a", "quick": "yes"}, "must be of type bool"),
    ],
)
def test_bad_parameters_are_refused_before_anything_starts(
    notebook: Path, given: dict[str, str], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        check_parameters(notebook, given)


def test_a_notebook_without_the_tag_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), path)
    with pytest.raises(ParameterError, match="exactly one cell"):
        declared_parameters(path)


@pytest.mark.parametrize("text", ["", "{", "not json"])
def test_a_broken_notebook_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(text)
    with pytest.raises(ParameterError, match="not a notebook"):
        declared_parameters(path)


def test_the_source_hash_ignores_outputs(tmp_path: Path) -> None:
    path = make(tmp_path / "n.ipynb", "x = 1", "print(x)")
    before = source_sha256(path)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="1\n")
    ]
    nbformat.write(notebook, path)
    assert source_sha256(path) == before
    make(path, "x = 1", "print(x + 1)")
    assert source_sha256(path) != before


@pytest.mark.parametrize("path", STAGES, ids=lambda p: p.stem)
def test_stage_notebooks_are_thin(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert declared_parameters(path)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        assert not cell.outputs
        assert len(cell.source.splitlines()) <= 15
        kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef, ast.Lambda)
        assert not any(isinstance(n, kinds) for n in ast.walk(ast.parse(cell.source)))


def test_there_are_five_stages() -> None:
    assert len(STAGES) == 5
