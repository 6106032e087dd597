"""The figure builder: what runs, what does not, and how failures read."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from ibench import REPOSITORY
from ibench.errors import ParameterError, UserError
from ibench.stages.figures import Build, run_notebooks

pytestmark = pytest.mark.slow

NAME = "search_and_engines.ipynb"


@pytest.fixture
def plan(tmp_path: Path, folder: Path) -> Build:
    notebooks = tmp_path / "books" / "paper"
    notebooks.mkdir(parents=True)
    shutil.copy(REPOSITORY / "notebooks" / "paper" / NAME, notebooks)
    return Build(folder, notebooks, tmp_path / "out")


def edit(plan: Build, old: str, new: str) -> None:
    path = plan.notebooks / NAME
    book = nbformat.read(path, as_version=4)
    assert any(old in c.source for c in book.cells)
    for cell in book.cells:
        cell.source = cell.source.replace(old, new)
    nbformat.write(book, path)


def todo(plan: Build) -> bool:
    notebook = plan.notebooks / NAME
    return not plan.is_done(notebook, plan.key(notebook, plan.inputs()))


def test_a_notebook_runs_once_and_again_when_something_changed(plan: Build) -> None:
    said: list[str] = []
    assert run_notebooks(plan, said.append) == 1
    assert said[0].startswith("search_and_engines: ")
    index = (plan.output / "index.csv").read_text()
    assert "table_19,table,Search grid,paper Table 19," in index
    assert "figures/search_grid.svg" in index
    assert (plan.output / "notebooks" / NAME).is_file()
    assert not list(plan.notebooks.glob("kernel-ipc-*"))
    assert not list(plan.notebooks.parent.glob("kernel-ipc-*"))
    before = (plan.output / "tables" / "table_19.csv").read_bytes()
    assert run_notebooks(plan, said.append) == 0
    assert len(said) == 1

    assert not todo(plan)
    (plan.output / "tables" / "table_19.csv").write_text("edited")
    assert todo(plan)
    (plan.output / "tables" / "table_19.csv").write_bytes(before)
    assert not todo(plan)
    path = plan.published / "paper_table12_cost.csv"
    text = path.read_text()
    path.write_text(text.replace("136.46", "136.47"))
    assert todo(plan)
    path.write_text(text)
    assert not todo(plan)
    edit(plan, "## Later site version", "## Later")
    assert todo(plan)


def test_a_broken_file_is_named_before_a_kernel_starts(plan: Build) -> None:
    path = plan.published / "paper_table12_cost.csv"
    path.write_text(path.read_text().replace("api_usd", "api"))
    with pytest.raises(ParameterError, match="column: 'api_usd': missing"):
        run_notebooks(plan, print)
    assert not plan.output.exists()


def test_a_failing_notebook_is_one_line_and_leaves_no_stamp(plan: Build) -> None:
    edit(plan, 'sheet.table("table_19")', 'sheet.table("table_02")')
    with pytest.raises(UserError, match=rf"{NAME}: search: artefact: 'table_02'"):
        run_notebooks(plan, print)
    assert todo(plan)
    assert not (plan.output / "index.csv").exists()


def test_no_notebooks_is_a_mistake(plan: Build) -> None:
    (plan.notebooks / NAME).unlink()
    with pytest.raises(ParameterError, match="holds no notebook"):
        run_notebooks(plan, print)
