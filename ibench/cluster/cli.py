"""Arguments of the cluster's commands; what they run is imported when it is run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

__all__ = ["COMMANDS"]

Run = Callable[[argparse.Namespace], int]
TEXTS = {
    "cell": "run what is missing of one cell; the job of every scheduler",
    "submit": "give the missing cells to a scheduler",
    "cancel": "take cells back from their scheduler",
    "finish": "judge, aggregate and report; the last job of a grid",
    "pool": "run the cells of a submission on this machine",
}


def _declare(name: str, command: argparse.ArgumentParser) -> Run:
    command.add_argument("--profile", required=True)
    command.add_argument("--params", default="params")
    command.add_argument("--results", default="results")
    command.add_argument("--notebooks", default="notebooks")
    command.add_argument("--cluster", default="local", help="a file of params/clusters")
    if name == "cell":
        command.add_argument("--job", help="the scheduler's id of this job")
        command.add_argument("cell", help="for example a/careful/21-1337")
    elif name == "submit":
        text = "also cells whose stage failed, or whose machines failed too often"
        command.add_argument("--again", action="store_true", help=text)
    elif name == "cancel":
        command.add_argument("cells", nargs="*", help="none: everything")
    elif name == "pool":
        command.add_argument("folder", help="of the submission")
    return partial(_run, name)


def _run(name: str, args: argparse.Namespace) -> int:
    from ibench.cluster.commands import RUN  # noqa: PLC0415 (runner, schedulers)

    return RUN[name](args)


COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], Run], str]] = {
    name: (partial(_declare, name), text) for name, text in TEXTS.items()
}
