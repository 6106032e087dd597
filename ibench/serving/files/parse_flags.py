"""Ask a program's own argument parser about command lines, without starting it.

Run by the engine's interpreter, so it imports nothing of ours: ``parse_flags.py
MODULE`` runs the module as a program; at its first ``parse_args`` every command line
read from standard input (a JSON list of lists) goes through that very parser. The
answer is a JSON list on the last line: null, or what the parser said.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import runpy
import sys
from typing import Any

_parse_args = argparse.ArgumentParser.parse_args
_asked = json.load(sys.stdin)
_inside: list[bool] = []


def _verdict(parser: argparse.ArgumentParser, argv: list[str]) -> str | None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parser.parse_args(list(argv))
    except SystemExit:
        lines = [line for line in said.getvalue().splitlines() if "error:" in line]
        return (lines or ["error: refused"])[-1].partition("error:")[2].strip()
    except Exception as error:  # noqa: BLE001 (a parser may raise anything)
        return f"{type(error).__name__}: {error}"
    return None


def _intercepted(
    self: argparse.ArgumentParser,
    args: Any = None,  # noqa: ANN401 (what argparse takes)
    namespace: Any = None,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    if _inside:
        return _parse_args(self, args, namespace)
    _inside.append(True)
    answer = json.dumps([_verdict(self, argv) for argv in _asked])
    sys.stdout.write(f"\n{answer}\n")
    sys.stdout.flush()
    raise SystemExit(0)


argparse.ArgumentParser.parse_args = _intercepted  # type: ignore[method-assign]
sys.argv = [sys.argv[1]]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
