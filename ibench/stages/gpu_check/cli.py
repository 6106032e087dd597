# ruff: noqa: T201 (a program for people)
"""The command ``gpu-check``: everything is checked first, then measured and shown."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ibench.errors import ParameterError

if TYPE_CHECKING:
    from ibench.params import Scenario
    from ibench.stages.gpu_check.settings import EngineRun, ScenarioId
    from ibench.stages.gpu_check.shape import Shape
    from ibench.stages.gpu_check.task import Check

__all__ = ["add_gpu_check"]

_SCENARIOS: tuple[ScenarioId, ...] = ("a", "b", "c", "d")


def add_gpu_check(
    parser: argparse.ArgumentParser,
) -> Callable[[argparse.Namespace], int]:
    """Declare the options of ``gpu-check``; returns what runs it."""
    add = parser.add_argument
    add("--shape", default="mistral-7b", help="of params/gpu-check.yaml")
    add("--device", default="cuda", choices=("cuda", "cpu"))
    add("--engines", help="comma-separated; default: all of params/gpu-check.yaml")
    add("--scenarios", help="comma-separated; default: a,b,c,d")
    add("--params", default="params")
    add("--results", default="results")
    add("--cache", help="folder of models: .cache")
    return _gpu_check


def _gpu_check(args: argparse.Namespace) -> int:
    from ibench.stages.gpu_check.lines import check_lines  # noqa: PLC0415
    from ibench.stages.gpu_check.record import RECORD  # noqa: PLC0415
    from ibench.stages.gpu_check.run import run_check  # noqa: PLC0415

    check = _check(args)
    record = run_check(check)
    print("\n".join(check_lines(record)))
    print(check.folder / RECORD)
    asked = [(t.engine.name, s) for t in check.tasks for s in t.scenarios]
    found = [record.finding(engine, scenario) for engine, scenario in asked]
    return 0 if all(f and f.outcome == "measured" for f in found) else 1


def _check(args: argparse.Namespace) -> Check:
    from ibench import REPOSITORY  # noqa: PLC0415
    from ibench.params.engines import load_engine  # noqa: PLC0415
    from ibench.stages.gpu_check.hardware import find_machine  # noqa: PLC0415
    from ibench.stages.gpu_check.settings import load_settings  # noqa: PLC0415
    from ibench.stages.gpu_check.task import Check, Task  # noqa: PLC0415

    params = Path(args.params).resolve()
    path = params / "gpu-check.yaml"
    settings = load_settings(params)
    if args.shape not in settings.shapes:
        _refuse(path, "shapes", args.shape, list(settings.shapes))
    if args.device == "cpu" and settings.shapes[args.shape].tokens_divisor == 1:
        small = [n for n, s in settings.shapes.items() if s.tokens_divisor > 1]
        _refuse("gpu-check", "--shape", args.shape, small, "full lengths need a GPU")
    engines = _chosen(path, "engines", args.engines, list(settings.engines))
    names = _chosen(path, "scenarios", args.scenarios, _SCENARIOS)
    known = {name: load_engine(params, name) for name in settings.engines}
    tasks = tuple(
        Task(known[name], run, _asked(params, settings.shapes[args.shape], run, names))
        for name, run in settings.engines.items()
        if name in engines
    )
    machine = find_machine(args.device, params)
    cache = Path(args.cache) if args.cache else REPOSITORY / ".cache"
    check = Check(
        settings=settings,
        shape_name=args.shape,
        machine=machine,
        engines=tuple(known.values()),
        tasks=tasks,
        cache=cache.resolve(),
        folder=Path(args.results) / "gpu-check" / machine.hardware.folder,
        say=lambda line: print(line, flush=True),
    )
    check.refuse_small_gpu()
    return check


def _asked(
    params: Path, shape: Shape, run: EngineRun, names: Sequence[str]
) -> dict[ScenarioId, tuple[Scenario, int]]:
    from ibench.stages.gpu_check.settings import shortened  # noqa: PLC0415

    return {
        name: shortened(params, name, shape, run.requests[name])
        for name in _SCENARIOS
        if name in names
    }


def _chosen(path: Path, key: str, text: str | None, known: Sequence[str]) -> list[str]:
    """Names of a comma-separated list, in the order of the file.

    Raises:
        ParameterError: an unknown one, or none.
    """
    if text is None:
        return list(known)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in known:
            _refuse(path, key, name, known)
    return [name for name in known if name in names]


def _refuse(
    where: Path | str, key: str, value: str, known: Sequence[str], why: str = "unknown"
) -> None:
    remedy = f"{why}; choose one of {', '.join(known)}"
    raise ParameterError(where, key, value, remedy)
