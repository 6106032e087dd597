"""``evaluate.py`` of an agent's workspace: development requests, never scored ones.

Runs inside the sandbox. It sees the development set, and appends every evaluation with
its time to ``evaluations.jsonl``, from which best-seen and anytime curves are drawn.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path

from ibench.errors import IbenchError, LaunchError
from ibench.gates.quality import extract_answer
from ibench.load.life import OK, Running, serve_while_used
from ibench.load.measure import Measurement
from ibench.load.scenario import Server, connect
from ibench.params import Measure, Scenario
from ibench.records import Closed, Evaluation
from ibench.serving.attach import AttachedServer
from ibench.serving.cores import on_cores
from ibench.serving.linux import is_alive
from ibench.serving.probe import PROBE_TIMEOUT_S, look_once
from ibench.workloads import (
    ChatTokenizer,
    Workload,
    read_questions,
    read_requests,
)

__all__ = ["EvaluatorConfig", "main"]


class EvaluatorConfig(Closed):
    """``scenario.json`` of a workspace: what the evaluator needs, and no secret."""

    scenario: Scenario
    measure: Measure
    development_seed: int
    quick_requests: int
    question_concurrency: int
    model_dir: str
    model_id: str
    client_cores: tuple[int, ...] | None = None


def main(argv: list[str] | None = None) -> int:
    """Measure the workspace's server; exit 0 with a number, 1 without one."""
    parser = argparse.ArgumentParser(prog="evaluate.py", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a few requests, no quality"
    )
    parser.add_argument("--url", help="base URL, default http://$HOST:$PORT")
    parser.add_argument("--launcher-pid", type=int, help="give up when this one ends")
    args = parser.parse_args(argv)
    workspace = Path.cwd()
    config = EvaluatorConfig.model_validate_json(
        (workspace / "scenario.json").read_text(), strict=True
    )
    url = args.url or f"http://{os.environ['HOST']}:{os.environ['PORT']}"
    try:
        _wait(url, config.measure.ready_timeout_s, args.launcher_pid)
        found: list[bool] = []
        life = serve_while_used(
            lambda: AttachedServer(url),
            lambda running, _: found.append(
                _evaluate(workspace, config, running, quick=args.quick)
            ),
        )
        if life.outcome != OK:
            raise LaunchError(life.outcome, life.detail)
        return 0 if found[0] else 1
    except IbenchError as error:
        _log(workspace, None, quick=args.quick, note=str(error))
        sys.stdout.write(f"no measurement: {error}\n")
        return 1


def _wait(url: str, limit_s: float, launcher: int | None) -> None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if launcher is not None and not is_alive(launcher):
            raise LaunchError("exited", "the launcher ended before its port answered")
        if look_once(url, PROBE_TIMEOUT_S).ready:
            return
        time.sleep(0.05)
    raise LaunchError("never_ready", f"no answer within {limit_s:g} s")


def _evaluate(
    workspace: Path,
    config: EvaluatorConfig,
    running: Running,
    *,
    quick: bool,
) -> bool:
    """Measure, ask and log; whether there is an objective."""
    tokenizer = ChatTokenizer(Path(config.model_dir))
    server = connect(
        running.base_url,
        running.launch.served_models,
        Path(config.model_dir),
        config.model_id,
        config.scenario,
        config.measure,
    )
    dev = workspace / "dev"
    workload = Workload(
        config.development_seed,
        read_requests(dev / "requests.jsonl"),
        read_requests(dev / "warmup.jsonl"),
        read_questions(dev / "questions.jsonl"),
    )
    # The sandbox was started on the cores of servers, which this client leaves alone.
    with on_cores(config.client_cores):
        measured = server.measure(
            config.scenario,
            workload,
            run_name=f"evaluate:{time.monotonic_ns()}",
            count_tokens=tokenizer.count_text,
            limit=config.quick_requests if quick else None,
        )
    accuracy = None if quick else _accuracy(config, server, workload, tokenizer)
    _log(workspace, measured, quick=quick, accuracy=accuracy, note=measured.detail)
    for phase in measured.phases:
        sys.stdout.write(
            f"{phase.name}: {phase.completed}/{phase.requests} completed, TTFT p50 "
            f"{_ms(phase.ttft_p50_s)}, TPOT p50 {_ms(phase.tpot_p50_s)}, "
            f"{phase.request_rate_per_s:.3f} req/s\n"
        )
    line = {"objective": measured.objective, "accuracy": accuracy, "quick": quick}
    sys.stdout.write(json.dumps(line) + "\n")
    return measured.objective is not None


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1e3:.2f} ms"


def _accuracy(
    config: EvaluatorConfig,
    server: Server,
    workload: Workload,
    tokenizer: ChatTokenizer,
) -> float:
    answers = server.ask(
        workload.questions,
        concurrency=config.question_concurrency,
        count_tokens=tokenizer.count_text,
    )
    right = [
        a.failure is None and extract_answer(a.text, q.options) == q.gold
        for q, a in zip(workload.questions, answers, strict=True)
    ]
    return sum(right) / len(right)


def _log(
    workspace: Path,
    measured: Measurement | None,
    *,
    quick: bool,
    accuracy: float | None = None,
    note: str = "",
) -> None:
    started = json.loads((workspace / "session.json").read_text())["started_ns"]
    launcher = workspace / "start_server.sh"
    text = launcher.read_bytes() if launcher.is_file() else b""
    row = Evaluation(
        t_s=(time.monotonic_ns() - started) / 1e9,
        quick=quick,
        objective=measured.objective if measured else None,
        accuracy=accuracy,
        launcher_sha256=hashlib.sha256(text).hexdigest(),
        completed=measured.completed if measured else 0,
        requests=len(measured.results) if measured else 0,
        note=note[:500],
    )
    with (workspace / "evaluations.jsonl").open("a") as stream:
        stream.write(row.model_dump_json() + "\n")
