"""Which seed is drawn with: development for submissions, evaluation for scores."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from ibench import PACKAGE, REPOSITORY
from ibench.study.definition import Study
from ibench.study.draw import development, evaluation
from ibench.study.job import OpenJob


def _nodes() -> Iterator[tuple[str, ast.AST]]:
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).with_suffix("").as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            yield name, node


def _asks_for_it(node: ast.AST) -> bool:
    """`from ibench.study.draw import evaluation`, or `seeds.seed("eval")`."""
    if isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        return node.module == "ibench.study.draw" and "evaluation" in names
    if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith(".seed"):
        return False
    return "eval" in ast.unparse(node)


def test_only_the_stages_that_score_use_the_evaluation_seed() -> None:
    users = {name for name, node in _nodes() if _asks_for_it(node)}
    planned = {"study/definition"}  # puts the seed of these stages into their spec
    assert users - planned == {"stages/relaunch"}  # stage 1 is measured by it
    readers = {
        name
        for name, node in _nodes()
        if isinstance(node, ast.Attribute)
        and node.attr == "evaluation"
        and "seed" in f"{name} {ast.unparse(node.value)}".replace("scenario", "seed")
    }
    assert readers == {"params/scenario"}


def test_the_two_workloads_of_a_pair_share_nothing(
    model_dir: Path, tmp_path: Path
) -> None:
    study = Study("smoke", REPOSITORY / "params", tmp_path)
    name = next(n for n in study.jobs if n.endswith("/submission"))
    job = OpenJob(study, study.job(name))
    job.assets.model_dir = model_dir
    made, scored = development(job), evaluation(job)
    assert (made.seed, scored.seed) == (job.seeds.development, job.seeds.evaluation)
    for kind in ("requests", "warmup", "questions"):
        ours = {item.model_dump_json() for item in getattr(made, kind)}
        theirs = {item.model_dump_json() for item in getattr(scored, kind)}
        assert ours
        assert theirs
        assert not ours & theirs
