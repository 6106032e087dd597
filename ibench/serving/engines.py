"""Serving engines as data: a configuration becomes the text of a launcher."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from ibench.errors import ParameterError
from ibench.records import Closed

__all__ = [
    "WORKBENCH_IMAGE",
    "Container",
    "Engine",
    "FlagCheck",
    "FlagSpec",
    "Setting",
    "Venv",
    "arguments",
    "launcher_script",
]

Setting: TypeAlias = bool | int | float | str | None
"""A configured value; ``None`` and the text ``none`` leave the flag out."""
Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")]

WORKBENCH_IMAGE = "workbench"
"""Image of agents, and of the engines that are part of the workbench."""
_VARIABLES = {
    "{host}": '"$HOST"',
    "{port}": '"$PORT"',
    "{model}": '"$MODEL_PATH"',
    "{model_id}": '"$MODEL_ID"',
    # Where the launch shows the engines' own environments.
    "{engines}": '"$ENGINES"',
}
_PLACEHOLDER = re.compile("(" + "|".join(map(re.escape, _VARIABLES)) + ")")


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
        requires: hardware the engine needs.
        environment: where the engine is installed; None is the workbench's own.
        flag_check: how its flags are checked against the installed version.
        ready_s: seconds to the first answer, measured or published; a profile that
            waits less is refused.
        process_pattern: regular expression that a command line or a mapped file of
            its processes matches, and no other engine's.
        metrics_path: its Prometheus page, if it has one.
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
    metrics_path: str | None = None
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


def launcher_script(engine: Engine, config: dict[str, Setting]) -> str:
    """Write the ``start_server.sh`` of a configuration.

    The configuration is laid over the engine's defaults. Keys come out in the order
    of ``engine.flags``, so that equal configurations give equal text.

    Raises:
        ParameterError: an unknown key, or a switch without a truth value, or a value
            where a switch is meant.
    """
    options, exports = arguments(engine, config)
    words = [_word(item) for item in engine.argv]
    words += [shlex.quote(item) for item in options]
    lines = ["#!/usr/bin/env bash", "set -euo pipefail"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    return "\n".join([*lines, "exec " + " \\\n  ".join(words)]) + "\n"


def arguments(
    engine: Engine, config: dict[str, Setting]
) -> tuple[list[str], dict[str, str]]:
    """Spell a configuration: options of the command line, and variables.

    Raises:
        ParameterError: as for ``launcher_script``.
    """
    where = f"engine {engine.name}"
    for key, value in config.items():
        if key not in engine.flags:
            known = ", ".join(engine.flags)
            raise ParameterError(where, key, value, f"unknown; known are {known}")
    settings = {**engine.defaults, **config}
    options, exports = list[str](), dict(engine.env)
    for key, spec in engine.flags.items():
        value = settings.get(key)
        if value is None or value == "none":
            continue
        if spec.env is not None:
            exports[spec.env] = spec.template.replace("{value}", _text(value))
        else:
            options += _arguments(where, key, spec, value)
    return options, exports


def _arguments(
    where: str, key: str, spec: FlagSpec, value: bool | float | str
) -> tuple[str, ...]:
    instead = spec.instead.get(_text(value))
    if instead is not None:
        return instead
    if spec.flag is not None:
        if isinstance(value, bool):
            raise ParameterError(where, key, value, f"{spec.flag} takes a value")
        text = spec.template.replace("{value}", _text(value))
        return (spec.flag, text, *spec.extra)
    if not isinstance(value, bool):
        raise ParameterError(where, key, value, "write true, false or none")
    chosen = spec.when_true if value else spec.when_false
    return () if chosen is None else (chosen,)


def _text(value: bool | float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _word(item: str) -> str:
    """Quote the literal parts of an argument and leave its variables to the shell."""
    parts = [part for part in _PLACEHOLDER.split(item) if part]
    return "".join(_VARIABLES.get(part) or shlex.quote(part) for part in parts)
