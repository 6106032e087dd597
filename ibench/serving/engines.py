"""Serving engines as data: a configuration becomes the text of a launcher."""

from __future__ import annotations

import re
import shlex
from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from ibench.errors import ParameterError
from ibench.records import Closed

__all__ = ["Engine", "FlagSpec", "Setting", "launcher_script"]

Setting: TypeAlias = bool | int | float | str | None
"""A configured value; ``None`` and the text ``none`` leave the flag out."""

_VARIABLES = {
    "{host}": '"$HOST"',
    "{port}": '"$PORT"',
    "{model}": '"$MODEL_PATH"',
    "{model_id}": '"$MODEL_ID"',
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


class Engine(Closed):
    """One serving engine.

    Args:
        name: also the file's name.
        version: of the package the flags were checked against.
        description: one line for people.
        argv: command; ``{host}``, ``{port}``, ``{model}`` and ``{model_id}`` stand
            for what the launch supplies.
        flags: every configuration key and how it is spelled.
        env: variables set for the engine.
        defaults: the published default launch, as a configuration.
        requires: hardware the engine needs.
    """

    name: str
    version: str
    description: str
    argv: tuple[str, ...] = Field(min_length=1)
    flags: dict[str, FlagSpec] = Field(default_factory=dict)
    env: dict[str, str] = Field(default_factory=dict)
    defaults: dict[str, Setting] = Field(default_factory=dict)
    requires: Literal["cpu", "cuda"]

    @model_validator(mode="after")
    def _defaults_are_flags(self) -> Self:
        unknown = sorted(set(self.defaults) - set(self.flags))
        if unknown:
            raise ValueError(f"defaults name no flag: {', '.join(unknown)}")
        return self


def launcher_script(engine: Engine, config: dict[str, Setting]) -> str:
    """Write the ``start_server.sh`` of a configuration.

    The configuration is laid over the engine's defaults. Keys come out in the order
    of ``engine.flags``, so that equal configurations give equal text.

    Raises:
        ParameterError: an unknown key, or a switch without a truth value, or a value
            where a switch is meant.
    """
    where = f"engine {engine.name}"
    for key, value in config.items():
        if key not in engine.flags:
            known = ", ".join(engine.flags)
            raise ParameterError(where, key, value, f"unknown; known are {known}")
    settings = {**engine.defaults, **config}
    words = [_word(item) for item in engine.argv]
    exports = dict(engine.env)
    for key, spec in engine.flags.items():
        value = settings.get(key)
        if value is None or value == "none":
            continue
        if spec.env is not None:
            exports[spec.env] = spec.template.replace("{value}", _text(value))
        else:
            words += [shlex.quote(item) for item in _arguments(where, key, spec, value)]
    lines = ["#!/usr/bin/env bash", "set -euo pipefail"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    return "\n".join([*lines, "exec " + " \\\n  ".join(words)]) + "\n"


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
