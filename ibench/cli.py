"""The two commands that need no study: ``load`` and ``score``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ibench.errors import ParameterError

if TYPE_CHECKING:
    from ibench.load.command import LoadSpec

__all__ = ["add_load", "add_score"]

_COVERS = 1.0


def add_load(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Declare the options of ``load``; returns what runs it."""
    add = parser.add_argument
    add("url", help="address of an OpenAI-compatible server")
    add("--concurrency", type=int, default=1, help="requests in flight at most")
    add("--requests", type=int, default=64)
    add("--output-tokens", type=int, default=128)
    add("--prompt-tokens", type=int, default=256, help="about; words are sent")
    add(
        "--arrivals",
        default="burst",
        help="burst, constant:16, poisson:32, gamma:32:0.5, replay:FILE",
    )
    add("--client", choices=("kernel", "httpx"), default="kernel")
    add("--processes", type=int, default=1, help="that send, each on its core")
    add("--seed", type=int, default=7)
    add("--temperature", type=float, default=0.0)
    add("--repeats", type=int, default=1)
    add("--against", help="a second server, in turns; the same address is an A/A run")
    add("--model", help="default: the first one the server lists")
    add("--tokenizer", type=Path, help="model folder; else the server's usage counts")
    add("--timeout-s", type=float, default=600.0, help="of one request")
    add("--stop-at", type=float, help="stop at this relative half-width, such as 0.01")
    add("--stop-objective", choices=("ttft", "tpot", "request_rate"), default="ttft")
    add("--ttft-slo-s", type=float, default=2.0)
    add("--tpot-slo-s", type=float, default=0.05)
    add("--no-nonce", action="store_true", help="let prompts repeat between runs")
    add("--no-calibration", action="store_true", help="leave the null server out")
    add("--key-variable", help="environment variable that holds the API key")
    add("--out", type=Path, required=True, help="folder for the results")
    return _load


def add_score(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Declare the options of ``score``; returns what runs it."""
    add = parser.add_argument
    add("target", help="folder with start_server.sh, or address of a running server")
    add("--scenario", default="a", choices=("a", "b", "c", "d"))
    add("--profile", default="cpu")
    add("--baseline", action="store_true", help="measure the reference here if needed")
    add("--params", default="params")
    add("--results", default="results")
    add("--out", type=Path, help="folder for the evidence; default: results/scores/...")
    return _score


def _load(args: argparse.Namespace) -> int:
    from ibench.load.command import run_load  # noqa: PLC0415
    from ibench.load.lines import phase_lines  # noqa: PLC0415

    report = run_load(_spec(args), args.out, lambda line: print(line, file=sys.stderr))
    for phase in (*report.phases, *report.against):
        print("\n".join(phase_lines(phase)))
    for name, (low, value, high) in report.speedup.items():
        covered = "covers" if low <= _COVERS <= high else "does not cover"
        print(f"speedup {name}: {value:.3f} [{low:.3f}, {high:.3f}], {covered} 1.00")
    print(f"{args.out}/summary.json")
    return 0


def _spec(args: argparse.Namespace) -> LoadSpec:
    from pydantic import ValidationError  # noqa: PLC0415

    from ibench.load.arrivals import parse_arrivals  # noqa: PLC0415
    from ibench.load.command import LoadSpec  # noqa: PLC0415
    from ibench.params import ClientSpec  # noqa: PLC0415

    try:
        arrivals = parse_arrivals(args.arrivals)
    except ValueError as error:
        raise ParameterError(
            "load", "--arrivals", args.arrivals, str(error).splitlines()[-1].strip()
        ) from error
    try:
        return LoadSpec(
            url=args.url,
            against=args.against,
            model=args.model,
            concurrency=args.concurrency,
            requests=args.requests,
            output_tokens=args.output_tokens,
            prompt_tokens=args.prompt_tokens,
            arrivals=arrivals,
            temperature=args.temperature,
            seed=args.seed,
            repeats=args.repeats,
            request_timeout_s=args.timeout_s,
            tokenizer=args.tokenizer,
            key_variable=args.key_variable,
            stop_at=args.stop_at,
            stop_objective=args.stop_objective,
            ttft_slo_s=args.ttft_slo_s,
            tpot_slo_s=args.tpot_slo_s,
            client=ClientSpec(
                kind=args.client,
                processes=args.processes,
                nonce=not args.no_nonce,
                calibrate=not args.no_calibration,
            ),
        )
    except ValidationError as error:
        first = error.errors()[0]
        key = "--" + str(first["loc"][0]).replace("_", "-")
        remedy = str(first["msg"])
        raise ParameterError("load", key, first["input"], remedy) from error


def _score(args: argparse.Namespace) -> int:
    from ibench.load.lines import phase_lines  # noqa: PLC0415
    from ibench.stages.score import score, score_lines  # noqa: PLC0415
    from ibench.study.definition import Study  # noqa: PLC0415
    from ibench.study.lock import allocated_gpus, announced, measuring  # noqa: PLC0415
    from ibench.study.make import SCORES  # noqa: PLC0415

    study = Study(args.profile, Path(args.params), Path(args.results))
    name = "".join(c if c.isalnum() else "-" for c in args.target).strip("-")[-60:]
    folder = (
        args.out
        or study.results / SCORES / study.profile.name / f"{args.scenario}-{name}"
    )
    gpus = allocated_gpus() if study.host.gpu else ()
    with measuring(study.results, gpus, announced(sys.stderr)):
        found, phases = score(
            study,
            args.target,
            args.scenario,
            folder.resolve(),
            with_baseline=args.baseline,
        )
    for phase in phases:
        print("\n".join(phase_lines(phase)))
    print("\n".join(score_lines(found)))
    print(json.dumps(found.model_dump(mode="json")))
    return 0 if found.outcome == "ok" else 1
