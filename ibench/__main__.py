"""The command line: every command, where it lives, and how a mistake is told.

A module is imported when its command runs, so that help and short commands are fast.
Every error a user can cause ends in one line and exit code 2.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import typer
from typer.main import get_command

from ibench import PACKAGE
from ibench.errors import IbenchError, nearest
from ibench.terminal import say

__all__ = ["COMMANDS", "Command", "main"]

# Heading in the help, module below ibench, its functions that are commands.
_PLACES = (
    ("Study", "study.command", "plan grid verify"),
    ("Study", "cluster.commands", "status"),
    ("Study", "stages.command", "stage report"),
    ("Study", "methods.agents.command", "sessions"),
    ("Measure", "load.command", "load"),
    ("Measure", "stages.command", "score"),
    ("Measure", "methods.search.command", "search"),
    ("Measure", "stages.gpu_check.command", "gpu_check"),
    ("Paper and results", "stages.command", "figures"),
    ("Paper and results", "analysis.command", "claims compare site trajectories"),
    ("Paper and results", "study.command", "crate"),
    ("Cluster", "cluster.commands", "submit cancel cell finish pool"),
    ("Prepare", "study.command", "doctor data engine prepare"),
    ("Prepare", "methods.agents.command", "agents"),
)


class Command(NamedTuple):
    """One command: a heading of the help, and the function that runs it."""

    group: str
    module: str
    function: str

    def load(self) -> Callable[..., int]:
        """Import the function."""
        module = importlib.import_module(f"ibench.{self.module}")
        function: Callable[..., int] = getattr(module, self.function)
        return function


COMMANDS = {
    name.replace("_", "-"): Command(group, module, name)
    for group, module, names in _PLACES
    for name in names.split()
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    command = next((word for word in words if word in COMMANDS), "ibench")
    try:
        app = get_command(_app(words[0]))
        return int(app.main(words, prog_name="ibench", standalone_mode=False) or 0)
    except IbenchError as error:
        say(f"ibench: {error}")
        return error.exit_code
    except typer.TyperException as error:
        say(f"ibench: {_usage(error)}")
        return error.exit_code
    except OSError as error:
        # A full disk, a missing folder: the user's to mend, in one line.
        say(f"ibench: {error.filename or command}: {error.strerror or error}")
        return 2


def _app(wanted: str) -> typer.Typer:
    """Build the application; only the wanted command's module is imported."""
    app = typer.Typer(
        add_completion=False,
        help="Benchmarks of coding agents at LLM inference, reproducible end to end.",
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
    )
    texts = dict(_texts())
    for name, command in COMMANDS.items():
        run = command.load() if name == wanted else lambda: 0  # only named
        app.command(name, help=texts[command], rich_help_panel=command.group)(run)
    return app


def _texts() -> Iterator[tuple[Command, str]]:
    """Read the first line of every command's docstring without importing it."""
    for group, module, names in _PLACES:
        path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.FunctionDef) and node.name in names.split():
                text = (ast.get_docstring(node) or "").partition("\n")[0]
                yield Command(group, module, node.name), text


def _usage(error: typer.TyperException) -> str:
    """Tell in one line what is wrong with a command line, and what is near it."""
    # Typer shows its own exceptions' parts, but does not export their classes.
    context = getattr(error, "ctx", None)
    text = " ".join(error.format_message().split())
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        known = [o for p in context.command.params for o in p.opts] if context else []
        text = f"no such option: {option}{nearest(option, known)}"
    if " is not one of " in text:
        given, *choices = re.findall("'([^']*)'", error.message)
        text = text.replace("Value error, ", "").rstrip(".") + nearest(given, choices)
    where = "" if context is None else context.command_path.partition(" ")[2]
    return f"{where}: {text}" if where else text


if __name__ == "__main__":
    sys.exit(main())
