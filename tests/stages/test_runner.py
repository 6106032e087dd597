from __future__ import annotations

import dataclasses
import fcntl
import io
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.errors import (
    InfrastructureError,
    ParameterError,
    StageError,
    StageStoppedError,
    StageTimeoutError,
    UserError,
)
from ibench.serving.sandbox import detect
from ibench.stages.runner import StageRunner
from ibench.store import RECORD
from ibench.study.definition import Study
from ibench.study.progress import Line, last_status
from tests.study.test_notebook import make

pytestmark = [pytest.mark.slow, pytest.mark.spread]

PARAMETERS = """
profile = "smoke"
params_dir = "params"
results_dir = "results"
scenario = "a"
seeds = "21-1337"
"""
OPEN = """
from ibench.study.job import open_job
job = open_job("baseline", profile=profile, params_dir=params_dir,
               results_dir=results_dir, scenario=scenario, seeds=seeds)
"""
PUBLISH = """
from ibench.records import StudyResult
job.status.phase("publishing soon")
job.publish(StudyResult(runs=0, outcomes={}, report="r", files={}))
"""


class Bench:
    """A runner over one made notebook in the place of a baseline."""

    def __init__(self, folder: Path, *cells: str, limit_s: float = 60.0) -> None:
        self.study = Study("smoke", REPOSITORY / "params", folder / "results")
        job = self.study.jobs["a/baseline/21-1337/baseline"]
        self.job = dataclasses.replace(job, limit_s=limit_s)
        (folder / "notebooks").mkdir()
        make(folder / "notebooks" / "1_baseline.ipynb", PARAMETERS, *cells)
        self.stream = io.StringIO()
        self.runner = StageRunner(self.study, folder / "notebooks", Line(self.stream))

    def run(self) -> None:
        self.runner.run(self.job)

    @property
    def attempts(self) -> list[str]:
        folder = self.job.folder / "attempts"
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.ipynb"))


def alive(marker: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in line:
                found.append(int(entry.name))
    return found


def gone(marker: str, within_s: float = 5.0) -> bool:
    end = time.monotonic() + within_s
    while alive(marker) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(marker)


def test_a_stage_publishes_its_record_and_keeps_the_notebook_as_a_log(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, OPEN, PUBLISH)
    bench.run()
    assert (bench.job.folder / RECORD).exists()
    assert (bench.job.folder / "executed.ipynb").exists()
    assert "done in" in bench.stream.getvalue()
    assert last_status(bench.job.folder, 0.0)[0] == "publishing"
    before = (bench.job.folder / RECORD).stat().st_mtime_ns
    bench.run()
    assert (bench.job.folder / RECORD).stat().st_mtime_ns == before


def test_a_failing_cell_leaves_evidence_and_no_record(tmp_path: Path) -> None:
    bench = Bench(tmp_path, OPEN, "raise RuntimeError('out of\\nluck')", PUBLISH)
    with pytest.raises(StageError, match="RuntimeError: out of luck") as caught:
        bench.run()
    assert "\n" not in str(caught.value)
    assert not (bench.job.folder / RECORD).exists()
    assert bench.attempts == ["1/executed.ipynb"]


def test_a_users_mistake_in_a_stage_exits_with_2(tmp_path: Path) -> None:
    cell = (
        "from ibench.errors import ParameterError\n"
        "raise ParameterError('f', 'k', 1, 'r')"
    )
    with pytest.raises(UserError, match="ParameterError: f: k: 1: r") as caught:
        Bench(tmp_path, OPEN, cell).run()
    assert caught.value.exit_code == 2


def test_a_sandbox_that_fails_is_the_machines_fault(tmp_path: Path) -> None:
    cell = "from ibench.errors import SandboxError\nraise SandboxError('no namespace')"
    with pytest.raises(InfrastructureError, match="no namespace") as caught:
        Bench(tmp_path, OPEN, cell).run()
    assert caught.value.exit_code == 75


def test_leaving_early_with_exit_code_zero_is_no_success(tmp_path: Path) -> None:
    bench = Bench(tmp_path, OPEN, "import sys\nsys.exit(0)", PUBLISH)
    with pytest.raises(StageError):
        bench.run()
    assert not (bench.job.folder / RECORD).exists()


def test_a_stage_that_publishes_nothing_fails(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="published nothing"):
        Bench(tmp_path, OPEN).run()


def test_unknown_parameters_are_refused_before_anything_starts(tmp_path: Path) -> None:
    bench = Bench(tmp_path, OPEN, PUBLISH)
    make(tmp_path / "notebooks" / "1_baseline.ipynb", "profil = 'smoke'", OPEN)
    with pytest.raises(ParameterError, match="did you mean 'profil'"):
        bench.run()
    assert not bench.job.folder.exists()


def test_the_limit_of_the_whole_run_ends_everything(tmp_path: Path) -> None:
    marker = f"sleep 987{os.getpid()}"
    cell = (
        f"import subprocess\nsubprocess.Popen(['setsid', *{marker.split()!r}]).wait()"
    )
    bench = Bench(tmp_path, cell, limit_s=6.0)
    with pytest.raises(StageTimeoutError, match=r"limits\.baseline_s"):
        bench.run()
    assert gone(marker.replace(" ", "\0"))


@pytest.mark.skipif(detect() != "bwrap", reason="needs a PID namespace")
def test_a_killed_runner_leaves_no_grandchild(tmp_path: Path) -> None:
    marker = f"sleep\x00986{os.getpid()}"
    argv = ["setsid", *marker.split("\0")]
    cell = f"import subprocess\nsubprocess.Popen({argv!r}).wait()"
    make_runner = textwrap.dedent(
        f"""
        from pathlib import Path
        from tests.stages.test_runner import Bench
        Bench(Path({str(tmp_path)!r}), {cell!r}).run()
        """
    )
    child = subprocess.Popen(
        [sys.executable, "-c", make_runner], cwd=REPOSITORY, start_new_session=True
    )
    end = time.monotonic() + 30
    while not alive(marker) and time.monotonic() < end:
        time.sleep(0.05)
    assert alive(marker), "the stage never started its grandchild"
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert gone(marker)


def test_a_signal_to_every_process_at_once_is_no_failure_of_the_stage(
    tmp_path: Path,
) -> None:
    """What a scheduler does: the notebook may be gone before the runner's turn."""
    cell = "import os\nos._exit(1)"
    text = textwrap.dedent(
        f"""
        import os
        import signal
        from pathlib import Path
        from ibench.errors import StageStoppedError
        from tests.stages.test_runner import Bench
        bench = Bench(Path({str(tmp_path)!r}), {cell!r})

        def late(job, child, started):
            child.wait()
            os.kill(os.getpid(), signal.SIGTERM)

        bench.runner._watch = late
        try:
            bench.run()
        except StageStoppedError as error:
            print(error)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "stopped by SIGTERM" in done.stdout, done.stderr


def test_sigterm_ends_a_stage_in_one_line_and_it_can_continue(tmp_path: Path) -> None:
    text = textwrap.dedent(
        f"""
        from pathlib import Path
        from ibench.errors import StageError
        from tests.stages.test_runner import Bench
        bench = Bench(Path({str(tmp_path)!r}), "import time; time.sleep(60)")
        print("started", flush=True)
        try:
            bench.run()
        except StageError as error:
            print(error)
        """
    )
    child = subprocess.Popen(
        [sys.executable, "-c", text], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "started\n"
    time.sleep(2.0)
    child.terminate()
    out, _ = child.communicate(timeout=30)
    assert "stopped by SIGTERM; run it again to continue" in out
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("gpus", "held", "how", "waits"),
    [
        ((), "lock", fcntl.LOCK_EX, True),
        ((), "lock", fcntl.LOCK_SH, True),  # somebody measures on one GPU
        (("1",), "lock", fcntl.LOCK_EX, True),
        (("1",), "lock", fcntl.LOCK_SH, False),
        (("1",), "gpu-1.lock", fcntl.LOCK_EX, True),
        (("0", "1"), "gpu-1.lock", fcntl.LOCK_EX, True),
        (("1",), "gpu-0.lock", fcntl.LOCK_EX, False),
    ],
)
def test_measuring_stages_never_overlap_on_what_they_use(
    tmp_path: Path, gpus: tuple[str, ...], held: str, how: int, waits: bool
) -> None:
    bench = Bench(tmp_path, OPEN, PUBLISH)
    bench.study.results.mkdir()
    bench.runner.gpus = gpus
    path = bench.study.results / f".measuring.{socket.gethostname()}.{held}"
    with path.open("w") as lock:
        fcntl.flock(lock, how)
        # One look: a stage that has to wait ends at once on a signal that came before.
        bench.runner._signal = signal.SIGTERM
        with (
            pytest.raises(StageStoppedError) if waits else nullcontext(),
            bench.runner._measuring(bench.job),
        ):
            assert not waits
    assert ("waiting for the machine" in bench.stream.getvalue()) == waits


def test_a_stage_waits_for_the_machine_and_then_runs(tmp_path: Path) -> None:
    text = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from ibench.study.progress import Line
        from tests.stages.test_runner import OPEN, PUBLISH, Bench
        bench = Bench(Path({str(tmp_path)!r}), OPEN, PUBLISH)
        bench.runner.line = Line(sys.stdout)
        bench.run()
        """
    )
    results = tmp_path / "results"
    results.mkdir()
    name = f".measuring.{socket.gethostname()}.lock"
    with (results / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = subprocess.Popen(
            [sys.executable, "-c", text],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert "waiting for the machine" in child.stdout.readline()
        assert not list(results.rglob("request.json"))
    rest, _ = child.communicate(timeout=60)
    assert "done in" in rest
    assert list(results.rglob(RECORD))
