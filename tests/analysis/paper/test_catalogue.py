from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from ibench import REPOSITORY
from ibench.analysis.paper.catalogue import CATALOGUE, THEMES, Artefact, artefacts_of
from ibench.analysis.paper.data import Published
from ibench.analysis.paper.drawings import Drawn
from ibench.analysis.paper.publish import latex, markdown, present, write_table
from ibench.analysis.paper.sheet import open_sheet
from ibench.analysis.paper.uncertainty import DrawSettings
from ibench.errors import ParameterError, StageError
from ibench.study.notebook import declared_parameters

NOTEBOOKS = {
    p.stem.split("_")[0]: p
    for p in sorted((REPOSITORY / "notebooks" / "paper").glob("*.ipynb"))
}
FEW = DrawSettings(draws=200)
EVERY = pytest.mark.parametrize("artefact", CATALOGUE.values(), ids=lambda a: a.name)


def test_every_table_and_figure_of_the_paper_is_in_the_catalogue() -> None:
    wanted = {f"table_{n:02d}" for n in range(1, 22)} | {"figure_02"}
    assert wanted <= set(CATALOGUE)
    site = {
        "leaderboard_paper", "leaderboard_september", "leaderboard_september_bars",
        "scenarios_paper", "scenarios_september", "outcomes", "configurations",
        "techniques", "found_vs_submitted", "time_budget_site", "forced_engine_site",
    }  # fmt: skip
    assert site <= set(CATALOGUE)


def test_every_table_of_the_paper_names_its_number() -> None:
    for number in range(1, 22):
        artefact = CATALOGUE[f"table_{number:02d}"]
        assert re.search(rf"\bTable {number}\b", artefact.source)


def test_the_documentation_lists_every_artefact() -> None:
    text = (REPOSITORY / "docs" / "paper.md").read_text()
    for artefact in CATALOGUE.values():
        assert f"{artefact.kind}s/{artefact.name}." in text
        assert artefact.function.removeprefix("ibench.analysis.paper.") in text


@EVERY
def test_an_artefact_is_made_from_files_that_exist(
    artefact: Artefact, data: Published
) -> None:
    assert set(artefact.files) <= set(data.schema.files)
    made = artefact.make(data, FEW)
    frame = made.data if isinstance(made, Drawn) else made
    assert isinstance(made, Drawn) or artefact.kind == "table"
    assert len(frame) > 0
    # Headings that collapse would drop a column without a word.
    hidden = [c for c in frame if str(c).endswith("_sem")]
    assert len(frame.columns) - len(hidden) <= len(present(frame).columns)
    assert "bound method" not in markdown(frame)
    assert artefact.source
    assert artefact.function.startswith("ibench.analysis.paper.")


def test_every_theme_has_one_notebook() -> None:
    assert set(NOTEBOOKS) == set(THEMES)


@pytest.mark.parametrize("theme", THEMES)
def test_a_notebook_shows_its_theme_and_nothing_else(theme: str) -> None:
    cells = nbformat.read(NOTEBOOKS[theme], as_version=4).cells
    source = "\n".join(c.source for c in cells if c.cell_type == "code")
    shown = set(re.findall(r'sheet\.(?:table|figure)\("(\w+)"\)', source))
    assert shown == {a.name for a in artefacts_of(theme)}
    assert f'"{theme}"' in source
    assert "sheet.close()" in source
    for call in re.findall(r'sheet\.figure\("(\w+)"\)', source):
        assert f'sheet.caption("{call}")' in source


@pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=lambda p: p.stem)
def test_notebooks_of_the_paper_are_thin(path: Path) -> None:
    assert set(declared_parameters(path)) == {"published", "output", "draws", "seed"}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        assert not cell.outputs
        assert len(cell.source.splitlines()) <= 15
        kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef, ast.Lambda)
        assert not any(isinstance(n, kinds) for n in ast.walk(ast.parse(cell.source)))


@pytest.mark.parametrize(
    ("name", "theme"),
    [
        ("leaderboard_paper", "leaderboard"),
        ("table_02", "leaderboard"),
        ("forced_engine", "search"),
        ("probability_of_improvement", "statistics"),
        ("figure_02", "budget"),
    ],
)
def test_files_are_the_same_byte_for_byte(
    name: str, theme: str, tmp_path: Path
) -> None:
    written = []
    for folder in ("first", "second"):
        sheet = open_sheet(
            theme, published="results/published", output=str(tmp_path / folder),
            draws=200,
        )  # fmt: skip
        make = sheet.figure if CATALOGUE[name].kind == "figure" else sheet.table
        make(name)
        files = sorted((tmp_path / folder).rglob("*.*"))
        written.append({f.name: f.read_bytes() for f in files})
    kinds = {Path(f).suffix for f in written[0]}
    wanted = {
        "figure": {".png", ".pdf", ".svg", ".csv"},
        "table": {".csv", ".md", ".tex"},
    }
    assert kinds == wanted[CATALOGUE[name].kind]
    assert written[0] == written[1]
    for data in written[0].values():
        assert b"CreationDate" not in data
        assert b"<dc:date>" not in data


def test_a_sheet_refuses_what_is_not_its_own(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="choose one of leaderboard"):
        open_sheet("board", published="results/published", output=str(tmp_path))
    sheet = open_sheet("search", published="results/published", output=str(tmp_path))
    with pytest.raises(ParameterError, match="choose one of table_19"):
        sheet.table("table_02")
    with pytest.raises(ParameterError, match="is a table"):
        sheet.figure("table_19")
    with pytest.raises(StageError, match="search: not made: table_19"):
        sheet.close()
    assert not (tmp_path / "manifests").exists()


FRAME = pd.DataFrame(
    {
        "agent": ["A_1 & B", "C"],
        "a_speedup": [3.469, 1.0],
        "a_sem": [0.481, float("nan")],
        "total_usd": [10.5, 2.0],
        "runs": pd.Series([12, None], dtype="Int64"),
        "valid": [True, False],
    }
)


def test_a_table_for_people_joins_mean_and_sem() -> None:
    shown = present(FRAME)
    assert list(shown.columns) == ["agent", "A", "total USD", "runs", "valid"]
    assert list(shown["A"]) == ["3.47 ± 0.48", "1.00"]
    assert list(shown["runs"]) == ["12", "-"]
    assert list(shown["valid"]) == ["yes", "no"]


def test_markdown_and_latex() -> None:
    assert markdown(FRAME).splitlines()[:3] == [
        "| agent | A | total USD | runs | valid |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| A 1 & B | 3.47 ± 0.48 | 10.50 | 12 | yes |",
    ]
    text = latex(FRAME, "50 % of it", "x")
    assert r"\caption{50 \% of it}" in text
    assert r"A 1 \& B & 3.47 $\pm$ 0.48 & 10.50 & 12 & yes \\" in text
    assert text.count(r"\\") == 3
    assert text.index(r"\midrule") < text.index("A 1") < text.index(r"\bottomrule")


def test_a_csv_holds_numbers(tmp_path: Path) -> None:
    write_table(FRAME, tmp_path, "t", "Title", "Note.")
    again = pd.read_csv(tmp_path / "t.csv")
    assert list(again.columns) == list(FRAME.columns)
    assert again.a_speedup[0] == 3.469
    assert (tmp_path / "t.md").read_text().startswith("**Title.** Note.\n\n| agent |")
