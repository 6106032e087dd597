"""What a submission or an agent can see and touch.

Two kinds. ``bwrap`` gives a private PID namespace and a file system of chosen
folders; killing its first process kills everything in it. ``process_group`` is the
fallback where namespaces are forbidden: it cleans the environment and marks the
processes with a token, and hides no files. Neither limits CPU, memory or disk, and
with ``network=True`` both share the host's network.

Paths are the same inside and outside: a folder is bound where it lies, and its
parents are empty directories. A path in a log or a launcher therefore means the same
thing under either kind.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field

from ibench.errors import SandboxError
from ibench.records import Closed

__all__ = [
    "PROCESS_GROUP_WARNING",
    "TOKEN_VARIABLE",
    "Sandbox",
    "SandboxKind",
    "detect",
    "environment",
    "private_root",
    "wrap",
]

SandboxKind: TypeAlias = Literal["bwrap", "process_group"]

TOKEN_VARIABLE = "IBENCH_SANDBOX_TOKEN"  # noqa: S105 (a marker, not a secret)
PROCESS_GROUP_WARNING = (
    "no namespace sandbox on this host: the command could read the whole file system, "
    "and a process that cleared its environment could outlive it"
)
_PACKAGE = Path(__file__).resolve().parents[1]
_INSIDE_PACKAGE_ROOT = "/opt/ibench"
_SYSTEM_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


class Sandbox(Closed):
    """What one sandboxed command may see.

    Args:
        workdir: absolute folder, working directory and the only writable one that
            outlives the command; bound at its own path.
        read_only: absolute files or folders bound read-only at their own paths.
        env: variables added to the allow-list; they win over it.
        network: share the host's network; ``False`` is enforced by bwrap only.
        token: marks the processes of this sandbox; one per started command.
    """

    workdir: Path
    read_only: tuple[Path, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    network: bool = True
    token: str = Field(default_factory=lambda: uuid.uuid4().hex)


@functools.cache
def detect() -> SandboxKind:
    """Try the namespace sandbox once, for real: a binary alone proves nothing."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return "process_group"
    argv = [bwrap, "--unshare-pid", "--die-with-parent", "--ro-bind", "/", "/"]
    argv += ["--proc", "/proc", "--dev", "/dev", "true"]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "process_group"
    return "bwrap" if done.returncode == 0 else "process_group"


def private_root(sandbox: Sandbox, kind: SandboxKind) -> Path:
    """Folder of HOME and of the empty hub cache, gone after the command.

    Under ``process_group`` the caller of ``wrap`` makes and removes it.
    """
    if kind == "bwrap":
        return Path("/tmp/private")  # noqa: S108 (a tmpfs of the sandbox's own)
    return Path("/tmp") / f"ibench-{sandbox.token}"  # noqa: S108 (name is unguessable)


def environment(sandbox: Sandbox, kind: SandboxKind) -> dict[str, str]:
    """List every variable the command starts with; nothing else is inherited."""
    root = private_root(sandbox, kind)
    package_root = _INSIDE_PACKAGE_ROOT if kind == "bwrap" else str(_PACKAGE.parent)
    return {
        "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(root / "home"),
        "LANG": "C.UTF-8",
        "HF_HUB_OFFLINE": "1",
        # Engines list this folder and fail when it is missing, so it exists, empty.
        "HF_HUB_CACHE": str(root / "hub"),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": package_root,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
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
    for path in (sandbox.workdir, *sandbox.read_only):
        _check(path)
    env = environment(sandbox, kind)
    if kind == "process_group":
        return ["env", "-i", *(f"{k}={v}" for k, v in env.items()), *argv]
    command = ["bwrap", "--unshare-pid", "--unshare-ipc", "--die-with-parent"]
    # Root would keep its capabilities, mount the disk and read what is hidden.
    command += ["--cap-drop", "ALL"]
    if not sandbox.network:
        command.append("--unshare-net")
    command += _system() + _private(sandbox, env)
    command += ["--chdir", str(sandbox.workdir), "--clearenv"]
    for name, value in env.items():
        command += ["--setenv", name, value]
    return [*command, "--", *argv]


def _check(path: Path) -> None:
    if not path.is_absolute() or not path.exists():
        raise SandboxError(f"{path}: must be an existing absolute path")
    # A parent of the package would show what the sandbox exists to hide.
    if _PACKAGE.is_relative_to(path.resolve()):
        raise SandboxError(f"{path}: contains the package; name a folder below it")


def _system() -> list[str]:
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
    for device in sorted(Path("/dev").glob("nvidia*")):
        argv += ["--dev-bind", str(device), str(device)]
    return argv


def _private(sandbox: Sandbox, env: dict[str, str]) -> list[str]:
    """Private /tmp first: the bound folders may lie below it."""
    argv = ["--tmpfs", "/tmp", "--dir", env["HOME"], "--dir", env["HF_HUB_CACHE"]]  # noqa: S108
    package = f"{_INSIDE_PACKAGE_ROOT}/{_PACKAGE.name}"
    argv += ["--ro-bind", str(_PACKAGE), package]
    # The environment may lie inside the checkout: it is bound alone, never its parent.
    for path in dict.fromkeys((Path(sys.base_prefix), Path(sys.prefix))):
        if not path.is_relative_to("/usr"):
            argv += ["--ro-bind", str(path), str(path)]
    for path in sandbox.read_only:
        argv += ["--ro-bind", str(path), str(path)]
    return [*argv, "--bind", str(sandbox.workdir), str(sandbox.workdir)]
