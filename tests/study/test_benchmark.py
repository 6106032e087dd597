"""A benchmark of another package goes through planning, running, verify and report."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from ibench import REPOSITORY
from ibench.__main__ import main
from ibench.errors import ParameterError
from ibench.records import Closed, register_results
from ibench.store import load_record
from ibench.study.benchmark import find_benchmark, open_grid
from ibench.study.definition import INFERENCE, Study

pytestmark = pytest.mark.slow  # two real kernels

MODULE = """
from pathlib import Path
from typing import Literal
from ibench.params import BaseProfile, SeedPair
from ibench.records import Closed
from ibench.study.grid import Benchmark, Cell, Grid

HERE = Path(__file__).parent

class ToyProfile(BaseProfile):
    texts: dict[str, str]

class Counted(Closed):
    kind: Literal["toy-counted"] = "toy-counted"
    words: int

class Summed(Closed):
    kind: Literal["toy-summed"] = "toy-summed"
    words: int

class Toy(Grid[ToyProfile]):
    def __init__(self, profile, params, results):
        super().__init__(ToyProfile, profile, params, results)

    def cells(self):
        yield from (Cell(t, "counter", SeedPair(development=1, evaluation=2))
                    for t in self.profile.texts)

    def stages(self, cell):
        return ("count",)

    def needs(self, stage, cell):
        return ()

    def spec(self, stage, cell):
        return {"text": self.profile.texts[cell.scenario]} if cell else {}

    def limit_s(self, stage):
        return 60.0

TOY = Benchmark(
    name="toy",
    open=Toy,
    notebooks={"count": str(HERE / "nb/count.ipynb"),
               "aggregation": str(HERE / "nb/sum.ipynb")},
    results=(Counted, Summed),
)
Toy.benchmark = TOY
"""
GIVEN = "profile: str\nparams_dir: str\nresults_dir: str\n"
CELL = "scenario: str\nmethod: str\nseeds: str\n"
OPEN = "profile=profile, params_dir=params_dir, results_dir=results_dir"
COUNT = f"""from ibench.study.stage import open_stage
job = open_stage("count", {OPEN}, scenario=scenario, method=method, seeds=seeds)
from toy_benchmark import Counted
_ = job.publish(Counted(words=len(job.job.spec["text"].split())))"""
SUM = f"""from ibench.study.stage import open_stage
from ibench.store import load_record
job = open_stage("aggregation", {OPEN})
from toy_benchmark import Summed
counts = [load_record(folder).result.words for folder in job.job.needs]
print("words in all:", sum(counts))
_ = job.publish(Summed(words=sum(counts)))"""


def _notebook(path: Path, *cells: str) -> None:
    made = [nbformat.v4.new_code_cell(source) for source in cells]
    made[0].metadata["tags"] = ["parameters"]
    path.parent.mkdir(exist_ok=True)
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": python, "language_info": {"name": "python"}}
    book = nbformat.v4.new_notebook(cells=made, metadata=metadata)
    nbformat.write(book, path)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a benchmark as a package does: a module and its entry point."""
    (tmp_path / "toy_benchmark.py").write_text(MODULE)
    info = tmp_path / "toy_benchmark-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: toy_benchmark\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[ibench.benchmarks]\ntoy = toy_benchmark:TOY\n"
    )
    _notebook(tmp_path / "nb" / "count.ipynb", GIVEN + CELL, COUNT)
    _notebook(tmp_path / "nb" / "sum.ipynb", GIVEN, SUM)
    profile = {"name": "words", "description": "Counts words.", "benchmark": "toy"}
    profile |= {"texts": {"short": "one two", "long": "one two three four"}}  # type: ignore[dict-item]
    path = tmp_path / "params" / "profiles" / "words.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(profile))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "toy_benchmark", raising=False)
    return tmp_path


def _ibench(toy: Path, command: str, *words: str) -> int:
    folders = ["--params", str(toy / "params"), "--results", str(toy / "results")]
    return main([command, *words, "--profile", "words", *folders])


def test_a_toy_benchmark_goes_all_the_way(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid: Any = open_grid("words", toy / "params", toy / "results")
    assert list(grid.jobs) == [
        "short/counter/1-2/count",
        "long/counter/1-2/count",
        "aggregation",
    ]
    assert _ibench(toy, "grid") == 0
    rules = (grid.root / "grid.mk").read_text()
    assert "counter/1-2/count/record.json" in rules
    for name in grid.jobs:
        assert _ibench(toy, "stage", name) == 0
    assert load_record(grid.root / "aggregation").result.model_dump()["words"] == 6
    assert _ibench(toy, "verify") == 0
    assert "3 finished stages re-hashed, 0 deviations" in capsys.readouterr().out
    assert _ibench(toy, "report") == 0
    assert "words in all: 6" in (grid.root / "report.html").read_text()
    assert _ibench(toy, "status") == 0
    assert "3 of 3 stages done" in capsys.readouterr().out


def test_a_changed_text_runs_its_own_stage_and_the_sum_again(toy: Path) -> None:
    first: Any = open_grid("words", toy / "params", toy / "results")
    path = toy / "params" / "profiles" / "words.yaml"
    path.write_text(path.read_text().replace("one two three four", "five"))
    later: Any = open_grid("words", toy / "params", toy / "results")
    changed = [n for n in first.jobs if first.job(n).run_id != later.job(n).run_id]
    assert changed == ["long/counter/1-2/count", "aggregation"]


def test_commands_of_inference_say_that_they_do_not_know_it(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ibench(toy, "plan") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "words.yaml: benchmark: 'toy': this command knows studies" in line


def test_an_unknown_benchmark_names_the_nearest_one(toy: Path) -> None:
    assert find_benchmark("inference") is INFERENCE
    path = toy / "params" / "profiles" / "words.yaml"
    path.write_text(path.read_text().replace('"toy"', '"inferense"'))
    with pytest.raises(ParameterError, match=r"did you mean 'inference'\?"):
        open_grid("words", toy / "params", toy / "results")


def test_a_kind_of_result_belongs_to_one_model() -> None:
    class Other(Closed):
        kind: str = "evidence"

    with pytest.raises(ValueError, match="'evidence' is Evidence's"):
        register_results(Other)


def test_profiles_are_of_inference_unless_they_say_otherwise(tmp_path: Path) -> None:
    assert isinstance(open_grid("smoke", REPOSITORY / "params", tmp_path), Study)
