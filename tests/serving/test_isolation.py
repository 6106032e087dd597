"""Limits under the runtimes that run here; command lines of those that do not."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ibench import REPOSITORY
from ibench.errors import EngineError, LaunchError, SandboxError
from ibench.methods.folder import write_launcher
from ibench.params.engines import Engine
from ibench.records import LaunchOutcome
from ibench.serving.launch import House, RunningServer, launch
from ibench.serving.limits import private_memory_mib, tree_mib
from ibench.serving.processes import Process, free_port
from ibench.serving.sandbox import (
    Sandbox,
    SandboxKind,
    container_name,
    detect,
    wrap,
)
from ibench.study.engines import make_image

pytestmark = [pytest.mark.slow, pytest.mark.spread]

PARAMS = REPOSITORY / "params"
CONTAINERS = PARAMS / "containers"
KINDS: list[SandboxKind] = (
    ["bwrap", "process_group"] if detect() == "bwrap" else ["process_group"]
)
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"data": [{"id": "stub"}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        self.do_GET()
        exec(sys.argv[2])
    def log_message(self, *args):
        pass
place = ("127.0.0.1", int(sys.argv[1]))
http.server.ThreadingHTTPServer(place, Handler).serve_forever()
"""
EATS_MEMORY = "import time; x = bytearray(300 * 2**20); time.sleep(30)"
FILLS_DISK = "import time; open('big', 'wb').write(bytes(40 * 2**20)); time.sleep(30)"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> SandboxKind:
    found: SandboxKind = request.param
    return found


def _serve(tmp_path: Path, kind: SandboxKind, on_post: str) -> RunningServer:
    folder, model = tmp_path / "submission", tmp_path / "model"
    model.mkdir()
    write_launcher(folder, f'#!/bin/sh\nexec python server.py "$PORT" "{on_post}"\n')
    (folder / "server.py").write_text(SERVER)
    return _launch(folder, model, kind, House(memory_mib=200, disk_mib=20))


def _launch(
    folder: Path, model: Path, kind: SandboxKind, house: House
) -> RunningServer:
    return launch(
        folder,
        port=free_port(),
        model_dir=model,
        model_id="m",
        log_path=folder.parent / "server.log",
        ready_timeout_s=20,
        sandbox_kind=kind,
        house=house,
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [(EATS_MEMORY, "MiB of memory, the limit is 200"), (FILLS_DISK, "to disk")],
    ids=["memory", "disk"],
)
def test_a_server_past_its_limit_is_ended_and_says_so(
    tmp_path: Path, kind: SandboxKind, code: str, reason: str
) -> None:
    import httpx

    with _serve(tmp_path, kind, code) as server:
        assert server.launch.outcome is LaunchOutcome.READY
        server.check_alive()
        httpx.post(f"{server.base_url}/", timeout=5, trust_env=False)
        end = time.monotonic() + 10
        while time.monotonic() < end and server.pids():
            time.sleep(0.1)
        with pytest.raises(LaunchError, match=re.escape(reason)) as raised:
            server.check_alive()
        assert raised.value.outcome == LaunchOutcome.OVER_LIMIT
        assert server.stop() == ()


def test_a_launch_past_its_limit_never_becomes_ready(
    tmp_path: Path, kind: SandboxKind
) -> None:
    folder, model = tmp_path / "submission", tmp_path / "model"
    model.mkdir()
    write_launcher(folder, f'#!/bin/sh\nexec python -c "{EATS_MEMORY}"\n')
    with _launch(folder, model, kind, House(memory_mib=100)) as server:
        assert server.launch.outcome is LaunchOutcome.OVER_LIMIT
        assert "the limit is 100" in server.launch.detail


@pytest.mark.skipif("bwrap" not in KINDS, reason="no namespaces here")
def test_the_private_tmp_is_limited_too(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    sandbox = Sandbox(workdir=tmp_path / "work", disk_mib=8)
    code = "open('/tmp/x', 'wb').write(bytes(16 * 2**20))"
    done = subprocess.run(
        wrap(["python", "-c", code], sandbox, "bwrap"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No space left on device" in done.stderr


def test_what_is_measured_is_private_memory_and_blocks_on_disk(tmp_path: Path) -> None:
    code = "x = bytearray(64 * 2**20); import time; print(1, flush=True); time.sleep(9)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    assert 60 < private_memory_mib([child.pid, 2**22 + 1]) < 100
    child.kill()
    child.wait()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(3 * 2**20))
    (tmp_path / "loop").symlink_to(tmp_path)
    assert tree_mib(tmp_path) == pytest.approx(3, abs=0.1)
    assert tree_mib(tmp_path / "gone") == 0


def _shown(tmp_path: Path, **more: object) -> Sandbox:
    for name in ("work", "model"):
        (tmp_path / name).mkdir(exist_ok=True)
    fields = {
        "workdir": tmp_path / "work",
        "read_only": (tmp_path / "model",),
        "mounts": {"/inside": tmp_path / "work"},
        "image": "image.sif",
        "env": {"PORT": "8000"},
        "token": "t0",
        **more,
    }
    return Sandbox.model_validate(fields)


def _has(argv: list[str], *words: str) -> bool:
    return any(tuple(argv[i : i + len(words)]) == words for i in range(len(argv)))


def test_apptainer_command_line(tmp_path: Path) -> None:
    sandbox = _shown(tmp_path, network=False, memory_mib=4096)
    argv = wrap(["./start_server.sh"], sandbox, "apptainer")
    assert argv[:2] == ["apptainer", "exec"]
    for flag in ("--containall", "--cleanenv", "--no-home", "--no-privs"):
        assert flag in argv
    model, work = tmp_path / "model", tmp_path / "work"
    assert _has(argv, "--bind", f"{model}:{model}:ro")
    assert _has(argv, "--bind", f"{work}:{work}")
    assert _has(argv, "--bind", f"{work}:/inside")
    assert _has(argv, "--net", "--network", "none")
    assert _has(argv, "--memory", "4096M")
    assert _has(argv, "--env", "PORT=8000")
    assert _has(argv, "--pwd", str(work))
    assert "--nv" not in argv  # no device, no flag
    assert argv[argv.index("image.sif") :][-1] == "./start_server.sh"


def test_podman_command_line(tmp_path: Path) -> None:
    sandbox = _shown(tmp_path, memory_mib=4096, disk_mib=512)
    argv = wrap(["./start_server.sh"], sandbox, "podman")
    assert argv[:3] == ["podman", "run", "--rm"]
    model, work = tmp_path / "model", tmp_path / "work"
    assert _has(argv, "--name", container_name(sandbox))
    assert _has(argv, "--cap-drop", "all")
    assert "--read-only" in argv
    assert _has(argv, "--volume", f"{model}:{model}:ro")
    assert _has(argv, "--volume", f"{work}:{work}")
    assert _has(argv, "--network", "host")
    assert _has(argv, "--memory", "4096m")
    assert _has(argv, "--tmpfs", "/tmp:rw,exec,size=512m")
    assert argv[-1] == "./start_server.sh"
    off = wrap(["x"], _shown(tmp_path, network=False), "podman")
    assert _has(off, "--network", "none")


@pytest.mark.parametrize("runtime", ["apptainer", "podman"])
def test_nothing_of_the_environment_comes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: SandboxKind
) -> None:
    monkeypatch.setenv("PLANTED_SECRET", "hunter2")
    argv = wrap(["x"], _shown(tmp_path), runtime)
    assert "hunter2" not in " ".join(argv)
    # The package is shown read-only; its folder's parent never is.
    package = next(w for w in argv if w.endswith(":/opt/ibench/ibench:ro"))
    assert package.startswith(str(PARAMS.parent / "ibench"))


@pytest.mark.parametrize("runtime", ["apptainer", "podman"])
def test_what_is_fixed_is_shown_over_the_writable_folder(
    tmp_path: Path, runtime: SandboxKind
) -> None:
    sandbox = _shown(tmp_path, mounts={}, fixed=("evaluate.py",))
    work = tmp_path / "work"
    argv = wrap(["x"], sandbox, runtime)
    fixed = f"{work}/evaluate.py:{work}/evaluate.py:ro"
    assert argv.index(fixed) > argv.index(f"{work}:{work}")


def test_gpus_of_a_slot_are_the_only_ones(tmp_path: Path) -> None:
    for runtime in KINDS:
        argv = wrap(["x"], _shown(tmp_path, mounts={}, gpus=("1",)), runtime)
        assert "CUDA_VISIBLE_DEVICES" in " ".join(argv)


def test_a_container_runtime_needs_an_image(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="needs an image"):
        wrap(["x"], _shown(tmp_path, image=None), "podman")
    with pytest.raises(SandboxError, match="runtime: apptainer: not working"):
        detect("apptainer")
    assert detect("none") == "process_group"


def test_a_quiet_command_is_left_alone(tmp_path: Path, kind: SandboxKind) -> None:
    (tmp_path / "work").mkdir()
    sandbox = Sandbox(workdir=tmp_path / "work", memory_mib=400, disk_mib=100)
    with Process(
        ["python", "-c", "import time; time.sleep(1.5)"],
        sandbox=sandbox,
        kind=kind,
        log_path=tmp_path / "log",
    ) as process:
        assert process.wait(20) == 0
        assert process.over_limit() is None


def test_images_are_pinned_and_built_without_excuses() -> None:
    definitions = {p.stem for p in CONTAINERS.glob("*.def")}
    assert definitions == {p.stem for p in CONTAINERS.glob("*.Containerfile")}
    for path in sorted((PARAMS / "engines").glob("*.yaml")):
        engine = Engine.model_validate(yaml.safe_load(path.read_text()))
        assert engine.image in definitions
    for path in itertools.chain(CONTAINERS.glob("*.def"), CONTAINERS.glob("*file")):
        text = path.read_text()
        base = re.findall(r"^(?:From:|FROM) (\S+)$", text, re.MULTILINE)
        assert len(base) == 1
        assert re.search(r":[\w.\-]*\d[\w.\-]*$", base[0]), base
        assert "latest" not in base[0]
        assert "|| true" not in text


def test_an_image_that_cannot_be_built_says_so(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="install apptainer or podman"):
        make_image(PARAMS, "tgi", tmp_path, lambda _: None)
