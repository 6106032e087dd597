"""``params/engines``: how an engine is started, spelled, installed and recognised."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from ibench.errors import ParameterError
from ibench.params.files import load_yaml, named
from ibench.records import Closed

__all__ = [
    "WORKBENCH_IMAGE", "Container", "Engine", "FlagCheck", "FlagSpec", "Setting",
    "Venv", "load_engine", "lock_path",
]  # fmt: skip

Setting: TypeAlias = bool | int | float | str | None
"""A configured value; ``None`` and the text ``none`` leave the flag out."""
Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")]

WORKBENCH_IMAGE = "workbench"
"""Image of agents, and of the engines that are part of the workbench."""


class FlagSpec(Closed):
    """How one configured value reaches the command line.

    Exactly one of three forms is given: ``flag`` takes a value, ``when_true`` and
    ``when_false`` are a switch, ``env`` is an environment variable.

    Args:
        flag: option name; followed by the value.
        template: text of the value, ``{value}`` standing for it.
        extra: further arguments that go with the flag whenever it is given.
        when_true: option that says true; nothing is said when absent. (Not ``on``:
            YAML reads that word as a truth value.)
        when_false: option that says false; nothing is said when absent.
        env: name of an environment variable.
        instead: arguments given in place of the flag for these values, as text;
            an empty list leaves the flag out.
    """

    flag: str | None = None
    template: str = "{value}"
    extra: tuple[str, ...] = ()
    when_true: str | None = None
    when_false: str | None = None
    env: str | None = Field(default=None, pattern="^[A-Z_][A-Z0-9_]*$")
    instead: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        switch = self.when_true is not None or self.when_false is not None
        if (self.flag is not None) + switch + (self.env is not None) != 1:
            raise ValueError("give one of flag, when_true/when_false, env")
        return self


class Venv(Closed):
    """An isolated Python environment, built from a lock and nothing else.

    Args:
        kind: tells it from a container.
        lock: ``params/engines/locks/<lock>.txt``, the whole closure: it is installed
            without resolving, so that what it leaves out stays out.
        python: version of the interpreter, ``3.11``.
        package: distribution whose installed version must be the engine's.
    """

    kind: Literal["venv"]
    lock: Name
    python: str = Field(pattern=r"^3\.\d+$")
    package: str


class Container(Closed):
    """An engine that comes as an image, for the runtimes ``apptainer`` and ``podman``.

    Args:
        kind: tells it from a venv.
        image: registry reference with a tag, which the definition builds on.
    """

    kind: Literal["container"]
    image: str


class FlagCheck(Closed):
    """How to ask the installed engine whether it takes our flags.

    Args:
        by: ``argparse`` runs the engine's own entry module up to its parser and gives
            it our arguments; ``help`` reads the option names in its help text.
        argv: command, for ``argparse`` the module's name alone.
    """

    by: Literal["argparse", "help"]
    argv: tuple[str, ...] = Field(min_length=1)


class Engine(Closed):
    """One serving engine.

    Args:
        name: also the file's name.
        version: of the package the flags were checked against.
        description: one line for people.
        argv: command; ``{host}``, ``{port}``, ``{model}``, ``{model_id}`` and
            ``{engines}`` stand for what the launch supplies.
        flags: every configuration key and how it is spelled.
        env: variables set for the engine.
        defaults: the published default launch, as a configuration.
        requires: hardware the engine needs; a host without it is refused.
        environment: where the engine is installed; None is the workbench's own.
        flag_check: how its flags are checked against the installed version.
        ready_s: seconds to the first answer, measured or published; a profile that
            waits less is refused.
        process_pattern: regular expression that a command line or a mapped file of
            its processes matches, and no other engine's.
        lock_sha256: of the environment's lock; filled in where the file is read.
    """

    name: str
    version: str
    description: str
    argv: tuple[str, ...] = Field(min_length=1)
    flags: dict[str, FlagSpec] = Field(default_factory=dict)
    env: dict[str, str] = Field(default_factory=dict)
    defaults: dict[str, Setting] = Field(default_factory=dict)
    requires: Literal["cpu", "cuda"]
    environment: Venv | Container | None = Field(default=None, discriminator="kind")
    flag_check: FlagCheck | None = None
    ready_s: float = Field(gt=0)
    process_pattern: str
    lock_sha256: str | None = None

    @model_validator(mode="after")
    def _defaults_are_flags(self) -> Self:
        unknown = sorted(set(self.defaults) - set(self.flags))
        if unknown:
            raise ValueError(f"defaults name no flag: {', '.join(unknown)}")
        named = any("{engines}" in word for word in self.argv)
        if named != isinstance(self.environment, Venv):
            raise ValueError("argv names {engines} if and only if there is a venv")
        return self

    @property
    def image(self) -> str:
        """Its image under a container runtime: ``params/containers/<image>.*``."""
        return WORKBENCH_IMAGE if self.environment is None else self.name


def load_engine(params: Path, name: str) -> Engine:
    """Load one engine of ``params/engines``, with the hash of its lock.

    Raises:
        ParameterError: no such engine, not a valid one, or its lock is missing.
    """
    path = named(params / "engines", name)
    engine: Engine = load_yaml(Engine, path)
    lock = lock_path(params, engine)
    if lock is None:
        return engine
    if not lock.is_file():
        raise ParameterError(path, "environment.lock", lock.stem, f"no file {lock}")
    sha256 = hashlib.sha256(lock.read_bytes()).hexdigest()
    return engine.model_copy(update={"lock_sha256": sha256})


def lock_path(params: Path, engine: Engine) -> Path | None:
    """File that pins an engine's environment, if it has one of its own."""
    if not isinstance(engine.environment, Venv):
        return None
    return params / "engines" / "locks" / f"{engine.environment.lock}.txt"
