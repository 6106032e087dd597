"""Keys and logins of one agent: only those it names, from variables or 0600 files."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ibench.errors import ParameterError
from ibench.params import Agent, LoginFile

__all__ = ["Access", "resolve_access"]

MIN_SECRET = 8  # shorter values are flags ("1", "true") and would blot out text


@dataclass(frozen=True)
class Access:
    """What an agent may use to reach its model; never printed.

    Attributes:
        env: variables of the driver's process, secrets among them.
        files: files to lay below the sandbox's home, by their path there.
        values: every secret string, for the redaction.
    """

    env: dict[str, str] = field(default_factory=dict, repr=False)
    files: dict[str, Path] = field(default_factory=dict)
    values: tuple[str, ...] = field(default=(), repr=False)


def resolve_access(agent: Agent, environ: Mapping[str, str], source: str) -> Access:
    """Find an agent's keys and logins on this host.

    Args:
        agent: the agent.
        environ: where variables are looked up.
        source: the agent's file, for messages.

    Raises:
        ParameterError: one is missing, empty, or readable by others.
    """
    if agent.harbor is None:
        return Access()
    env: dict[str, str] = {}
    values: list[str] = []
    for name in agent.harbor.secrets:
        env[name] = _secret(name, environ, source)
        values.append(env[name])
    files: dict[str, Path] = {}
    for login in agent.harbor.login_files:
        path = _login(login, environ, source)
        values += _strings(path.read_text(errors="replace"))
        if login.variable is not None:
            env[login.variable] = str(path)
        if login.target is not None:
            files[login.target] = path
    return Access(env, files, tuple(v for v in values if len(v) >= MIN_SECRET))


def _secret(name: str, environ: Mapping[str, str], source: str) -> str:
    value, file = environ.get(name, "").strip(), environ.get(f"{name}_FILE")
    if not value and file:
        path = Path(file).expanduser()
        _private(path, f"{name}_FILE", source)
        value = path.read_text().strip()
    if not value:
        raise ParameterError(
            source,
            f"harbor.secrets.{name}",
            "",
            f"not set; export {name}, or {name}_FILE=<a file of mode 0600>",
        )
    return value


def _login(login: LoginFile, environ: Mapping[str, str], source: str) -> Path:
    text = environ.get(login.variable or "", "") or login.path
    path = Path(text).expanduser().absolute()
    _private(path, "harbor.login_files", source)
    return path


def _private(path: Path, key: str, source: str) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        remedy = f"{error.strerror}; log in with the agent's own program first"
        raise ParameterError(source, key, str(path), remedy) from error
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise ParameterError(
            source, key, str(path), "must be a file of mode 0600 (chmod 600)"
        )


def _strings(text: str) -> Iterator[str]:
    """Every string of a login file: which of them are secret only its owner knows."""
    try:
        todo = [json.loads(text)]
    except ValueError:
        yield from text.split()
        return
    while todo:
        value = todo.pop()
        if isinstance(value, str) and len(value) >= 2 * MIN_SECRET:
            yield value
        elif isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list):
            todo += value
