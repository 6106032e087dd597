"""Command line of the workbench; the Makefile is its usual caller.

Every error a user can cause ends in one line and exit code 2.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ibench.errors import IbenchError, StageError
from ibench.study import Study

__all__ = ["main"]


def _study(args: argparse.Namespace) -> Study:
    return Study(args.profile, Path(args.params), Path(args.results))


def _grid(args: argparse.Namespace) -> int:
    from ibench.grid import make_rules, retire_outdated  # noqa: PLC0415

    study = _study(args)
    for name in retire_outdated(study):
        print(f"{name}: parameters changed since it ran; earlier result kept aside")
    study.root.mkdir(parents=True, exist_ok=True)
    make_rules(study, study.root / "grid.mk")
    return 0


def _prepare(args: argparse.Namespace) -> int:
    from ibench.assets import fetch_model  # noqa: PLC0415
    from ibench.workbench import REPOSITORY  # noqa: PLC0415

    study = _study(args)
    started = time.monotonic()
    if study.model.kind == "embedded":
        print("model: embedded (the first time it is trained here, under two minutes)")
    folder = fetch_model(study.model, REPOSITORY / ".cache")
    print(f"model: ready in {time.monotonic() - started:.1f} s ({folder.name})")
    return 0


def _stage(args: argparse.Namespace) -> int:
    from ibench.runner import StageRunner  # noqa: PLC0415
    from ibench.status import Line  # noqa: PLC0415

    study = _study(args)
    runner = StageRunner(study, Path(args.notebooks), Line(sys.stderr))
    runner.run(study.job(args.job))
    return 0


def _status(args: argparse.Namespace) -> int:
    from ibench.grid import status_table  # noqa: PLC0415

    lines = status_table(_study(args))
    print("\n".join(lines))
    done = sum(line.startswith("done") for line in lines)
    print(f"{done} of {len(lines)} stages done")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from ibench.grid import verify_all  # noqa: PLC0415

    count, deviations = verify_all(_study(args))
    for line in deviations:
        print(line, file=sys.stderr)
    print(f"{count} finished stages re-hashed, {len(deviations)} deviations")
    return 2 if deviations else 0


def _report(args: argparse.Namespace) -> int:
    from ibench.report import export_report  # noqa: PLC0415

    study = _study(args)
    path = export_report(study.jobs["aggregation"].folder, study.root / "report.html")
    print(f"report: {path}")
    return 0


COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], str]] = {
    "grid": (_grid, "write the make rules of a profile; set outdated stages aside"),
    "prepare": (_prepare, "fetch or train the base model"),
    "stage": (_stage, "run one job of the grid"),
    "status": (_status, "list every stage and its state"),
    "verify": (_verify, "re-hash every finished stage"),
    "report": (_report, "write report.html from the executed aggregation notebook"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m ibench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--profile", required=True)
        command.add_argument("--params", default="params")
        command.add_argument("--results", default="results")
        command.add_argument("--notebooks", default="notebooks")
        if name == "stage":
            command.add_argument("job", help="for example a/careful/21-1337/relaunch")
    args = parser.parse_args(argv)
    try:
        return COMMANDS[args.command][0](args)
    except IbenchError as error:
        print(f"ibench: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        # A full disk, a missing folder: the user's to mend, in one line.
        failed = StageError(f"{error.filename or args.command}: {error.strerror}")
        print(f"ibench: {failed}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
