"""The command ``gpu-check``: everything is checked first, then measured and shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar, get_args

from typer import Option

from ibench.errors import ParameterError, unknown_name
from ibench.params.engines import Engine, load_engine
from ibench.params.options import CACHE, PARAMS, RESULTS
from ibench.stages.gpu_check.lines import check_parts
from ibench.stages.gpu_check.record import RECORD
from ibench.stages.gpu_check.settings import (
    GpuCheck,
    ScenarioId,
    load_settings,
    shortened,
)
from ibench.stages.gpu_check.task import Check, Task
from ibench.terminal import show

__all__ = ["gpu_check"]

NameT = TypeVar("NameT", bound=str)
_SCENARIOS: tuple[ScenarioId, ...] = get_args(ScenarioId)


def gpu_check(
    shape: str = Option("mistral-7b", help="Shape of gpu-check.yaml."),
    device: Literal["cuda", "cpu"] = Option("cuda", help="Where servers run."),
    engines: str | None = Option(None, help="Comma-separated names; else all."),
    scenarios: str | None = Option(None, help="Comma-separated letters; else all."),
    params: Path = PARAMS,
    results: Path = RESULTS,
    cache: Path = CACHE,
) -> int:
    """Measure a GPU against the paper and its own roofline."""
    from ibench.stages.gpu_check.hardware import find_machine  # noqa: PLC0415
    from ibench.stages.gpu_check.run import run_check  # noqa: PLC0415

    params = params.resolve()
    settings = load_settings(params)
    known, tasks = _tasks(params, settings, shape, device, engines, scenarios)
    machine = find_machine(device, params)
    check = Check(
        settings=settings,
        shape_name=shape,
        machine=machine,
        engines=known,
        tasks=tasks,
        cache=cache.resolve(),
        folder=results / "gpu-check" / machine.hardware.folder,
        say=show,
    )
    check.refuse_small_gpu()
    record = run_check(check)
    show(*check_parts(record), str(check.folder / RECORD))
    asked = [(t.engine.name, s) for t in check.tasks for s in t.scenarios]
    found = [record.finding(engine, scenario) for engine, scenario in asked]
    return 0 if all(f and f.outcome == "measured" for f in found) else 1


def _tasks(
    params: Path,
    settings: GpuCheck,
    shape: str,
    device: str,
    engines: str | None,
    scenarios: str | None,
) -> tuple[tuple[Engine, ...], tuple[Task, ...]]:
    """Engines of the settings, and what those that were asked for have to do."""
    path = params / "gpu-check.yaml"
    if shape not in settings.shapes:
        raise unknown_name(path, "shapes", shape, settings.shapes)
    if device == "cpu" and settings.shapes[shape].tokens_divisor == 1:
        small = ", ".join(n for n, s in settings.shapes.items() if s.tokens_divisor > 1)
        remedy = f"full lengths need a GPU; choose one of {small}"
        raise ParameterError("gpu-check", "--shape", shape, remedy)
    wanted = _chosen(path, "engines", engines, list(settings.engines))
    names = _chosen(path, "scenarios", scenarios, _SCENARIOS)
    known = {name: load_engine(params, name) for name in settings.engines}
    tasks = []
    for name in wanted:
        run, of = settings.engines[name], settings.shapes[shape]
        asked = {s: shortened(params, s, of, run.requests[s]) for s in names}
        tasks.append(Task(known[name], run, asked))
    return tuple(known.values()), tuple(tasks)


def _chosen(
    path: Path, key: str, text: str | None, known: Sequence[NameT]
) -> list[NameT]:
    """Names of a comma-separated list, in the order of the file.

    Raises:
        ParameterError: an unknown one, or none.
    """
    if text is None:
        return list(known)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in known:
            raise unknown_name(path, key, name, known)
    return [name for name in known if name in names]
