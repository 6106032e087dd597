"""Measure what a record does not hold yet, one server life an engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ibench.load.life import Life, Running, live
from ibench.methods.folder import write_launcher
from ibench.serving.engines import launcher_script
from ibench.serving.launch import House, RunningServer, launch_anywhere
from ibench.serving.sandbox import detect
from ibench.stages.gpu_check.life import Asked
from ibench.stages.gpu_check.model import ensure_model
from ibench.stages.gpu_check.record import CheckRecord, Finding, keep, resume
from ibench.stages.gpu_check.settings import ScenarioId
from ibench.stages.gpu_check.task import Check, Task
from ibench.stages.gpu_check.workload import Sampler

__all__ = ["run_check"]


def run_check(check: Check) -> CheckRecord:
    """Measure what is missing; the record is kept after every scenario.

    A pair that failed is tried again.
    """
    record = resume(check.folder, check.fresh())
    todo = [(task, _missing(record, task)) for task in check.tasks]
    if not any(names for _, names in todo):
        return record
    model_dir = ensure_model(
        check.cache / "gpu-check",
        check.shape_name,
        check.shape,
        check.settings.seed,
        check.machine.hardware.device,
        check.say,
    )
    sampler = Sampler(model_dir, check.settings.warmup_output_tokens)

    def take(found: Finding) -> None:
        nonlocal record
        record = record.with_finding(found)
        keep(check.folder, record)
        check.say(_progress(found))

    for task, names in todo:
        if names:
            _measure(check, task, names, model_dir, sampler, take)
    return record


def _missing(record: CheckRecord, task: Task) -> list[ScenarioId]:
    found = {s: record.finding(task.engine.name, s) for s in task.scenarios}
    return [s for s, f in found.items() if f is None or f.outcome == "failed"]


def _measure(
    check: Check,
    task: Task,
    names: Sequence[ScenarioId],
    model_dir: Path,
    sampler: Sampler,
    take: Callable[[Finding], None],
) -> None:
    """Launch, measure every missing scenario, stop; each is taken when it is there."""
    warmup = check.settings.measure.warmup_requests
    drawn = {n: sampler.requests(*task.scenarios[n], warmup) for n in names}
    engine, asked = task.engine.name, Asked(check, task, model_dir)

    def use(running: Running, life: Life) -> None:
        check.say(f"{engine}: ready in {life.launch.ready_s:.1f} s")
        for name in names:
            take(asked.measure(running, name, drawn[name]))

    check.say(f"{engine}: launch")
    with tempfile.TemporaryDirectory(prefix="ibench-gpu-check-") as top:
        place = Path(top) / "server"
        life = live(lambda: _launched(check, task, place, model_dir), use)
    if life.launch.ready_s is None:
        check.say(f"{engine}: {life.outcome}: {life.detail}")
        check.say(life.launch.log_tail)
        for name in names:
            take(asked.failed(life.launch, name, f"server {life.outcome}"))


def _launched(check: Check, task: Task, folder: Path, model_dir: Path) -> RunningServer:
    config = task.run.config[check.machine.hardware.device]
    write_launcher(folder, launcher_script(task.engine, dict(config)))
    logs = check.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return launch_anywhere(
        folder,
        model_dir=model_dir,
        model_id="ibench/serving/gpu-check",
        log_path=logs / f"{task.engine.name}.log",
        ready_timeout_s=check.settings.measure.ready_timeout_s,
        sandbox_kind=detect(),
        house=House(gpus=check.machine.gpus),
    )


def _progress(found: Finding) -> str:
    done = sum(p.completed for p in found.phases)
    asked = sum(p.requests for p in found.phases)
    took = "" if found.wall_s is None else f" in {found.wall_s:.1f} s"
    what = f"{done} of {asked} requests{took}" if asked else found.reason
    return f"{found.engine}: scenario {found.scenario}: {what}"
