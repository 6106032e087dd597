from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from ibench import REPOSITORY
from ibench.study.definition import Study
from tests.analysis.explore.studies import PROFILE, make_explored
from tests.browser.lab import Lab, Notebook, start_lab

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SIZE = {"width": 1400, "height": 1700}


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The system's browser; playwright downloads none."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        if shutil.which("apt-get") is None:
            pytest.skip("needs chromium, and there is no apt-get to install it with")
        pytest.fail("chromium is missing: `apt-get install chromium`, or `make setup`")
    with sync_playwright() as playwright:
        # Chromium refuses its own sandbox to root; only our server is visited.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab over a copy: an autosave must not reach the checkout."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(REPOSITORY / "notebooks/explore", root / "notebooks/explore")
    shutil.copytree(REPOSITORY / "docs/figures", root / "docs/figures")
    server = start_lab(root, tmp_path_factory.mktemp("home"))
    yield server
    server.stop()


@pytest.fixture(scope="package")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_explored(tmp_path_factory.mktemp("study"))


Open = Callable[..., Notebook]


@pytest.fixture
def open_notebook(lab: Lab, chromium: Browser, study: Study) -> Iterator[Open]:
    """Open a notebook on the made study, or on the published numbers, and run it."""
    opened: list[Notebook] = []

    def open_it(name: str, *, runs: bool) -> Notebook:
        values = {
            "profile": PROFILE if runs else "cpu",
            "params": str(study.params),
            "results": str(study.results) if runs else str(lab.root / "none"),
        }
        set_parameters(lab.root / "notebooks" / "explore" / f"{name}.ipynb", values)
        notebook = Notebook(lab, chromium.new_page(viewport=SIZE), name)  # type: ignore[arg-type]
        opened.append(notebook)
        notebook.open()
        notebook.run_all()
        assert notebook.errors() == []
        notebook.picture.wait_for(timeout=20_000)
        return notebook

    yield open_it
    for notebook in opened:
        notebook.close()


def set_parameters(path: Path, values: dict[str, str]) -> None:
    """Write parameters into the copy, as a person would into the first cell."""
    book = json.loads(path.read_text())
    cell = next(
        c for c in book["cells"] if "parameters" in c["metadata"].get("tags", ())
    )
    for i, line in enumerate(cell["source"]):
        name = line.partition(" =")[0]
        if name in values:
            end = "\n" if line.endswith("\n") else ""
            cell["source"][i] = f"{name} = {values[name]!r}{end}"
    path.write_text(json.dumps(book))
