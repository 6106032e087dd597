"""The command line, as make and people call it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.records import Record, Submission
from ibench.store import RECORD, publish
from ibench.study.definition import Job, Study
from ibench.study.notebook import code_sha256
from ibench.study.state import inputs_of, notebook_of
from tests.test_store import provenance

FIRST = "a/default-transformers-serve/21-1337"


class Cli:
    """`python -m ibench` over copied parameters and an empty results folder."""

    def __init__(self, folder: Path) -> None:
        self.params, self.results = folder / "params", folder / "results"
        shutil.copytree(REPOSITORY / "params", self.params)

    def __call__(
        self, command: str, *arguments: str, profile: str = "smoke"
    ) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "ibench", command, "--profile", profile]
        argv += ["--params", str(self.params), "--results", str(self.results)]
        return subprocess.run(
            [*argv, *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )

    def refuses(self, command: str, *arguments: str, profile: str = "smoke") -> str:
        """Return the one line of a command that ends with exit code 2."""
        done = self(command, *arguments, profile=profile)
        assert done.returncode == 2
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith("ibench: ")
        return line

    def edit(self, name: str, old: str, new: str) -> Path:
        path = self.params / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return path

    @property
    def study(self) -> Study:
        return Study("smoke", self.params, self.results)

    def finish(self, name: str) -> Job:
        """Publish a small record for one job, as its stage would."""
        job = self.study.job(name)
        (job.folder / "submission").mkdir(parents=True)
        submission = Submission(
            method="default-transformers-serve",
            path="submission",
            sha256="44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            outcome="finished",
            budget_s=None,
            used_s=0.0,
            sandbox="none",
        )
        notebook = notebook_of(self.study, job)
        assert notebook is not None
        record = Record(
            stage=job.stage,
            run_id=job.run_id,
            spec=job.spec,
            provenance=provenance(
                notebook_sha256=code_sha256(notebook), inputs=inputs_of(self.study, job)
            ),
            files={},
            result=submission,
        )
        publish(job.folder, record)
        return job


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_an_unknown_profile_names_the_nearest_one(cli: Cli) -> None:
    line = cli.refuses("status", profile="smok")
    assert f"{cli.params / 'profiles'}: profile: 'smok': unknown" in line
    there = sorted(p.stem for p in (cli.params / "profiles").rglob("*.yaml"))
    assert f"did you mean 'smoke'? choose one of {', '.join(there)}" in line


@pytest.mark.parametrize("command", ["grid", "status", "verify"])
def test_a_misspelt_key_names_file_key_value_and_remedy(cli: Cli, command: str) -> None:
    path = cli.edit("profiles/smoke.yaml", "warmup_requests: 2", "warmup_request: 2")
    line = cli.refuses(command)
    assert line == (
        f"ibench: {path}: measure.warmup_request: 2: "
        "unknown key; did you mean 'warmup_requests'?"
    )
    assert not cli.results.exists()


def test_a_wrong_value_is_refused_with_the_value(cli: Cli) -> None:
    path = cli.edit("profiles/smoke.yaml", "agent_s: 30.0", "agent_s: 30s")
    assert f"{path}: budget.agent_s: '30s': " in cli.refuses("grid")


@pytest.mark.slow
def test_an_unknown_job_is_refused_before_anything_starts(cli: Cli) -> None:
    line = cli.refuses("stage", "a/first-workin/21-1337/gating")
    path = cli.params / "profiles" / "smoke.yaml"
    assert f"{path}: job: 'a/first-workin/21-1337/gating': " in line
    assert "unknown; did you mean 'a/first-working/21-1337/gating'? choose" in line
    assert not cli.results.exists()


def test_status_and_verify_of_nothing_are_no_error(cli: Cli) -> None:
    status = cli("status")
    assert (status.returncode, status.stderr) == (0, "")
    *lines, total = status.stdout.splitlines()
    assert total == f"0 of {len(cli.study.jobs)} stages done"
    assert [line.split() for line in lines] == [["missing", n] for n in cli.study.jobs]
    verified = cli("verify")
    assert verified.returncode == 0
    assert verified.stdout == "0 finished stages re-hashed, 0 deviations\n"


def test_verify_finds_an_edited_record(cli: Cli) -> None:
    job = cli.finish(f"{FIRST}/submission")
    intact = cli("verify")
    assert intact.returncode == 0
    assert intact.stdout == "1 finished stages re-hashed, 0 deviations\n"
    path = job.folder / RECORD
    path.write_text(path.read_text().replace('"used_s":0.0', '"used_s":0.5'))
    edited = cli("verify")
    assert edited.returncode == 2
    assert edited.stdout == "1 finished stages re-hashed, 1 deviations\n"
    (line,) = edited.stderr.splitlines()
    assert line.startswith(f"{path}: edited after it was written")
    assert f"broken   {job.name}\n" in cli("status").stdout
    assert "edited after it was written" in cli.refuses("grid")


def test_the_make_rules_change_only_with_the_grid(cli: Cli) -> None:
    assert cli("grid").returncode == 0
    path = cli.results / "smoke" / "grid.mk"
    rules, written_ns = path.read_text(), path.stat().st_mtime_ns
    assert rules.count("\t@$(STAGE) ") == len(cli.study.jobs)
    assert cli("grid").returncode == 0
    assert path.stat().st_mtime_ns == written_ns
    # A parameter of a stage changes its run id, not the shape of the grid.
    cli.edit("profiles/smoke.yaml", "n: 40", "n: 41")
    assert cli("grid").returncode == 0
    assert path.stat().st_mtime_ns == written_ns
    cli.edit("profiles/smoke.yaml", "scenarios: [a, c]", "scenarios: [a, b, c]")
    assert cli("grid").returncode == 0
    assert path.stat().st_mtime_ns > written_ns
    assert path.read_text().count("\t@$(STAGE) ") == len(cli.study.jobs)


def test_a_changed_parameter_sets_the_earlier_result_aside(cli: Cli) -> None:
    job = cli.finish(f"{FIRST}/submission")
    kept = (job.folder / RECORD).read_bytes()
    assert cli("grid").stdout == ""
    assert (job.folder / RECORD).exists()
    cli.edit("profiles/smoke.yaml", "warmup_requests: 2", "warmup_requests: 3")
    assert f"outdated  {job.name}\n" in cli("status").stdout
    done = cli("grid")
    assert done.returncode == 0
    assert done.stdout == (
        f"{job.name}: outdated: its parameters changed since it ran; "
        "earlier result kept aside\n"
    )
    assert not (job.folder / RECORD).exists()
    assert (job.folder / "attempts" / "1" / RECORD).read_bytes() == kept
    line = next(x for x in cli("status").stdout.splitlines() if job.name in x)
    assert line.split(maxsplit=2) == ["missing", job.name, "(1 earlier attempts)"]


def test_what_the_aggregation_reads_alone_does_not_touch_the_runs(cli: Cli) -> None:
    job = cli.finish(f"{FIRST}/submission")
    cli.edit("profiles/smoke.yaml", "confidence: 0.95", "confidence: 0.9")
    assert cli("grid").stdout == ""
    assert (job.folder / RECORD).exists()
