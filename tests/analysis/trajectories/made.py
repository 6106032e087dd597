"""Made runs of every layout, small."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ibench.analysis.trajectories.discover import find_runs
from ibench.analysis.trajectories.labels import Labelled, label_run, problem_of

Row = dict[str, Any]

METRICS: Row = {
    "scenario": "A",
    "profiles": {"burst": {"ttft": {"p50": 0.05}, "tpot": {"p50": 0.01}}},
    "quality_check": {"pass": True},
}


def say(text: str) -> Row:
    return {"role": "assistant", "type": "text", "text": text}


def call(command: str, tool: str = "Bash") -> Row:
    return {
        "role": "assistant",
        "type": "tool_call",
        "tool_name": tool,
        "tool_input": {"command": command},
    }


def result(text: str, **meta: object) -> Row:
    return {"role": "tool", "type": "tool_result", "tool_output": text, "meta": meta}


SCRIPT = "cat > start_server.sh <<'E'\nexec vllm serve m --max-num-seqs 64\nE"
TURNS: tuple[Row, ...] = (
    {"role": "user", "type": "text", "text": "Serve it with quantization."},
    say("Prefix caching may help."),
    call("ls -la"),
    result("task.md"),
    call("pip install vllm"),
    result("Successfully installed vllm"),
    call(SCRIPT),
    result(""),
    call("bash start_server.sh > server.log 2>&1 &"),
    result(""),
    call("sleep 30; tail server.log"),
    result("INFO: Application startup complete."),
    call("python evaluate.py"),
    result('{"profiles": {"burst": {"ttft": {"p50": 0.05}}}}'),
    say("Done."),
)


def lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps({"i": n, **r}) + "\n" for n, r in enumerate(rows))


def public_run(
    folder: Path,
    rows: Sequence[Row] = TURNS,
    *,
    metrics: Row | None = METRICS,
    **meta: object,
) -> Path:
    folder.mkdir(parents=True)
    known = {"agent": "made", "scenario": "A", "budget_hours": 2, "harness": "claude"}
    (folder / "run_meta.json").write_text(json.dumps({**known, **meta}))
    (folder / "trace.jsonl").write_text(lines(rows))
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def atif_document() -> Row:
    return {
        "schema_version": "ATIF-v1.7",
        "session_id": "s1",
        "agent": {"name": "made", "version": "1", "model_name": "m"},
        "extra": {"scenario": "c", "outcome": "ok", "budget_s": 60, "objective": 4.0},
        "steps": [
            {
                "step_id": 1,
                "source": "user",
                "message": "Serve it.",
                "timestamp": "2026-04-12T10:00:00Z",
            },
            {
                "step_id": 2,
                "source": "agent",
                "timestamp": "2026-04-12T10:00:05.500Z",
                "message": [{"type": "text", "text": "Now measure."}],
                "reasoning_content": "n-gram speculation?",
                "tool_calls": [
                    {
                        "tool_call_id": "a",
                        "function_name": "bash",
                        "arguments": {"command": "./test_server.sh"},
                    }
                ],
                "observation": {
                    "results": [
                        {"source_call_id": "a", "content": '{"objective": 4.0}'}
                    ]
                },
                "metrics": {"prompt_tokens": 10},
                "new_field": {"of": "a later version"},
            },
        ],
    }


def session(folder: Path) -> Path:
    stage = folder / "cpu" / "c" / "made" / "21-1337" / "submission"
    workspace = stage / "workspace"
    workspace.mkdir(parents=True)
    (workspace / "session.json").write_text('{"started_ns": 0, "deadline_ns": 1}')
    launcher = "export OMP_NUM_THREADS=2\nexec transformers serve m --port 1\n"
    (workspace / "start_server.sh").write_text(launcher)
    rows = [
        {"t_s": 5.0, "quick": True, "objective": 7.0, "launcher_sha256": "ab" * 32},
        {"t_s": 9.0, "quick": False, "objective": None, "launcher_sha256": "cd" * 32},
    ]
    text = "".join(json.dumps(r) + "\n" for r in rows)
    (workspace / "evaluations.jsonl").write_text(text)
    (stage / "transcript.log").write_text("trying chunked prefill\n\ndone\n")
    record = {
        "record": {
            "result": {"method": "made", "budget_s": 40.0, "used_s": 10.0},
            "provenance": {"parameters": {"scenario": "c", "seeds": "21-1337"}},
        }
    }
    (stage / "record.json").write_text(json.dumps(record))
    gating = stage.parent / "gating"
    gating.mkdir()
    verdict = {"outcome": "ok", "objective": 8.0, "baseline_objective": 4.0}
    (gating / "record.json").write_text(json.dumps({"record": {"result": verdict}}))
    return stage


def labelled_runs(folder: Path, problems: list[str]) -> Iterator[Labelled]:
    """What the rules say of every run below a folder that has a readable event."""
    found = find_runs(folder)
    problems.extend(found.problems)
    for files in found.runs:
        try:
            labelled = label_run(files, problems)
        except Exception as error:  # noqa: BLE001 (as the workbench does)
            problems.append(problem_of(files, error))
            continue
        if labelled.events:
            yield labelled
