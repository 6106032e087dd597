"""Files that extend others: what is laid over what, and what goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.errors import ParameterError
from ibench.params.files import load_yaml, named
from ibench.records import Closed
from ibench.study.definition import Study

PARAMS = REPOSITORY / "params"
ABLATIONS = sorted(p.stem for p in (PARAMS / "profiles" / "ablations").glob("*.yaml"))


class Inner(Closed):
    a: int
    b: int = 0


class Outer(Closed):
    name: str
    inner: Inner
    items: tuple[int, ...] = ()


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_mappings_are_merged_and_lists_replaced(tmp_path: Path) -> None:
    _write(tmp_path, "base", "name: base\ninner: {a: 1, b: 2}\nitems: [1, 2]\n")
    _write(tmp_path, "mid", "extends: base\ninner: {b: 3}\n")
    top = _write(tmp_path / "sub", "top", "extends: mid\nname: top\nitems: [9]\n")
    assert load_yaml(Outer, top) == Outer(name="top", inner=Inner(a=1, b=3), items=(9,))
    assert named(tmp_path, "top") == top


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("extends: other\nname: x\n", "no other.yaml here or one folder up"),
        ("extends: loop\nname: x\n", "no loop.yaml here|extends itself"),
        ("extends: base\nnmae: x\n", "did you mean 'name'"),
    ],
)
def test_what_cannot_be_extended_says_so(
    tmp_path: Path, text: str, remedy: str
) -> None:
    _write(tmp_path, "base", "name: base\ninner: {a: 1}\n")
    path = _write(tmp_path, "loop", text)
    with pytest.raises(ParameterError, match=remedy):
        load_yaml(Outer, path)


def test_two_files_that_extend_each_other(tmp_path: Path) -> None:
    _write(tmp_path, "one", "extends: two\n")
    path = _write(tmp_path, "two", "extends: one\n")
    with pytest.raises(ParameterError, match="extends itself"):
        load_yaml(Outer, path)


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_is_a_study(name: str, tmp_path: Path) -> None:
    study = Study(name, PARAMS, tmp_path)
    assert study.root == tmp_path / name
    assert len(study.jobs) > 3 * 4 * len(study.profile.methods)
    *agents, control = study.profile.methods
    assert control.kind == "control"
    for method in agents:
        assert method.kind == "agent"
        text = study.method_prompt(method)
        assert ("$forced_engine" in text) == (method.forced_engine is not None)
        assert ("$warm_engine" in text) == (method.warm_engine is not None)


def test_ablations_share_the_baselines_they_agree_on(tmp_path: Path) -> None:
    def ids(name: str) -> set[str]:
        jobs = Study(name, PARAMS, tmp_path).jobs.values()
        return {j.run_id for j in jobs if j.stage == "baseline"}

    assert ids("budget-1h") == ids("budget-8h") == ids("strict") == ids("h100")
    assert not ids("h100") & ids("a100")
    assert not ids("h100") & ids("qwen3-8b")
