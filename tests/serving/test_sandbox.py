"""The sandbox from inside: what must not be seen, what must work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.errors import SandboxError
from ibench.serving.sandbox import TOKEN_VARIABLE, Sandbox, detect, environment, wrap

pytestmark = pytest.mark.slow

needs_bwrap = pytest.mark.skipif(detect() != "bwrap", reason="no namespaces here")

INSIDE = """
import json, os, sys
import ibench, ibench.records
seen = []
for top, folders, files in os.walk("/"):
    if top.startswith(("/proc", "/sys", "/usr", "/etc", sys.prefix, sys.base_prefix)):
        folders.clear()
        continue
    seen += [os.path.join(top, name) for name in files]
print(json.dumps({
    "seen": seen,
    "env": dict(os.environ),
    "pids": [int(p) for p in os.listdir("/proc") if p.isdigit()],
    "ibench": ibench.__file__,
    "hub": os.listdir(os.environ["HF_HUB_CACHE"]),
    "home": os.path.isdir(os.environ["HOME"]),
    "cwd": os.getcwd(),
}))
"""


def _inside(sandbox: Sandbox, code: str) -> subprocess.CompletedProcess[str]:
    argv = wrap(["python", "-c", code], sandbox, "bwrap")
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@needs_bwrap
def test_inside_only_what_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_SECRET", "hunter2")
    work, shared = tmp_path / "work", tmp_path / "shared"
    work.mkdir()
    shared.mkdir()
    (tmp_path / "outside.txt").write_text("secret")
    (shared / "model.txt").write_text("weights")
    done = _inside(Sandbox(workdir=work, read_only=(shared,)), INSIDE)
    assert done.returncode == 0, done.stderr
    inside = json.loads(done.stdout)

    assert inside["ibench"] == "/opt/ibench/ibench/__init__.py"
    assert "PLANTED_SECRET" not in inside["env"]
    assert "hunter2" not in done.stdout
    assert max(inside["pids"]) < 10
    assert inside["hub"] == []
    assert inside["home"] is True
    assert inside["cwd"] == str(work)
    seen = [Path(p) for p in inside["seen"]]
    assert shared / "model.txt" in seen
    assert tmp_path / "outside.txt" not in seen
    environment_folder = Path(sys.prefix)
    leaked = [
        p
        for p in seen
        if p.is_relative_to(REPOSITORY) and not p.is_relative_to(environment_folder)
    ]
    assert leaked == []
    # The package has modules of these names; the checkout's folders must not be there.
    others = [p for p in seen if not p.is_relative_to("/opt/ibench/ibench")]
    for name in ("params", "results", ".git", "pyproject.toml", "tests"):
        assert not any(p.name == name or name in p.parts for p in others)


@needs_bwrap
def test_only_the_working_directory_outlives_the_command(tmp_path: Path) -> None:
    work, shared = tmp_path / "work", tmp_path / "shared"
    work.mkdir()
    shared.mkdir()
    code = f"""
import os, pathlib
pathlib.Path("kept").write_text("x")
pathlib.Path("/tmp/lost").write_text("x")
for path in ({str(shared)!r}, "/usr", "/etc", "/opt/ibench/ibench", {sys.prefix!r}):
    try:
        pathlib.Path(path, "intruder").write_text("x")
    except OSError:
        continue
    print("wrote", path)
"""
    done = _inside(Sandbox(workdir=work, read_only=(shared,)), code)
    assert (done.stdout, done.stderr) == ("", "")
    assert (work / "kept").exists()
    assert not Path("/tmp/lost").exists()


@needs_bwrap
def test_root_inside_has_no_powers(tmp_path: Path) -> None:
    argv = wrap(["cat", "/proc/self/status"], Sandbox(workdir=tmp_path), "bwrap")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    powers = [line for line in done.stdout.splitlines() if line.startswith("Cap")]
    assert powers
    for line in powers:
        name, value = line.split(":")
        assert name == "CapBnd" or int(value, 16) == 0


@needs_bwrap
def test_network_can_be_taken_away(tmp_path: Path) -> None:
    code = "import os; print(sorted(os.listdir('/proc/sys/net/ipv4/conf')))"
    argv = wrap(
        ["python", "-c", code], Sandbox(workdir=tmp_path, network=False), "bwrap"
    )
    assert "--unshare-net" in argv
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "['all', 'default', 'lo']"


@pytest.mark.parametrize("path", [Path("relative"), Path("/no/such"), REPOSITORY])
def test_paths_that_are_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(SandboxError):
        wrap(["true"], Sandbox(workdir=tmp_path, read_only=(path,)), "bwrap")


def test_process_group_cleans_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_SECRET", "hunter2")
    sandbox = Sandbox(workdir=tmp_path, env={"PORT": "1234"})
    argv = wrap(["env"], sandbox, "process_group")
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    got = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert got == environment(sandbox, "process_group")
    assert got["PORT"] == "1234"
    assert got[TOKEN_VARIABLE] == sandbox.token


def test_wrap_is_a_pure_function_of_its_arguments(tmp_path: Path) -> None:
    sandbox = Sandbox(workdir=tmp_path)
    before = set(tmp_path.iterdir())
    assert wrap(["true"], sandbox, "bwrap") == wrap(["true"], sandbox, "bwrap")
    assert set(tmp_path.iterdir()) == before


def test_every_sandbox_has_its_own_token(tmp_path: Path) -> None:
    assert Sandbox(workdir=tmp_path).token != Sandbox(workdir=tmp_path).token
