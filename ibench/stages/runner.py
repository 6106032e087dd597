"""The stage runner: one notebook, run as one stage, with nothing left behind.

papermill has no strict parameters, no limit for a whole run, does not pass signals on
and leaves grandchildren alive. So the notebook runs in a child, the child in a PID
namespace that dies with this process, and success is a published record and nothing
else: an exit code of zero or an executed notebook prove nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from ibench.errors import (
    InfrastructureError,
    OfflineError,
    PreemptedError,
    StageError,
    StageStoppedError,
    StageTimeoutError,
    UserError,
)
from ibench.serving.linux import descendants
from ibench.serving.sandbox import detect
from ibench.store import RECORD, retire, run_id_on_disk
from ibench.study.grid import Grid, Job
from ibench.study.lock import measuring
from ibench.study.notebook import check_parameters
from ibench.study.progress import CAN_SAVE, SAVE, Line, last_status
from ibench.study.reuse import adopt
from ibench.study.state import is_done

__all__ = ["StageRunner"]

GRACE_S = 5.0
POLL_S = 0.1
# Schedulers give 30 s and more between TERM and KILL. Of these a session takes about
# eleven at most to end its agent and read its records; the rest is for its files.
SAVE_S = 25.0
# What a notebook dies of that says nothing about what it measured.
MACHINE = {
    "SandboxError": InfrastructureError,
    "InfrastructureError": InfrastructureError,
    "PreemptedError": PreemptedError,
    "OfflineError": OfflineError,
}


class StageRunner:
    """Runs jobs of one study.

    Args:
        study: the loaded profile.
        notebooks: folder of the stage notebooks.
        line: where progress goes.
        clock: monotonic seconds.
        gpus: ids of the GPUs that this process may use; empty: the whole machine.
        counted: jobs that progress is counted in; None: all of the study.
    """

    def __init__(
        self,
        study: Grid[Any],
        notebooks: Path,
        line: Line,
        clock: Callable[[], float] = time.monotonic,
        gpus: tuple[str, ...] = (),
        counted: Iterable[Job] | None = None,
    ) -> None:
        """Keep the parts; nothing starts here."""
        self.study, self.notebooks, self.line = study, notebooks, line
        self.clock, self.gpus = clock, gpus
        self._counted = None if counted is None else tuple(counted)
        self._signal: int | None = None
        self._count = ""

    def run(self, job: Job) -> None:
        """Run one job unless its record is there.

        Raises:
            ParameterError: the notebook does not take these parameters.
            StageTimeoutError: the whole-run limit passed.
            StageError: the notebook failed, was stopped, or published no record.
        """
        notebook = self.notebooks / self.study.benchmark.notebooks[job.stage]
        parameters = check_parameters(notebook, job.parameters)
        if is_done(self.study, job):
            return
        with self._signals(), self._measuring(job):
            retire(job.folder)
            if adopt(job, self.study.results) is not None:
                self.line.done(job.name, 0.0, self.count(job))
                return
            self._count = self.count(job)
            started = self.clock()
            try:
                self._supervise(job, notebook, parameters, started)
            except BaseException:
                self._keep_evidence(job)
                raise
            self.line.done(job.name, self.clock() - started, self.count(job))

    def count(self, job: Job) -> str:
        """Place of a job in the grid, by finished records: ``12/105``."""
        jobs = self._counted or tuple(self.study.jobs.values())
        done = sum((j.folder / RECORD).exists() for j in jobs if j.name != job.name)
        return f"{done + 1}/{len(jobs)}"

    @contextmanager
    def _measuring(self, job: Job) -> Iterator[None]:
        if not job.exclusive:
            yield
            return

        def waits() -> None:
            self.line.show(job.name, "waiting for the machine", None, None, "")
            self._raise_if_stopped(job)

        with measuring(self.study.results, self.gpus, waits):
            yield

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def note(number: int, _frame: FrameType | None) -> None:
            self._signal = number

        wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {s: signal.signal(s, note) for s in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _raise_if_stopped(self, job: Job) -> None:
        if self._signal is not None:
            name = signal.Signals(self._signal).name
            raise StageStoppedError(
                f"{job.name}: stopped by {name}; run it again to continue"
            )

    def _command(self, job: Job, notebook: Path) -> list[str]:
        inner = [sys.executable, "-m", "ibench.study.notebook", str(notebook.resolve())]
        inner += [str(job.folder / "running.ipynb"), str(job.folder / "request.json")]
        if detect() != "bwrap":
            return inner
        outer = ["bwrap", "--dev-bind", "/", "/", "--proc", "/proc"]
        return [*outer, "--unshare-pid", "--die-with-parent", "--", *inner]

    def _supervise(
        self, job: Job, notebook: Path, parameters: Mapping[str, object], started: float
    ) -> None:
        (job.folder / "logs").mkdir(parents=True, exist_ok=True)
        (job.folder / "request.json").write_text(json.dumps(parameters))
        with (job.folder / "logs" / "notebook.log").open("wb") as log:
            child = subprocess.Popen(
                self._command(job, notebook),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                self._watch(job, child, started)
            finally:
                _end(child)
        _rename(job.folder / "running.ipynb", job.folder / "executed.ipynb")
        if run_id_on_disk(job.folder) != job.run_id:
            failure = _failure(job)
            if not isinstance(failure, PreemptedError):
                # A scheduler signals every process: the child may have been first.
                time.sleep(POLL_S)
                self._raise_if_stopped(job)
            raise failure

    def _watch(self, job: Job, child: subprocess.Popen[bytes], started: float) -> None:
        while child.poll() is None:
            if self._saves_itself(job, child):
                return
            self._raise_if_stopped(job)
            elapsed = self.clock() - started
            if elapsed > job.limit_s:
                raise StageTimeoutError(
                    f"{job.name}: ended after its limit of {job.limit_s:g} s "
                    f"(limits.{job.stage}_s in {self.study.profile_path})"
                )
            phase, until_s = last_status(job.folder, self.clock())
            self.line.show(
                job.name,
                phase,
                elapsed,
                until_s or job.limit_s - elapsed,
                self._count,
            )
            time.sleep(POLL_S)

    def _saves_itself(self, job: Job, child: subprocess.Popen[bytes]) -> bool:
        """Ask a stage that can go on elsewhere to save itself; whether it did."""
        if self._signal != signal.SIGTERM or not (job.folder / CAN_SAVE).exists():
            return False
        (job.folder / SAVE).touch()
        with suppress(subprocess.TimeoutExpired):
            child.wait(SAVE_S)
        return child.poll() is not None

    def _keep_evidence(self, job: Job) -> None:
        _rename(job.folder / "running.ipynb", job.folder / "executed.ipynb")
        retire(job.folder)


def _rename(source: Path, target: Path) -> None:
    if source.exists():
        shutil.move(source, target)


def _failure(job: Job) -> Exception:
    """Name what the notebook died of, in one line."""
    try:
        failure = json.loads((job.folder / "failure.json").read_text())
    except (OSError, ValueError):
        failure = {"error": "no record", "message": "the notebook published nothing"}
    message = " ".join(str(failure["message"]).split())
    kind = failure["error"]
    classes: list[type[UserError]] = [UserError, *UserError.__subclasses__()]
    user = kind in {c.__name__ for c in classes}
    where = f"evidence in {job.folder / 'attempts'}"
    text = f"{job.name}: {kind}: {message} ({where})"
    if kind in MACHINE:
        return MACHINE[kind](text)
    return UserError(text) if user else StageError(text)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Pass TERM to every process below, wait, then KILL the whole namespace."""
    if child.poll() is not None:
        return
    tree = descendants(child.pid)
    for pid in tree:
        _signal(pid, signal.SIGTERM)
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        for pid in [*descendants(child.pid), child.pid]:
            _signal(pid, signal.SIGKILL)
        child.wait()
    for pid in tree:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
