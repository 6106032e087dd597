"""The whole chain through the real Makefile, killed twice on the way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.records import BaselineResult, Evidence, StudyResult
from ibench.serving.sandbox import detect
from ibench.store import load_record, read_rows
from ibench.study.assets import Assets
from ibench.study.definition import Study
from ibench.workloads import set_hash

pytestmark = [pytest.mark.smoke, pytest.mark.long, pytest.mark.timeout(900)]


class Chain:
    """`make reproduce PROFILE=smoke` into a folder of its own."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.argv = ["make", "reproduce", "PROFILE=smoke", f"RESULTS_ROOT={results}"]

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self) -> str:
        child = self.start()
        output, _ = child.communicate()
        assert child.returncode == 0, output[-3000:]
        return output

    def kill_during(self, phase: str) -> None:
        """SIGKILL make's whole process group when a stage says it is in a phase."""
        child = self.start()
        assert child.stdout is not None
        for line in child.stdout:
            if phase in line:
                break
        else:
            pytest.fail(f"no stage reached {phase!r}")
        time.sleep(1.5)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def processes(self) -> list[str]:
        """Command lines of processes that belong to this chain's results."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    cwd = str((entry / "cwd").readlink())
                except OSError:
                    continue
                if str(self.results) in line.decode(errors="replace") + cwd:
                    found.append(line.decode(errors="replace"))
        return found

    def survivors(self) -> list[str]:
        end = time.monotonic() + 10
        while self.processes() and time.monotonic() < end:
            time.sleep(0.1)
        return self.processes()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Iterator[Chain]:
    assert model_dir.is_dir()  # trained before, so that no stage waits for it
    yield Chain(tmp_path_factory.mktemp("chain") / "results")


@pytest.mark.skipif(detect() != "bwrap", reason="needs a PID namespace")
@pytest.mark.parametrize("phase", ["agent session", "load: burst"])
def test_kill_9_in_stages_2_and_3_leaves_nothing(chain: Chain, phase: str) -> None:
    chain.kill_during(phase)
    assert chain.survivors() == []


def test_the_interrupted_study_finishes(chain: Chain) -> None:
    output = chain.run()
    assert "27/27] aggregation: done" in output
    page = (chain.results / "smoke" / "report.html").read_text()
    assert page.count("data:image/png") >= 3
    assert "InferenceBench study" in page
    assert "Traceback" not in page
    study = Study("smoke", REPOSITORY / "params", chain.results)
    result = load_record(study.jobs["aggregation"].folder).result
    assert isinstance(result, StudyResult)
    assert result.runs == 8
    assert result.outcomes.get("ok", 0) >= 5, result.outcomes
    assert chain.survivors() == []


def test_request_hashes_equal_those_of_an_undisturbed_run(chain: Chain) -> None:
    study = Study("smoke", REPOSITORY / "params", chain.results)
    assets = Assets(study, chain.results / "fresh-cache")
    assets.__dict__["model_dir"] = Assets(study, REPOSITORY / ".cache").model_dir
    checked = 0
    for job in study.jobs.values():
        result = load_record(job.folder).result
        evidence = result.evidence if isinstance(result, BaselineResult) else result
        if not isinstance(evidence, Evidence) or job.cell is None:
            continue
        scenario = study.scenarios[job.cell.scenario].workload
        fresh = assets.requests(scenario, job.cell.seeds.evaluation, "eval")
        assert evidence.requests_sha256 == set_hash(fresh)
        checked += 1
    assert checked == 10


def test_no_two_phases_share_a_request(chain: Chain) -> None:
    cell = chain.results / "smoke" / "c" / "first-working" / "21-1337"
    rows = read_rows(cell / "relaunch" / "requests.parquet")
    assert {row["phase"] for row in rows} == {"burst", "poisson", "constant"}
    assert len({row["request_id"] for row in rows}) == len(rows) == 24


def test_the_second_run_executes_no_stage(chain: Chain) -> None:
    output = chain.run()
    assert "done in" not in output
    assert not re.search(r"\[\d+/27\]", output)


def test_everything_verifies_and_an_edit_is_found(chain: Chain) -> None:
    argv = ["make", "verify", "PROFILE=smoke", f"RESULTS_ROOT={chain.results}"]
    done = subprocess.run(
        argv, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "27 finished stages re-hashed, 0 deviations" in done.stdout
    table = next(chain.results.rglob("relaunch/requests.parquet"))
    table.write_bytes(table.read_bytes() + b"x")
    done = subprocess.run(
        argv, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert str(table.relative_to(chain.results)) in done.stderr
