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


def of_notebook(path: Path) -> set[str]:
    """What the code of a notebook imports of ours."""
    cells = nbformat.read(path, as_version=4).cells
    trees = [ast.parse(c.source) for c in cells if c.cell_type == "code"]
    return {t for tree in trees for t in imports(tree)}


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        # A notebook of a stage shows it and holds no logic of its own.
        ("", "study.job stages store analysis"),
        ("paper", "analysis.paper"),
        ("explore", "analysis.explore"),
    ],
    ids=["stages", "paper", "explore"],
)
def test_a_notebook_imports_only_what_shows_its_numbers(
    folder: str, allowed: str
) -> None:
    found = {
        path.stem: of_notebook(path)
        for path in sorted((REPOSITORY / "notebooks" / folder).glob("*.ipynb"))
    }
    assert found
    wrong = {
        name: [t for t in targets if not is_allowed(t, allowed)]
        for name, targets in found.items()
    }
    assert {name: targets for name, targets in wrong.items() if targets} == {}
    needed = {"study.job"} if not folder else set[str]()
    idle = [n for n, targets in found.items() if not targets or not needed <= targets]
    assert idle == []


def test_widgets_are_known_to_the_panels_only() -> None:
    users = set()
    for path in modules():
        names = {
            (node.module if isinstance(node, ast.ImportFrom) else a.name) or ""
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for a in node.names
        }
        if any(n.split(".")[0] in ("ipywidgets", "itables") for n in names):
            users.add(name_of(path))
    assert users == {"ibench.analysis.explore.panels"}


def test_no_class_name_stands_twice() -> None:
    places: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(name_of(path))
    assert {name: at for name, at in places.items() if len(at) > 1} == {}


def test_every_module_says_what_it_is_and_what_it_offers() -> None:
    wrong = [f"{name_of(p)}: {why}" for p in modules() if (why := fault_of(p))]
    assert wrong == []


def fault_of(path: Path) -> str:
    """What a module leaves unsaid, in words; nothing when all is well."""
    tree = ast.parse(path.read_text())
    if not ast.get_docstring(tree):
        return "does not say what it is"
    if len(tree.body) == 1:  # a package marker offers nothing
        return ""
    module = importlib.import_module(name_of(path))
    offered = getattr(module, "__all__", None)
    if offered is None:
        return "does not say what it offers"
    if len(set(offered)) != len(offered):
        return "offers something twice"
    missing = [n for n in offered if not hasattr(module, n)]
    return f"offers {missing}, which it has not" if missing else ""


def test_what_an_agent_is_given_leads_to_the_evaluator_only() -> None:
    trees = {p.name: ast.parse(p.read_text()) for p in sorted(FILES.glob("*.py"))}
    assert trees
    assert [name for name, tree in trees.items() if not ast.get_docstring(tree)] == []
    targets = {name: set(imports(tree)) for name, tree in trees.items()}
    assert targets == {name: {"methods.agents.evaluator"} for name in trees}
