"""The blocks of docs/extending.md, applied to a copy of the checkout and used there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ibench import REPOSITORY

MOST_LINES = 15
PROFILE = """extends: smoke
name: mine
scenarios: [a, c, e]
scale: {e: {input_tokens: 64, output_tokens: 8, phases: {chat: {requests: 4}}}}
"""
MADE = """
from tests.factories import evidence, phase, result
results = [result(tokens=20) for _ in range(1000)]
"""
USES = {
    "scenario": """
from pathlib import Path
from ibench.__main__ import main
from ibench.analysis.style import titles
from ibench.study.definition import Study
study = Study("mine", Path("params"), Path("results"))
assert study.scenarios["e"].phases[0].requests == 4
assert "e/first-working/21-1337/gating" in study.jobs and titles("e") == "E"
assert main(["plan", "--profile", "mine"]) == 0
""",
    "objective": """
from pathlib import Path
from ibench.load.stopping import OBJECTIVES
from ibench.metrics.objectives import objective
from ibench.study.definition import Study
path = Path("params/scenarios/e.yaml")
path.write_text(path.read_text().replace("balanced", "goodput"))
assert Study("mine", Path("params"), Path("results")).scenarios["e"].objective
assert objective("goodput", [phase(goodput_per_s=3.0), phase(goodput_per_s=2.0)]) == 2
assert OBJECTIVES["goodput"].watched == {"rate"}
""",
    "metric": """
from ibench.load.lines import phase_table
from ibench.metrics.phase import PhasePlan
from ibench.metrics.summary import summarize
plan = PhasePlan("burst", "burst", 1, "0" * 64, None, 1.0, 1.0, len(results))
found = summarize(plan, results)
assert found.more["latency_p99_s"] >= found.latency_p50_s
assert any("latency p99 (s)" in line for line in phase_table(found).lines())
assert summarize(plan, results[:3]).more["latency_p99_s"] is None
""",
    "rule": """
from ibench.gates.integrity import RULES, judge_rules, quick_ready
from ibench.params import Gates
Seen = quick_ready.__globals__[quick_ready.__annotations__["s"]]
gates = Gates(tau=0.9, max_failure_rate=0.1, required_checks=("rules",))
made = evidence()
made = made.model_copy(update={"launch": made.launch.model_copy(
    update={"ready_s": 0.01})})
found = {f.rule: f for f in judge_rules(Seen(made, results, gates, "m", "m"))}
assert found["quick_ready"].status == "failed" and len(found) == len(RULES)
""",
    "figure": """
import json
from pathlib import Path
import pandas as pd
from ibench.analysis.report import FIGURES, SECTIONS
from ibench.analysis.style import save_figure
entry = next(f for f in FIGURES if f.name == "accuracy")
runs = pd.DataFrame({"method": ["x", "y"], "accuracy": [0.8, 0.7]})
tables = type("T", (), {"runs": runs})
save_figure(entry.draw(tables), entry.data(tables), Path("out"), entry.name)
assert Path("out/accuracy.png").stat().st_size > 5000
assert Path("out/accuracy.csv").read_text().startswith("method,accuracy")
cells = json.loads(Path("notebooks/5_aggregation.ipynb").read_text())["cells"]
text = "".join("".join(cell["source"]) for cell in cells)
for section in SECTIONS:
    assert f'figures_of(job, tables, "{section}")' in text
""",
}


def _blocks() -> dict[str, list[str]]:
    text = (REPOSITORY / "docs" / "extending.md").read_text()
    found = re.findall(r"```diff (\w+)\n(.*?)```", text, re.S)
    return {name: body.splitlines() for name, body in found}


def _hunks(lines: list[str]) -> list[tuple[str, list[str]]]:
    hunks: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith("+++ "):
            hunks.append((line[4:], []))
        elif line == "@@":
            hunks.append((hunks[-1][0], []))
        else:
            hunks[-1][1].append(line)
    return hunks


def _apply(root: Path, lines: list[str]) -> None:
    for name, hunk in _hunks(lines):
        path = root / name
        old = "".join(f"{line[1:]}\n" for line in hunk if line[0] != "+")
        new = "".join(f"{line[1:]}\n" for line in hunk)
        text = path.read_text() if path.exists() else ""
        assert text.count(old) == 1 or (not old and not text), (name, old)
        path.write_text(text.replace(old, new) if old else new)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("extended")
    for name in ("ibench", "params", "notebooks"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, root / name, ignore=skip)
    (root / "tests").mkdir()
    for name in ("__init__.py", "factories.py"):
        shutil.copy(REPOSITORY / "tests" / name, root / "tests" / name)
    for lines in _blocks().values():
        _apply(root, lines)
    (root / "params" / "profiles" / "mine.yaml").write_text(PROFILE)
    return root


def test_every_kind_of_addition_has_a_short_block() -> None:
    blocks = _blocks()
    assert set(blocks) == set(USES)
    assert {n: len(b) for n, b in blocks.items() if len(b) > MOST_LINES} == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", USES)
def test_an_addition_works_as_the_page_says(kind: str, copy: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MADE + USES[kind]],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
