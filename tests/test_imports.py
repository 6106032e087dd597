"""The direction of the architecture: who may import whom."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "ibench"
# Scripts that a workspace gets a copy of; they are data here, not modules.
FILES = PACKAGE / "agents" / "files"
# Run by the interpreters of engines.
SCRIPTS = PACKAGE / "serving" / "files"

# Unit: what its modules may import of ours. A unit is a module or package below
# `ibench`; its own modules are always allowed. A dotted name grants that module only.
ALLOWED: dict[str, str] = {
    "errors": "",
    "records": "",
    "params": "records",
    "paramfile": "errors records",
    "metrics": "errors records",
    "status": "",
    "store": "errors records",
    "notebook": "errors records",
    "workloads": "errors records",
    "intervals": "errors metrics",
    "gpu": "errors records gpu_choice",
    "gpu_choice": "",
    "summary": "errors records params metrics intervals",
    "stopping": "params metrics intervals load",
    "load": "errors records metrics",
    "serving": "errors records",
    "search": "errors records",
    "gates": "errors records params metrics",
    "analysis": "errors records params metrics",
    "measure": "errors records params metrics load summary stopping",
    "hosts": "records",
    "study": "errors records hosts params paramfile serving.engines",
    "data": "errors records params",
    "assets": "errors records params data study workloads",
    "materialise": "errors records params data study workloads assets",
    "agents": (
        "errors records params paramfile store workloads measure serving "
        "gates.quality engines"
    ),
    "workbench": (
        "errors records params store study status notebook assets serving gpu_choice"
    ),
    "reuse": "store study",
    "watch": "agents.links agents.redact errors records status store study",
    "prices": "paramfile records",
    "engines": "errors records params paramfile serving study",
    "stages": (
        "errors records params metrics store study workbench workloads measure "
        "serving status search agents gates analysis gpu intervals prices runs "
        "data"
    ),
    "grid": "errors store study",
    "cluster": (
        "errors records params paramfile store study grid measuring runner status "
        "report"
    ),
    "measuring": "",
    "runner": "errors measuring reuse store study status notebook serving",
    "report": "errors store",
    "paper": "runs errors records params paramfile analysis store study notebook",
    "explore": (
        "runs errors records params metrics store study workloads gates analysis "
        "stages status watch "
        "paper"
    ),
    "show": "records",
    "crate": "errors records store study",
    "runs": "errors records analysis store study",
    "plan": "grid paramfile params records store study",
    "doctor": "errors gpu_choice hosts params data study serving",
    "gpu_check": (
        "errors records hosts params paramfile metrics store study workloads measure "
        "serving gpu gpu_choice doctor stages.folder workbench"
    ),
    "trajectories": "agents.links errors records",
    "site": "runs errors records params analysis paper.data store study",
    "loadtest": (
        "errors records params intervals load stopping summary store workloads"
    ),
    "cli": "errors params load.arrivals loadtest measuring show stages study",
    "search_cli": "engines errors measuring params search stages study workbench",
    "__init__": "",
    "__main__": (
        "agents.cli cli search_cli gpu_check.cli cluster crate engines plan doctor "
        "materialise "
        "errors study watch "
        "status assets workbench grid runner report paper"
    ),
}
# What a notebook may name: it shows a stage and holds no logic of its own.
NOTEBOOKS = "workbench stages store analysis"


# Scripts of Harbor's own environment; this one cannot import them.
WORKER = PACKAGE / "agents" / "worker"


def modules() -> list[Path]:
    apart = (FILES, WORKER, SCRIPTS)
    return sorted(
        p for p in PACKAGE.rglob("*.py") if not any(map(p.is_relative_to, apart))
    )


def name_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def unit_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


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


def test_every_unit_stands_in_the_table_and_nothing_else_does() -> None:
    assert {unit_of(p) for p in modules()} == set(ALLOWED)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_only_what_the_table_grants(path: Path) -> None:
    unit = unit_of(path)
    granted = f"{ALLOWED[unit]} {unit}"
    found = set(imports(ast.parse(path.read_text())))
    assert {t for t in found if not is_allowed(t, granted)} == set()


def test_the_table_has_no_cycle() -> None:
    """A grant both ways would make the direction meaningless."""
    left = {u: {a.split(".")[0] for a in ALLOWED[u].split()} - {u} for u in ALLOWED}
    while left:
        free = {u for u, needs in left.items() if not needs & set(left)}
        assert free, f"a cycle among {sorted(left)}"
        left = {u: needs for u, needs in left.items() if u not in free}


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem
)
def test_a_notebook_imports_stages_and_what_shows_them(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    trees = [ast.parse(c.source) for c in cells if c.cell_type == "code"]
    found = {t for tree in trees for t in imports(tree)}
    assert {t for t in found if not is_allowed(t, NOTEBOOKS)} == set()
    assert "workbench" in found


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
    assert {t for t in found if not is_allowed(t, "paper")} == set()


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
    assert {t for t in found if not is_allowed(t, "explore")} == set()


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_widgets_are_known_to_the_panels_only(path: Path) -> None:
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else a.name) or ""
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for a in node.names
    }
    widgets = {n for n in names if n.split(".")[0] in ("ipywidgets", "itables")}
    assert not widgets or name_of(path) == "ibench.explore.panels"


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
    assert set(imports(tree)) == {"agents.evaluator"}
