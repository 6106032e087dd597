"""What import-linter does not see: notebooks, widgets, exports, agents' files."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from ibench import REPOSITORY

PACKAGE = REPOSITORY / "ibench"
# Scripts that a workspace gets a copy of; they are data here, not modules.
FILES = PACKAGE / "methods" / "agents" / "files"
# Run by the interpreters of engines.
SCRIPTS = PACKAGE / "serving" / "files"

# What a notebook may name: it shows a stage and holds no logic of its own.
NOTEBOOKS = "study.job stages store analysis"


# Scripts of Harbor's own environment; this one cannot import them.
WORKER = PACKAGE / "methods" / "agents" / "worker"


def modules() -> list[Path]:
    apart = (FILES, WORKER, SCRIPTS)
    return sorted(
        p for p in PACKAGE.rglob("*.py") if not any(map(p.is_relative_to, apart))
    )


def name_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> Iterator[str]:
    """Every import of ours below a node, wherever it stands; no leading `ibench.`."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import at line {node.lineno}"
            module = node.module or ""
            # `from ibench import x` names a module, `from ibench.x import y` does not.
            names = [f"{module}.{a.name}" for a in node.names]
            names = names if module == "ibench" else [module]
        for name in names:
            if name == "ibench" or name.startswith("ibench."):
                yield name.removeprefix("ibench").removeprefix(".")


def is_allowed(target: str, allowed: str) -> bool:
    return any(target == a or target.startswith(f"{a}.") for a in allowed.split())


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem
)
def test_a_notebook_imports_stages_and_what_shows_them(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    trees = [ast.parse(c.source) for c in cells if c.cell_type == "code"]
    found = {t for tree in trees for t in imports(tree)}
    assert {t for t in found if not is_allowed(t, NOTEBOOKS)} == set()
    assert "study.job" in found


@pytest.mark.parametrize(
    "path",
    sorted((REPOSITORY / "notebooks" / "paper").glob("*.ipynb")),
    ids=lambda p: p.stem,
)
def test_a_notebook_of_the_paper_imports_the_paper_only(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    trees = [ast.parse(c.source) for c in cells if c.cell_type == "code"]
    found = {t for tree in trees for t in imports(tree)}
    assert found
    assert {t for t in found if not is_allowed(t, "analysis.paper")} == set()


@pytest.mark.parametrize(
    "path",
    sorted((REPOSITORY / "notebooks" / "explore").glob("*.ipynb")),
    ids=lambda p: p.stem,
)
def test_a_notebook_to_explore_imports_what_shows_the_views(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    trees = [ast.parse(c.source) for c in cells if c.cell_type == "code"]
    found = {t for tree in trees for t in imports(tree)}
    assert found
    assert {t for t in found if not is_allowed(t, "analysis.explore")} == set()


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_widgets_are_known_to_the_panels_only(path: Path) -> None:
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else a.name) or ""
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for a in node.names
    }
    widgets = {n for n in names if n.split(".")[0] in ("ipywidgets", "itables")}
    assert not widgets or name_of(path) == "ibench.analysis.explore.panels"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_says_what_it_is_and_what_it_offers(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    if len(tree.body) == 1:  # a package marker offers nothing
        return
    module = importlib.import_module(name_of(path))
    offered = module.__all__
    assert len(set(offered)) == len(offered)
    assert [n for n in offered if not hasattr(module, n)] == []


@pytest.mark.parametrize("path", sorted(FILES.glob("*.py")), ids=lambda p: p.name)
def test_what_an_agent_is_given_leads_to_the_evaluator_only(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert set(imports(tree)) == {"methods.agents.evaluator"}
