"""Harbor and the agents' programs on this host, outside the sandboxes.

Programs come from their package managers at pinned versions, before any session, so
that a session installs nothing and a sandbox shows them read-only. One folder each:

``harbor/``            Harbor's own Python environment
``cli/<agent>/``       what npm or pip made
``cli/<agent>/bin-only/``  the program alone: a whole ``bin`` would put the agent's
                       Python before the one that the task offers
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ibench.errors import ParameterError, StageError
from ibench.params import Agent, HarborAgent

__all__ = ["Installed", "find", "install_cli", "install_harbor"]

SHIMS = "bin-only"
LIMIT_S = 1200.0


@dataclass(frozen=True)
class Installed:
    """What a session needs of this host.

    Attributes:
        python: Harbor's interpreter.
        root: the program's folder, None if Harbor installs it in the sandbox.
        bin: folder with the program alone.
        folders: folders that the sandbox must show for it to run.
        check: command that prints its version.
        path: the sandbox's search path after ``bin``.
    """

    python: Path
    root: Path | None = None
    bin: Path | None = None
    folders: tuple[Path, ...] = ()
    check: str | None = None
    path: str = f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin"


def find(agent: Agent, cache: Path, source: str, *, program: bool = True) -> Installed:
    """Find Harbor and an agent's program.

    Args:
        agent: one of Harbor's.
        cache: folder of ``harbor`` and ``cli``.
        source: the agent's file, for messages.
        program: look for the program too, not for Harbor alone.

    Raises:
        ParameterError: one of them is not installed.
    """
    spec = _spec(agent)
    python = cache / "harbor" / "bin" / "python"
    if not python.exists():
        remedy = f"not installed; run: make agents AGENTS={agent.name}"
        raise ParameterError(source, "harbor", "-", remedy)
    if spec.cli.installer == "harbor" or not program:
        return Installed(python)
    root = cache / "cli" / _folder(agent)
    if not (root / SHIMS / spec.cli.program).exists():
        remedy = f"not installed; run: make agents AGENTS={agent.name}"
        raise ParameterError(source, "harbor.cli.program", spec.cli.program, remedy)
    check = spec.cli.check or f"{spec.cli.program} --version"
    folders = (root, *_base_python(root))
    return Installed(python, root, root / SHIMS, folders, check)


def _spec(agent: Agent) -> HarborAgent:
    if agent.harbor is None:
        raise ParameterError(agent.name, "harbor", None, "this agent is a script")
    return agent.harbor


def _folder(agent: Agent) -> str:
    """Agents that differ in model or effort only share one installation."""
    cli = _spec(agent).cli
    return f"{cli.program}-{cli.version}"


def _base_python(root: Path) -> tuple[Path, ...]:
    """The installation that a virtual environment's interpreter belongs to."""
    config = root / "pyvenv.cfg"
    if not config.is_file():
        return ()
    for line in config.read_text().splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home":
            base = Path(value.strip()).resolve().parent
            return () if base.is_relative_to("/usr") else (base,)
    return ()


def install_harbor(
    cache: Path, lock: Path, python: str | None, say: Callable[[str], None]
) -> None:
    """Make Harbor's environment from its lock unless it is there and up to date.

    Args:
        cache: folder of ``harbor``.
        lock: pinned packages.
        python: an interpreter of Python 3.12.
        say: takes one line for people.

    Raises:
        ParameterError: there is no such interpreter.
        StageError: the package manager failed.
    """
    root = cache / "harbor"
    done = root / ".lock"
    if done.is_file() and done.read_text() == lock.read_text():
        say("harbor: nothing to install")
        return
    if python is None:
        raise ParameterError(
            lock, "python", "3.12", "not found: install it, for example with pyenv"
        )
    started = time.monotonic()
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    _run([python, "-m", "venv", "."], root)
    _run(["bin/python", "-m", "pip", "install", "-q", "-r", str(lock)], root)
    done.write_text(lock.read_text())
    say(f"harbor: installed in {time.monotonic() - started:.0f} s")


def install_cli(
    agent: Agent, cache: Path, constraints: Path, say: Callable[[str], None]
) -> None:
    """Install an agent's program unless it is there.

    Args:
        agent: one of Harbor's.
        cache: folder of ``harbor`` and ``cli``.
        constraints: folder of ``<program>.lock`` files that pin what pip adds.
        say: takes one line for people.

    Raises:
        StageError: the package manager failed; its last line is in the message.
    """
    cli = _spec(agent).cli
    root = cache / "cli" / _folder(agent)
    if cli.installer == "harbor" or (root / SHIMS / cli.program).exists():
        say(f"{agent.name}: nothing to install")
        return
    started = time.monotonic()
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    package = f"{cli.package}@{cli.version}"
    if cli.installer == "npm":
        _run(
            ["npm", "install", "--no-audit", "--no-fund", "--prefix", ".", package],
            root,
        )
        made = root / "node_modules" / ".bin" / cli.program
    else:
        python = (cache / "harbor" / "bin" / "python").resolve()
        _run([str(python), "-m", "venv", "."], root)
        pip = ["bin/python", "-m", "pip", "install", "--quiet"]
        lock = constraints / f"{cli.program}.lock"
        pip += ["--constraint", str(lock)] if lock.exists() else []
        _run([*pip, f"{cli.package}=={cli.version}", *cli.extras], root)
        made = root / "bin" / cli.program
    if not made.exists():
        raise StageError(f"{package}: has no program {cli.program}")
    (root / SHIMS).mkdir()
    (root / SHIMS / cli.program).symlink_to(made)
    say(f"{agent.name}: {package} in {time.monotonic() - started:.0f} s")


def _run(argv: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StageError(f"{argv[0]}: {error}") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise StageError(f"{' '.join(argv[:3])}: {' '.join(last)}")
