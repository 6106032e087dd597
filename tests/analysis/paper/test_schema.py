from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ibench.analysis.paper.data import SCENARIOS, Published, cells_of
from ibench.analysis.paper.schema import load_schema
from ibench.errors import ParameterError
from tests.analysis.paper.conftest import FOLDER

FILES = sorted(load_schema(FOLDER).files)
Edit = Callable[[str, str, str], Path]


def test_every_csv_has_a_schema_and_every_schema_a_csv() -> None:
    assert sorted(p.stem for p in FOLDER.glob("*.csv")) == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_file_keeps_its_schema(data: Published, name: str) -> None:
    frame, schema = data(name), data.schema.files[name]
    assert list(frame.columns) == list(schema.columns)
    assert len(frame) > 0
    assert data.source(name)
    for column, kind in schema.columns.items():
        if not kind.endswith("or empty"):
            assert frame[column].notna().all()


def test_files_are_as_they_were_transcribed(data: Published) -> None:
    assert data.edited() == []


def test_an_edit_is_noticed(folder: Path, edit: Edit) -> None:
    edit("paper_table12_cost", "136.46", "136.47")
    assert Published(folder).edited() == ["paper_table12_cost"]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("paper_table12_cost", "api_usd", "api", "column: 'api_usd': missing"),
        ("paper_table12_cost", "gpu_usd", "api_usd,gpu_usd", "line 2: 4: must have 5"),
        (
            "paper_table12_cost",
            "136.46",
            "many",
            "line 3, api_usd: 'many': is no num",
        ),
        ("paper_table12_cost", "136.46", "-1", "must lie in [0, 5000]"),
        ("paper_table12_cost", "136.46", "", "line 3, api_usd: '': empty"),
        ("paper_table12_cost", "136.46", "nan", "'nan': must lie in"),
        ("paper_table12_cost", "Opus 4.6", "Opus 4.7", "'Claude Opus 4.7': stands tw"),
        ("paper_table14_failure_modes", "9,5.0,false", "9,5.0,no", "true or false"),
        ("paper_table14_failure_modes", "9,5.0", "9.5,5.0", "'9.5': is no integer"),
        ("paper_table10_volatility", "A,1.56", "E,1.56", "'E': one of A, B, C, D"),
        ("paper_table10_volatility", "A,1.56", "A,3.56", "must lie in [0, 3]"),
    ],
)
def test_a_bad_value_is_one_line_with_file_column_and_value(
    folder: Path, edit: Edit, name: str, old: str, new: str, message: str
) -> None:
    path = edit(name, old, new)
    with pytest.raises(ParameterError) as caught:
        Published(folder)(name)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert message in line
    assert "\n" not in line


def test_an_unknown_column_is_refused(folder: Path) -> None:
    path = folder / "paper_table12_cost.csv"
    rows = path.read_text().splitlines()
    path.write_text(
        "\n".join(f"{r},{'more' if i == 0 else 1}" for i, r in enumerate(rows))
    )
    with pytest.raises(ParameterError, match="column: 'more': unknown"):
        Published(folder)("paper_table12_cost")


def test_columns_keep_their_order(folder: Path, edit: Edit) -> None:
    edit("paper_table12_cost", "agent,api_usd", "api_usd,agent")
    with pytest.raises(ParameterError, match="must stand as agent, api_usd"):
        Published(folder)("paper_table12_cost")


def test_a_missing_file_is_one_line(folder: Path) -> None:
    (folder / "paper_table12_cost.csv").unlink()
    with pytest.raises(ParameterError, match="No such file"):
        Published(folder)("paper_table12_cost")
    with pytest.raises(ParameterError, match="no such published file"):
        Published(folder)("paper_table99")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{agent: text, api_usd: usd", "{agent: text, api_usd: cent", "no type 'cent'"),
        ("key: [hardware]", "key: [harware]", "key column"),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(
    folder: Path, old: str, new: str, message: str
) -> None:
    path = folder / "schema.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ParameterError, match=message):
        load_schema(folder)


def test_a_leaderboard_becomes_cells(data: Published) -> None:
    cells = cells_of(data("paper_table02_leaderboard"))
    assert len(cells) == 22 * len(SCENARIOS)
    one = cells[(cells.method == "GLM-5") & (cells.scenario == "c")].iloc[0]
    assert (one["mean"], one["sem"], one["n"], one["kind"]) == (
        26.36,
        12.70,
        3,
        "agent",
    )
