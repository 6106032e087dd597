"""Does the installed engine take the flags that a configuration spells?

A flag that an engine's version lacks would otherwise show as a crashed trial, minutes
later and once for each configuration that holds it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ibench.errors import EngineError, ParameterError
from ibench.params.engines import Engine, Setting
from ibench.serving.engines import arguments
from ibench.serving.environments import built

__all__ = ["check_flags", "probes"]

SCRIPT = Path(__file__).parent / "files" / "parse_flags.py"
LIMIT_S = 180.0  # the import of a large engine on a busy machine
_OPTION = re.compile(r"(?<![\w-])--[a-zA-Z][\w-]*")


def probes(parameters: Mapping[str, Sequence[Setting]]) -> list[dict[str, Setting]]:
    """One configuration for each value of a space, every other key at its first.

    A grid has too many points to ask for; its parser looks at flags one by one.
    """
    first = {k: values[0] for k, values in parameters.items()}
    varied = [{**first, k: v} for k, vs in parameters.items() for v in vs]
    unique = {json.dumps(c, sort_keys=True): c for c in [first, *varied]}
    return list(unique.values())


def check_flags(
    engine: Engine,
    configs: Iterable[Mapping[str, Setting]],
    engines: Path,
    where: Path | str,
    bin_folder: Path,
) -> int:
    """Hold configurations against the installed engine's own argument parser.

    Args:
        engine: with its flag check; one without is not checked.
        configs: configurations over the engine's defaults.
        engines: folder of all engines' environments.
        where: the file that holds the configurations, for the message.
        bin_folder: of the workbench's commands, for an engine that lives there.

    Returns:
        How many command lines the engine took; 0 when it cannot be asked.

    Raises:
        EngineError: its environment is not built, or its parser cannot be asked.
        ParameterError: the installed version refuses a configuration.
    """
    if engine.flag_check is None:
        return 0
    home = _home(engine, engines) if engine.environment else bin_folder
    asked = [(dict(c), arguments(engine, dict(c))[0]) for c in configs]
    argvs = [[*_options(engine), *options] for _, options in asked]
    ask = _by_help if engine.flag_check.by == "help" else _by_argparse
    said = ask(engine, engine.flag_check.argv, home, argvs)
    for (config, options), refusal in zip(asked, said, strict=True):
        if refusal is not None:
            raise ParameterError(
                where,
                f"flags of engine {engine.name} {engine.version}",
                " ".join(options),
                f"refused ({refusal}); change {_culprit(engine, config, refusal)}",
            )
    return len(argvs)


def _home(engine: Engine, engines: Path) -> Path:
    if built(engine, engines) is None:
        raise EngineError(
            f"engine {engine.name}: not built: run make engine ENGINE={engine.name}"
        )
    return engines / engine.name / "bin"


def _options(engine: Engine) -> list[str]:
    """Fixed options of the command line, with plausible values for the blanks."""
    blanks = {"host": "127.0.0.1", "port": "8000", "model": "/", "model_id": "m"}
    words = [
        re.sub(r"{(\w+)}", lambda m: blanks.get(m[1], m[0]), w) for w in engine.argv
    ]
    start = next((i for i, w in enumerate(words) if w.startswith("--")), len(words))
    return words[start:]


def _by_argparse(
    engine: Engine, check: Sequence[str], home: Path, argvs: Sequence[Sequence[str]]
) -> list[str | None]:
    module = check[0]
    argv = [str(home / "python"), str(SCRIPT), module]
    done = _run(engine, argv, home, json.dumps(argvs))
    lines = done.stdout.strip().splitlines()
    try:
        answer: list[str | None] = json.loads(lines[-1])
    except (IndexError, ValueError):
        tail = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise EngineError(
            f"engine {engine.name}: {module} reached no argument parser: {tail}"
        ) from None
    return answer


def _by_help(
    engine: Engine, check: Sequence[str], home: Path, argvs: Sequence[Sequence[str]]
) -> list[str | None]:
    text = _run(engine, [str(home / check[0]), *check[1:]], home, "").stdout
    known = set(_OPTION.findall(text))
    if not known:
        raise EngineError(f"engine {engine.name}: no options in `{' '.join(check)}`")
    unknown = [[w for w in a if w.startswith("--") and w not in known] for a in argvs]
    return [f"no option {u[0]}" if u else None for u in unknown]


def _run(
    engine: Engine, argv: list[str], home: Path, stdin: str
) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": f"{home}:{os.defpath}",
        "HOME": "/tmp",  # noqa: S108 (engines write caches; none is read again)
        "COLUMNS": "200",
        **engine.env,
    }
    try:
        return subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            env=env,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"engine {engine.name}: {argv[0]}: {error}") from error


def _culprit(engine: Engine, config: Mapping[str, Setting], refusal: str) -> str:
    """The key whose flag the parser names, else all of them."""
    for key in config:
        spec = engine.flags[key]
        names = (spec.flag, spec.when_true, spec.when_false, *spec.extra)
        if any(n and re.search(re.escape(n) + r"(?![\w-])", refusal) for n in names):
            return f"{key}: {config[key]!r}"
    return ", ".join(config)
