"""Command line of the workbench; the Makefile is its usual caller.

Every error a user can cause ends in one line and exit code 2.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ibench.cli import add_load, add_score
from ibench.cluster.cli import COMMANDS as CLUSTER
from ibench.errors import IbenchError, StageError
from ibench.methods.agents.command import add_agents
from ibench.methods.search.command import add_search
from ibench.stages.gpu_check.cli import add_gpu_check
from ibench.study.definition import Study

__all__ = ["main"]

BIN = Path(sys.executable).parent


def _study(args: argparse.Namespace) -> Study:
    return Study(args.profile, Path(args.params), Path(args.results))


def _grid(args: argparse.Namespace) -> int:
    from ibench.study.make import make_rules, retire_outdated  # noqa: PLC0415

    study = _study(args)
    for line in retire_outdated(study):
        print(f"{line}; earlier result kept aside")
    study.root.mkdir(parents=True, exist_ok=True)
    make_rules(study, study.root / "grid.mk")
    return 0


def _data(args: argparse.Namespace) -> int:
    from ibench.study.data import make_data  # noqa: PLC0415

    study = _study(args)
    started = time.monotonic()
    export = Path(args.export) if args.export else None
    make_data(study, _cache(args), export=export)
    print(f"data of {args.profile}: ready in {time.monotonic() - started:.1f} s")
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from ibench.study.doctor import diagnose, doctor_lines  # noqa: PLC0415

    checks = diagnose(_study(args), _cache(args))
    print("\n".join(doctor_lines(checks)))
    return 2 if any(check.state == "fail" for check in checks) else 0


def _prepare(args: argparse.Namespace) -> int:
    from ibench.study.assets import Assets  # noqa: PLC0415
    from ibench.study.engines import find_pythons, prepare_engines  # noqa: PLC0415

    study = _study(args)
    started = time.monotonic()
    if study.model.kind == "embedded":
        print("model: embedded (the first time it is trained here, under two minutes)")
    folder = Assets(study, _cache(args)).model_dir
    print(f"model: ready in {time.monotonic() - started:.1f} s ({folder.name})")
    prepare_engines(study, _cache(args), BIN, print, find_pythons())
    return 0


def _engine(args: argparse.Namespace) -> int:
    from ibench.study.engines import find_pythons, make_engine  # noqa: PLC0415

    params, cache = Path(args.params), _cache(args)
    print(make_engine(params, args.engine, cache, print, find_pythons()))
    return 0


def _cache(args: argparse.Namespace) -> Path:
    from ibench import REPOSITORY  # noqa: PLC0415

    return Path(args.cache) if args.cache else REPOSITORY / ".cache"


def _stage(args: argparse.Namespace) -> int:
    from ibench.stages.runner import StageRunner  # noqa: PLC0415
    from ibench.study.progress import Line  # noqa: PLC0415

    study = _study(args)
    runner = StageRunner(study, Path(args.notebooks), Line(sys.stderr))
    runner.run(study.job(args.job))
    return 0


def _status(args: argparse.Namespace) -> int:
    from ibench.cluster.commands import cluster_status  # noqa: PLC0415
    from ibench.methods.agents.watch import sessions, status_lines  # noqa: PLC0415
    from ibench.study.make import status_table  # noqa: PLC0415
    from ibench.study.state import MANY, job_states  # noqa: PLC0415

    study = _study(args)
    states = job_states(study)
    print("\n".join(status_table(study, states)))
    for line in cluster_status(study, states):
        print(line)
    for line in status_lines(sessions(study, over=len(states) < MANY)):
        print(line)
    done = sum(state == "done" for state in states.values())
    print(f"{done} of {len(states)} stages done")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from ibench.study.make import verify_all  # noqa: PLC0415

    count, deviations = verify_all(_study(args))
    for line in deviations:
        print(line, file=sys.stderr)
    print(f"{count} finished stages re-hashed, {len(deviations)} deviations")
    return 2 if deviations else 0


def _report(args: argparse.Namespace) -> int:
    from ibench.stages.report import export_report  # noqa: PLC0415

    study = _study(args)
    path = export_report(study.jobs["aggregation"].folder, study.root / "report.html")
    print(f"report: {path}")
    return 0


def _figures(args: argparse.Namespace) -> int:
    from ibench.stages.figures import Build, build  # noqa: PLC0415

    started = time.monotonic()
    notebooks = Path(args.notebooks) / "paper"
    ran = build(
        Build(Path(args.published).resolve(), notebooks, Path(args.output).resolve()),
        print,
    )
    print(f"{args.output}: {ran} notebooks ran in {time.monotonic() - started:.1f} s")
    return 0


def _claims(args: argparse.Namespace) -> int:
    from ibench.analysis.paper.claims import check_claims, report  # noqa: PLC0415

    params, results = Path(args.params), Path(args.results)
    checked = check_claims(params, Path(args.published), results, args.profile)
    print(report(checked))
    return 1 if any(c.verdict.is_failure for c in checked) else 0


def _compare(args: argparse.Namespace) -> int:
    from ibench.analysis.paper.compare import compare  # noqa: PLC0415

    study = _study(args)
    print(compare(study, Path(args.published), Path(args.output) / "compare"))
    return 0


def _crate(args: argparse.Namespace) -> int:
    from ibench.study.crate import make_crate  # noqa: PLC0415

    study = _study(args)
    out = study.root / "crate"
    count = make_crate(study, out)
    print(f"{out}: {count} stages")
    return 0


def _plan(args: argparse.Namespace) -> int:
    from ibench.study.plan import make_plan, plan_lines  # noqa: PLC0415

    study = _study(args)
    print("\n".join(plan_lines(study, make_plan(study, args.costs))))
    return 0


def _sessions(args: argparse.Namespace) -> int:
    from ibench.methods.agents.watch import sessions, stop_session, view_lines  # noqa: PLC0415

    study = _study(args)
    if args.stop:
        stop_session(study, args.stop)
        print(f"{args.stop}: asked to end; its workspace becomes its submission")
        return 0
    print("\n".join(view_lines(sessions(study))))
    return 0


COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], str]] = {
    "grid": (_grid, "write the make rules of a profile; set outdated stages aside"),
    "plan": (_plan, "estimate hours and dollars by stage before anything runs"),
    "doctor": (_doctor, "check the machine before hours are spent on it"),
    "data": (_data, "fetch and verify model and data, make the request sets"),
    "engine": (_engine, "build the environment of one engine"),
    "prepare": (_prepare, "find or train the base model, build and check the engines"),
    "stage": (_stage, "run one job of the grid"),
    "status": (_status, "list every stage and its state"),
    "sessions": (_sessions, "look at agent sessions while they run, or stop one"),
    "verify": (_verify, "re-hash every finished stage"),
    "report": (_report, "write report.html from the executed aggregation notebook"),
    "figures": (_figures, "regenerate the paper's tables and figures"),
    "claims": (_claims, "check the paper's claims, one by one"),
    "crate": (_crate, "export records, figures and provenance as an RO-Crate"),
    "compare": (_compare, "put a profile's results beside the paper's"),
}


CACHE = ("--cache", "folder of models and data: .cache")
EXTRA = {
    "plan": (("--costs", "a file of params/costs"),),
    "data": (CACHE, ("--export", "also write sets as the original's")),
    "doctor": (CACHE,),
    "engine": (CACHE, ("engine", "a file of params/engines")),
    "prepare": (CACHE,),
    "sessions": (("--stop", "cell whose session should end now"),),
    "stage": (("job", "for example a/careful/21-1337/relaunch"),),
}
MEASURING = {
    "agents": (add_agents, "list, install or rehearse the agents of params/agents"),
    "gpu-check": (add_gpu_check, "one GPU against the paper and its own roofline"),
    "load": (add_load, "drive any OpenAI-compatible address and write what came"),
    "score": (add_score, "score a launcher folder or a running server"),
    "search": (add_search, "search an engine's flags, or several engines at once"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m ibench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=COMMANDS[name][0])
        studyless = name in ("figures", "claims", "engine")
        command.add_argument("--profile", required=not studyless)
        command.add_argument("--params", default="params")
        command.add_argument("--results", default="results")
        command.add_argument("--notebooks", default="notebooks")
        command.add_argument("--published", default="results/published")
        command.add_argument("--output", default="results/paper")
        for flag, meaning in EXTRA.get(name, ()):
            command.add_argument(flag, help=meaning)
    for name, (declare, text) in {**MEASURING, **CLUSTER}.items():
        measuring = commands.add_parser(name, help=text, description=text)
        measuring.set_defaults(run=declare(measuring))
    args = parser.parse_args(argv)
    try:
        return int(args.run(args))
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
