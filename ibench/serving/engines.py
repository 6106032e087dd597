"""The text of a launcher, out of an engine and a configuration."""

from __future__ import annotations

import re
import shlex

from ibench.errors import ParameterError, unknown_name
from ibench.params.engines import Engine, FlagSpec, Setting

__all__ = ["arguments", "launcher_script"]

_VARIABLES = {
    "{host}": '"$HOST"',
    "{port}": '"$PORT"',
    "{model}": '"$MODEL_PATH"',
    "{model_id}": '"$MODEL_ID"',
    # Where the launch shows the engines' own environments.
    "{engines}": '"$ENGINES"',
}
_PLACEHOLDER = re.compile("(" + "|".join(map(re.escape, _VARIABLES)) + ")")


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
    for key in config:
        if key not in engine.flags:
            raise unknown_name(where, "config", key, engine.flags)
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
