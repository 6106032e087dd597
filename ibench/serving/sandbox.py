"""What a submission or an agent can see and touch.

Four runtimes. ``bwrap`` gives a private PID namespace and a file system of chosen
folders on the host's system; killing its first process kills everything in it.
``apptainer`` and ``podman`` show the same folders on an image. ``process_group`` is
the fallback where namespaces are forbidden: it cleans the environment and marks the
processes with a token, and hides no files. With ``network=True`` all share the host's
network. Memory and disk: ``limits``; the number of cores is not limited.

Paths are the same inside and outside: a folder is bound where it lies, and its
parents are empty directories. A path in a log or a launcher therefore means the same
thing under either kind.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field

from ibench import PACKAGE, REPOSITORY
from ibench.errors import SandboxError
from ibench.records import Closed
from ibench.serving.containers import Box, apptainer_argv, podman_argv
from ibench.serving.devices import gpu_nodes
from ibench.serving.environments import interpreter_roots

__all__ = [
    "PROCESS_GROUP_WARNING", "TOKEN_VARIABLE", "Runtime", "Sandbox", "SandboxKind",
    "container_name", "container_runtime", "detect", "environment", "private_root",
    "wrap",
]  # fmt: skip

SandboxKind: TypeAlias = Literal["bwrap", "process_group", "apptainer", "podman"]
Runtime: TypeAlias = Literal["auto", "none", "bwrap", "apptainer", "podman"]
"""What a profile may ask for; ``auto`` is bubblewrap, else process groups."""

TOKEN_VARIABLE = "IBENCH_SANDBOX_TOKEN"  # noqa: S105 (a marker, not a secret)
PROCESS_GROUP_WARNING = (
    "no namespace sandbox on this host: the command could read the whole file system, "
    "and a process that cleared its environment could outlive it"
)
_INSIDE_PACKAGE_ROOT = "/opt/ibench"
_SYSTEM_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


class Sandbox(Closed):
    """What one sandboxed command may see.

    Args:
        workdir: absolute folder, working directory and the only writable one that
            outlives the command; bound at its own path.
        read_only: absolute files or folders bound read-only at their own paths.
        fixed: names in ``workdir`` that are read-only all the same.
        mounts: folders of the host that stand, writable, at another absolute path;
            bwrap only.
        env: variables added to the allow-list; they win over it.
        engines: folder of the engines' own environments, shown read-only.
        image: what a container runtime runs on.
        gpus: GPUs it may use, by number or UUID; None is what the host shows.
        cores: cores it starts on, so that its thread pools count these; None: all.
        memory_mib: private resident memory of all its processes together.
        disk_mib: disk blocks of ``workdir``, and of the private /tmp.
        network: share the host's network; ``False`` is enforced by bwrap only.
        token: marks the processes of this sandbox; one per started command.
    """

    workdir: Path
    read_only: tuple[Path, ...] = ()
    fixed: tuple[str, ...] = ()
    mounts: dict[str, Path] = Field(default_factory=dict)
    env: dict[str, str] = Field(default_factory=dict)
    engines: Path | None = None
    image: str | None = None
    gpus: tuple[str, ...] | None = None
    cores: tuple[int, ...] | None = None
    memory_mib: int | None = Field(default=None, gt=0)
    disk_mib: int | None = Field(default=None, gt=0)
    network: bool = True
    token: str = Field(default_factory=lambda: uuid.uuid4().hex)


def detect(runtime: Runtime = "auto") -> SandboxKind:
    """Find the kind of sandbox that a runtime means on this host.

    Raises:
        SandboxError: the runtime that was asked for does not work here.
    """
    if runtime == "none":
        return "process_group"
    if runtime == "auto":
        return "bwrap" if _works("bwrap") else "process_group"
    if not _works(runtime):
        raise SandboxError(
            f"runtime: {runtime}: not working on this host: install it, allow user "
            "namespaces, or choose another of none, bwrap, apptainer, podman"
        )
    return runtime


def container_runtime() -> SandboxKind | None:
    """Find the container runtime of this host, if it has one."""
    kinds: tuple[SandboxKind, ...] = ("apptainer", "podman")
    return next((kind for kind in kinds if _works(kind)), None)


@functools.cache
def _works(runtime: str) -> bool:
    """Try a runtime once, for real: a binary alone proves nothing."""
    binary = shutil.which(runtime)
    if binary is None:
        return False
    argv = [binary, "--version"]
    if runtime == "bwrap":
        argv = [binary, "--unshare-pid", "--die-with-parent", "--ro-bind", "/", "/"]
        argv += ["--proc", "/proc", "--dev", "/dev", "true"]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def private_root(sandbox: Sandbox, kind: SandboxKind) -> Path:
    """Folder of HOME and of the empty hub cache, gone after the command.

    Under ``process_group`` the caller of ``wrap`` makes and removes it.
    """
    if kind != "process_group":
        return Path("/tmp/private")  # noqa: S108 (a tmpfs of the sandbox's own)
    return Path("/tmp") / f"ibench-{sandbox.token}"  # noqa: S108 (name is unguessable)


def environment(sandbox: Sandbox, kind: SandboxKind) -> dict[str, str]:
    """List every variable the command starts with; nothing else is inherited."""
    root = private_root(sandbox, kind)
    hidden = kind != "process_group"
    package_root = _INSIDE_PACKAGE_ROOT if hidden else str(REPOSITORY)
    # An image has programs of its own; the workbench's interpreter may not run there.
    own = "/opt/workbench" if kind in ("apptainer", "podman") else sys.prefix
    chosen = {"ENGINES": str(sandbox.engines)} if sandbox.engines else {}
    if sandbox.gpus is not None:
        chosen["CUDA_VISIBLE_DEVICES"] = ",".join(sandbox.gpus)
    return {
        "PATH": f"{own}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(root / "home"),
        "LANG": "C.UTF-8",
        "HF_HUB_OFFLINE": "1",
        # Engines list this folder and fail when it is missing, so it exists, empty.
        "HF_HUB_CACHE": str(root / "hub"),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": package_root,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        # The order of sets and the layout of dictionaries do not differ between lives.
        "PYTHONHASHSEED": "0",
        **chosen,
        **sandbox.env,
        TOKEN_VARIABLE: sandbox.token,
    }


def wrap(argv: list[str], sandbox: Sandbox, kind: SandboxKind) -> list[str]:
    """Build the command line that runs ``argv`` inside the sandbox.

    Args:
        argv: the command; its working directory is ``sandbox.workdir``.
        sandbox: what it may see.
        kind: a value of ``detect``.

    Raises:
        SandboxError: a path is relative, missing or would show the whole package
            checkout.
    """
    for path in (sandbox.workdir, *sandbox.read_only, *sandbox.mounts.values()):
        _check(path)
    env = environment(sandbox, kind)
    if kind == "process_group":
        if sandbox.mounts:
            raise SandboxError("folders at another path need bubblewrap; install it")
        return ["env", "-i", *(f"{k}={v}" for k, v in env.items()), *argv]
    if kind in ("apptainer", "podman"):
        builder = apptainer_argv if kind == "apptainer" else podman_argv
        return builder(_box(sandbox, env), argv)
    command = ["bwrap", "--unshare-pid", "--unshare-ipc", "--die-with-parent"]
    # Root would keep its capabilities, mount the disk and read what is hidden.
    command += ["--cap-drop", "ALL"]
    if not sandbox.network:
        command.append("--unshare-net")
    command += _system(sandbox.gpus) + _private(sandbox, env)
    command += ["--chdir", str(sandbox.workdir), "--clearenv"]
    for name, value in env.items():
        command += ["--setenv", name, value]
    return [*command, "--", *argv]


def container_name(sandbox: Sandbox) -> str:
    """Name of a container that runs this sandbox's command."""
    return f"ibench-{sandbox.token}"


def _box(sandbox: Sandbox, env: dict[str, str]) -> Box:
    if sandbox.image is None:
        raise SandboxError("a container runtime needs an image: run make engine")
    mounts = {str(Path(_INSIDE_PACKAGE_ROOT) / PACKAGE.name): PACKAGE}
    return Box(
        image=sandbox.image,
        name=container_name(sandbox),
        workdir=sandbox.workdir,
        read_only=_shown(sandbox),
        package=mounts,
        fixed=_fixed(sandbox),
        mounts=sandbox.mounts,
        env=env,
        network=sandbox.network,
        gpus=sandbox.gpus if Path("/dev/nvidiactl").exists() else (),
        memory_mib=sandbox.memory_mib,
        tmp_mib=sandbox.disk_mib,
    )


def _shown(sandbox: Sandbox) -> tuple[Path, ...]:
    """Everything read-only: what was asked for, the engines, their interpreters."""
    if sandbox.engines is None or not sandbox.engines.is_dir():
        return sandbox.read_only
    roots = interpreter_roots(sandbox.engines)
    return (*sandbox.read_only, sandbox.engines, *roots)


def _check(path: Path) -> None:
    if not path.is_absolute() or not path.exists():
        raise SandboxError(f"{path}: must be an existing absolute path")
    # A parent of the package would show what the sandbox exists to hide.
    if PACKAGE.is_relative_to(path.resolve()):
        raise SandboxError(f"{path}: contains the package; name a folder below it")


def _system(gpus: tuple[str, ...] | None) -> list[str]:
    """System folders and devices, the same for every sandbox."""
    argv = ["--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc"]
    for name in _SYSTEM_LINKS:
        path = Path(name)
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), name]
        elif path.exists():
            argv += ["--ro-bind", name, name]
    argv += ["--proc", "/proc", "--dev", "/dev"]
    # Thread counts and GPU discovery read /sys; it holds nothing of the workbench.
    argv += ["--ro-bind", "/sys", "/sys"]
    for device in gpu_nodes(gpus):
        argv += ["--dev-bind", str(device), str(device)]
    return argv


def _private(sandbox: Sandbox, env: dict[str, str]) -> list[str]:
    """Private /tmp first: the bound folders may lie below it."""
    argv: list[str] = []
    if sandbox.disk_mib:
        # It lies in memory: half of that is what the kernel itself allows.
        half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        argv = ["--size", str(min(sandbox.disk_mib * 2**20, half))]
    argv += ["--tmpfs", "/tmp", "--dir", env["HOME"], "--dir", env["HF_HUB_CACHE"]]  # noqa: S108
    package = f"{_INSIDE_PACKAGE_ROOT}/{PACKAGE.name}"
    argv += ["--ro-bind", str(PACKAGE), package]
    # The environment may lie inside the checkout: it is bound alone, never its parent.
    own = (Path(sys.base_prefix), Path(sys.prefix))
    for path in dict.fromkeys((*own, *_shown(sandbox))):
        if not path.is_relative_to("/usr"):
            argv += ["--ro-bind", str(path), str(path)]
    for place, path in sandbox.mounts.items():
        argv += ["--bind", str(path), place]
    argv += ["--bind", str(sandbox.workdir), str(sandbox.workdir)]
    for path in _fixed(sandbox):
        argv += ["--ro-bind", str(path), str(path)]
    return argv


def _fixed(sandbox: Sandbox) -> list[Path]:
    return [sandbox.workdir / name for name in sandbox.fixed]
