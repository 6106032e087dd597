"""Server launches as configurations: engine, arguments, and what differs from defaults.

A configuration is written as one line, ``vllm --kv-cache-dtype=fp8``: the engine, then
every argument that is no address, name or log option, sorted. Arguments
that say what the engine does anyway (the ``defaults`` of ``known``) are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from ibench.analysis.trajectories.heredocs import heredocs
from ibench.analysis.trajectories.known import KNOWN
from ibench.analysis.trajectories.shell import ShellCommand, commands_in, reader_of

__all__ = ["ENGINES", "Config", "config_of", "launches_in"]

# Engine: the words its launch begins with, as patterns over "program arguments".
ENGINES: tuple[tuple[str, str], ...] = (
    ("vllm", r"vllm serve\b|python\S* (?:-\S+ )*-m vllm\.entrypoints\b"),
    ("sglang", r"python\S* (?:-\S+ )*-m sglang\.launch_server\b|sglang serve\b"),
    ("tgi", r"text-generation-launcher\b"),
    ("lmdeploy", r"lmdeploy serve\b"),
    ("tensorrt-llm", r"trtllm-serve\b|python\S* -m tensorrt_llm\.commands\.serve\b"),
    ("llama.cpp", r"llama-server\b|python\S* -m llama_cpp\.server\b"),
    ("transformers", r"transformers serve\b"),
    ("reference", r"python\S* (?:-\S+ )*-m ibench\.serving\.reference\b"),
)
_ENV = re.compile(r"(?:VLLM|SGLANG|FLASHINFER|TORCHINDUCTOR)_\w+|OMP_NUM_THREADS")
_ENV_IGNORED = re.compile(r"\w*(?:LOG|CACHE_(?:DIR|ROOT)|HOST|PORT|API_KEY|USAGE)\w*")
# Every pattern begins with a word of letters; most programs need no closer look.
_FIRST_WORDS = tuple(
    {re.split(r"\W", p)[0] for _, ps in ENGINES for p in ps.split("|")}
)
_ANY_ENGINE = re.compile("|".join(f"({pattern})" for _, pattern in ENGINES))
_CUSTOM = re.compile(
    r"(?:\w*(?:server|serve|app|main|api)\w*|start_engine)\.py|uvicorn|gunicorn|hypercorn"
)
_STARTS_PROGRAMS = re.compile(r"subprocess|os\.(?:system|exec)|Popen")
_NOT_SERVING = {"--help", "-h", "--version"}


@dataclass(frozen=True)
class Config:
    """One way to launch a server.

    Attributes:
        engine: a name of ``ENGINES``, or ``custom``.
        flags: arguments and variables that differ from the engine's defaults.
        all_flags: the same with the defaults.
    """

    engine: str
    flags: Mapping[str, str] = field(default_factory=dict)
    all_flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_default(self) -> bool:
        """Whether nothing differs from the defaults."""
        return not self.flags

    @property
    def signature(self) -> str:
        """The configuration as one line."""
        return _line(self.engine, self.flags)

    @property
    def full_signature(self) -> str:
        """The same with arguments that repeat a default."""
        return _line(self.engine, self.all_flags)


def _line(engine: str, flags: Mapping[str, str]) -> str:
    words = [
        f"--{k}" if v == "true" else f"--{k}={v}" for k, v in sorted(flags.items())
    ]
    return " ".join([engine, *words])


@lru_cache(maxsize=1024)
def launches_in(text: str) -> tuple[Config, ...]:
    """Give the servers that a shell text starts itself, scripts not followed.

    >>> [c.signature for c in launches_in("vllm serve m --max-num-seqs 64 --port 8000")]
    ['vllm --max-num-seqs=64']
    >>> launches_in("pip install vllm; vllm serve --help; grep 'vllm serve' start.sh")
    ()
    """
    found, env = list[Config](), dict[str, str]()
    for command in commands_in(text):
        env.update(command.env)
        engine = _engine(command)
        if engine is not None and not _NOT_SERVING & set(command.words):
            found.append(_config(engine, command, env))
    for document in heredocs(text)[1]:
        is_python = reader_of(document).startswith("python")
        if is_python and _STARTS_PROGRAMS.search(document.body):
            found += _listed(document.body)[-1:]
    return tuple(found)


def config_of(script: str) -> Config | None:
    """Give the configuration of a launcher script: its last server.

    A Python launcher, or one that starts a program of the agent's own, is ``custom``.
    """
    body, documents = heredocs(script)
    known = launches_in(body) or tuple(
        c for d in documents for c in launches_in(d.body)
    )
    if known:
        return known[-1]
    return next(reversed(_listed(script)), None)


def _listed(program: str) -> list[Config]:
    """The servers in a Python program, whose commands stand as lists of words."""
    quoted = re.sub(r"[\"',\[\]()]+", " ", heredocs(program)[0])
    parts = re.split(r"(?:Popen|run|call|system)\b", quoted)
    return [c for p in parts for c in launches_in(p) if c.engine != "custom"]


def _engine(command: ShellCommand) -> str | None:
    if command.program.startswith(_FIRST_WORDS):
        text = " ".join((command.program, *command.words[1:6]))
        if (found := _ANY_ENGINE.match(text)) is not None and found.lastindex:
            return ENGINES[found.lastindex - 1][0]
    is_own = _CUSTOM.fullmatch(command.script) or (
        command.words[1:2] == ("-m",) and command.words[2:3] == ("uvicorn",)
    )
    return "custom" if is_own else None


def _config(engine: str, command: ShellCommand, env: Mapping[str, str]) -> Config:
    flags = _flags(command.words[1:])
    flags |= {
        key.lower().replace("_", "-"): value
        for key, value in env.items()
        if _ENV.fullmatch(key) and not _ENV_IGNORED.fullmatch(key)
    }
    defaults = KNOWN.defaults.get(engine, {})
    changed = {k: v for k, v in flags.items() if _same(v) != _same(defaults.get(k))}
    return Config(engine, changed, flags)


def _same(value: str | None) -> str | float | None:
    try:
        return float(value) if value is not None else None
    except ValueError:
        return value


def _flags(words: tuple[str, ...]) -> dict[str, str]:
    flags: dict[str, str] = {}
    for n, word in enumerate(words):
        if not word.startswith("--") or len(word) < 4:
            continue
        name, has_value, value = word[2:].partition("=")
        name = name.replace("_", "-")
        if not has_value:
            following = words[n + 1 : n + 2]
            value = "true" if not following or _is_flag(following[0]) else following[0]
        if name.startswith("no-enable-"):
            name, value = name.removeprefix("no-"), "false"
        if name not in KNOWN.who_and_where:
            flags[name] = re.sub(r"\s+", "", value)
    return flags


def _is_flag(word: str) -> bool:
    return word.startswith("-") and not re.fullmatch(r"-[\d.]+", word)
