"""Commands of one study: plan, doctor, data, engines, make rules, checks, crate."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer import Argument, Option

from ibench.errors import ParameterError
from ibench.params.options import CACHE, PARAMS, RESULTS, Run, parameter, replaced
from ibench.study.benchmark import open_grid
from ibench.study.definition import Study
from ibench.study.grid import Grid
from ibench.terminal import say, show

__all__ = [
    "crate", "data", "doctor", "engine", "grid", "plan", "prepare", "verify",
    "with_study",
]  # fmt: skip

BIN = Path(sys.executable).parent


def with_study(profile: str | None = None) -> Callable[[Run], Run]:
    """Give a command --profile, --params and --results in place of its ``study``.

    A command whose ``study`` is a ``Grid`` takes profiles of every benchmark.

    Args:
        profile: the default; without one the option must be given.
    """
    given = Option(profile or ..., help="Study: a file of profiles/.")
    options = [
        parameter("profile", str, given),
        parameter("params", Path, PARAMS),
        parameter("results", Path, RESULTS),
    ]

    def decorate(command: Run) -> Run:
        takes_any = "Grid" in str(command.__annotations__["study"])
        build = open_grid if takes_any else open_study
        return replaced(command, "study", options, build)

    return decorate


def open_study(profile: str, params: Path, results: Path) -> Study:
    """Open a profile of InferenceBench.

    Raises:
        ParameterError: it is a profile of another benchmark.
    """
    grid = open_grid(profile, params, results)
    if isinstance(grid, Study):
        return grid
    raise ParameterError(
        grid.profile_path,
        "benchmark",
        grid.benchmark.name,
        "this command knows studies of inference only",
    )


@with_study()
def grid(study: Grid[Any]) -> int:
    """Write make rules and set outdated stages aside."""
    from ibench.study.judging import require_judge  # noqa: PLC0415
    from ibench.study.make import make_rules, retire_outdated  # noqa: PLC0415

    if isinstance(study, Study):
        require_judge(study)
    for line in retire_outdated(study):
        show(f"{line}; earlier result kept aside")
    study.root.mkdir(parents=True, exist_ok=True)
    make_rules(study, study.root / "grid.mk")
    return 0


@with_study()
def plan(
    study: Study,
    costs: str | None = Option(None, help="File of costs/; else the host's."),
) -> int:
    """Estimate hours and dollars by stage before anything runs."""
    from ibench.study.judging import require_judge  # noqa: PLC0415
    from ibench.study.plan import make_plan, plan_parts  # noqa: PLC0415

    require_judge(study)
    show(*plan_parts(study, make_plan(study, costs)))
    return 0


@with_study()
def doctor(study: Study, cache: Path = CACHE) -> int:
    """Check the machine before hours are spent."""
    from ibench.study.doctor import diagnose, doctor_parts  # noqa: PLC0415

    checks = diagnose(study, cache)
    show(*doctor_parts(checks))
    return 2 if any(check.state == "fail" for check in checks) else 0


@with_study()
def data(
    study: Study,
    cache: Path = CACHE,
    export: Path | None = Option(None, help="Folder for the original's files."),
) -> int:
    """Fetch and verify model and data, make request sets."""
    from ibench.study.data import make_data  # noqa: PLC0415

    started = time.monotonic()
    make_data(study, cache, export=export)
    show(f"data of {study.profile.name}: ready in {time.monotonic() - started:.1f} s")
    return 0


def engine(
    engine: str = Argument(help="A file of engines/."),
    params: Path = PARAMS,
    cache: Path = CACHE,
) -> int:
    """Build the environment or image of one engine."""
    from ibench.study.engines import find_pythons, make_engine  # noqa: PLC0415

    show(str(make_engine(params, engine, cache, show, find_pythons())))
    return 0


@with_study()
def prepare(study: Study, cache: Path = CACHE) -> int:
    """Find or train the base model, build and check engines."""
    from ibench.study.assets import Assets  # noqa: PLC0415
    from ibench.study.engines import find_pythons, prepare_engines  # noqa: PLC0415

    started = time.monotonic()
    if study.model.kind == "embedded":
        show("model: embedded (the first time it is trained here, under two minutes)")
    folder = Assets(study, cache).model_dir
    show(f"model: ready in {time.monotonic() - started:.1f} s ({folder.name})")
    prepare_engines(study, cache, BIN, show, find_pythons())
    return 0


@with_study()
def verify(study: Grid[Any]) -> int:
    """Re-hash every finished stage."""
    from ibench.study.make import verify_all  # noqa: PLC0415

    count, deviations = verify_all(study)
    for line in deviations:
        say(line)
    show(f"{count} finished stages re-hashed, {len(deviations)} deviations")
    return 2 if deviations else 0


@with_study()
def crate(study: Grid[Any]) -> int:
    """Export records, figures and provenance as an RO-Crate."""
    from ibench.study.crate import make_crate  # noqa: PLC0415

    out = study.root / "crate"
    show(f"{out}: {make_crate(study, out)} stages")
    return 0
