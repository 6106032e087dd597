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

import httpx

from ibench.errors import IbenchError, LaunchError
from ibench.gates.quality import extract_answer
from ibench.load.scenario import Measurement, Server, ask, connect, measure_scenario
from ibench.params import Measure, Scenario
from ibench.records import Closed, Evaluation
from ibench.serving.linux import is_alive
from ibench.workloads import ChatTokenizer, read_questions, read_requests

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
        models = _wait(url, config.measure.ready_timeout_s, args.launcher_pid)
        model_dir = Path(config.model_dir)
        server = connect(
            url, models, model_dir, config.model_id, config.scenario, config.measure
        )
        return _evaluate(workspace, config, server, quick=args.quick)
    except IbenchError as error:
        _log(workspace, None, quick=args.quick, note=str(error))
        sys.stdout.write(f"no measurement: {error}\n")
        return 1


def _wait(url: str, limit_s: float, launcher: int | None) -> list[str]:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if launcher is not None and not is_alive(launcher):
            raise LaunchError("exited", "the launcher ended before its port answered")
        try:
            reply = httpx.get(f"{url}/v1/models", timeout=2.0)
            if reply.status_code == 200:
                return [m["id"] for m in reply.json()["data"]]
        except (httpx.HTTPError, ValueError, KeyError):
            pass
        time.sleep(0.05)
    raise LaunchError("never_ready", f"no answer within {limit_s:g} s")


def _evaluate(
    workspace: Path, config: EvaluatorConfig, server: Server, *, quick: bool
) -> int:
    tokenizer = ChatTokenizer(Path(config.model_dir))
    measured = measure_scenario(
        server,
        config.scenario,
        read_requests(workspace / "dev" / "requests.jsonl"),
        read_requests(workspace / "dev" / "warmup.jsonl"),
        config.measure,
        seed=config.development_seed,
        run_name=f"evaluate:{time.monotonic_ns()}",
        count_tokens=tokenizer.count_text,
        limit=config.quick_requests if quick else None,
    )
    accuracy = None if quick else _accuracy(workspace, config, server, tokenizer)
    _log(workspace, measured, quick=quick, accuracy=accuracy, note=measured.detail)
    for phase in measured.phases:
        sys.stdout.write(
            f"{phase.name}: {phase.completed}/{phase.requests} completed, TTFT p50 "
            f"{_ms(phase.ttft_p50_s)}, TPOT p50 {_ms(phase.tpot_p50_s)}, "
            f"{phase.request_rate_per_s:.3f} req/s\n"
        )
    line = {"objective": measured.objective, "accuracy": accuracy, "quick": quick}
    sys.stdout.write(json.dumps(line) + "\n")
    return 0 if measured.objective is not None else 1


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1e3:.2f} ms"


def _accuracy(
    workspace: Path, config: EvaluatorConfig, server: Server, tokenizer: ChatTokenizer
) -> float:
    questions = read_questions(workspace / "dev" / "questions.jsonl")
    answers = ask(
        server,
        questions,
        config.measure,
        concurrency=config.question_concurrency,
        count_tokens=tokenizer.count_text,
    )
    right = [
        a.failure is None and extract_answer(a.text, q.options) == q.gold
        for q, a in zip(questions, answers, strict=True)
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
