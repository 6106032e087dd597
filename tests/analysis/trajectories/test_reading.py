"""Every layout, and everything that can be wrong with one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibench.analysis.trajectories.discover import find_runs
from ibench.analysis.trajectories.events import Event
from ibench.analysis.trajectories.labels import Labelled, label_run
from ibench.analysis.trajectories.public import fetch, objective_of
from ibench.analysis.trajectories.reading import HEAD, TAIL, Cutter, Item, number_events
from ibench.analysis.trajectories.scaffolds import items_of
from ibench.errors import OfflineError, UserError
from tests.analysis.trajectories import made


def read_all(folder: Path) -> tuple[list[Labelled], list[str]]:
    problems: list[str] = []
    return list(made.labelled_runs(folder, problems)), problems


def one(folder: Path) -> tuple[Labelled, list[str]]:
    runs, problems = read_all(folder)
    assert len(runs) == 1
    return runs[0], problems


def test_public_run(tmp_path: Path) -> None:
    made.public_run(tmp_path / "runs" / "run_0001")
    labelled, problems = one(tmp_path)
    assert problems == []
    run, facts = labelled.run, labelled.facts
    assert (run.run_id, run.scenario, run.outcome) == ("run_0001", "A", "ok")
    assert run.objective == pytest.approx(20)
    assert run.speedup == pytest.approx(20 / 1.236)
    assert facts.engine_shipped == "vllm"
    assert facts.launches.events == (8,)
    assert facts.evaluations.events == (12,)
    assert facts.shipped_measured is True
    assert [e.family for e in labelled.episodes] == [
        "inspecting",
        "installing",
        "launching",
        "monitoring",
        "evaluating",
    ]


def test_the_prompt_is_no_mention(tmp_path: Path) -> None:
    made.public_run(tmp_path / "run_0001")
    facts = one(tmp_path)[0].facts
    named = {t.name for t in facts.techniques if t.mentioned.n}
    assert named == {"prefix_caching"}


def test_atif(tmp_path: Path) -> None:
    (tmp_path / "trajectory.json").write_text(json.dumps(made.atif_document()))
    labelled, problems = one(tmp_path)
    assert problems == []
    assert labelled.run.outcome == "ok"
    assert [e.kind for e in labelled.events] == [
        "message",
        "reasoning",
        "message",
        "tool_call",
        "tool_result",
    ]
    assert labelled.events[-1].t_s == 5.5
    assert labelled.events[-1].call == 3
    assert labelled.facts.best_seen is not None
    assert labelled.facts.best_seen.value == 4


def test_session(tmp_path: Path) -> None:
    made.session(tmp_path)
    labelled, problems = one(tmp_path)
    assert problems == []
    assert labelled.run.run_id == "cpu-c-made-21-1337"
    assert labelled.run.speedup == 2
    assert [e.t_s for e in labelled.events if e.kind == "tool_result"] == [5, 9]
    facts = labelled.facts
    assert facts.engine_shipped == "transformers"
    assert (facts.launches.n, facts.distinct_configs.n) == (2, 2)
    assert facts.shipped_measured is False
    assert facts.best_seen is not None
    assert facts.best_seen.is_quick


CLAUDE = [
    {"type": "system", "subtype": "init", "session_id": "s", "uuid": "u"},
    {
        "type": "assistant",
        "message": {
            "content": [
                {"type": "thinking", "thinking": "FP8?"},
                {"type": "text", "text": "Looking."},
                {
                    "type": "tool_use",
                    "id": "t",
                    "name": "Bash",
                    "input": {"command": "ls"},
                },
            ]
        },
    },
    {
        "type": "user",
        "message": {
            "content": [{"type": "tool_result", "tool_use_id": "t", "content": "a"}]
        },
    },
]
CODEX = [
    {"type": "thread.started", "thread_id": "x"},
    {"type": "item.completed", "item": {"type": "reasoning", "text": "FP8?"}},
    {"type": "item.completed", "item": {"type": "agent_message", "text": "Looking."}},
    {
        "type": "item.completed",
        "item": {
            "id": "t",
            "type": "command_execution",
            "command": "bash -lc ls",
            "aggregated_output": "a",
            "exit_code": 0,
        },
    },
]
GEMINI = [
    {"type": "init", "timestamp": "2026-04-12T10:00:00Z"},
    {
        "type": "message",
        "role": "assistant",
        "content": "Looking.",
        "timestamp": "2026-04-12T10:00:01Z",
    },
    {
        "type": "tool_use",
        "tool_name": "run_shell_command",
        "tool_id": "t",
        "parameters": {"command": "ls"},
        "timestamp": "2026-04-12T10:00:02Z",
    },
    {
        "type": "tool_result",
        "tool_id": "t",
        "status": "success",
        "output": "a",
        "timestamp": "2026-04-12T10:00:03Z",
    },
]
OPENCODE = [
    {"type": "text", "timestamp": 1775988000000, "part": {"text": "Looking."}},
    {
        "type": "tool_use",
        "timestamp": 1775988002000,
        "part": {
            "tool": "bash",
            "callID": "t",
            "state": {"status": "completed", "input": {"command": "ls"}, "output": "a"},
        },
    },
]


@pytest.mark.parametrize(
    "rows", [CLAUDE, CODEX, GEMINI, OPENCODE], ids=["claude", "codex", "gemini", "oc"]
)
def test_raw_transcript_of_a_scaffold(rows: list[Any], tmp_path: Path) -> None:
    text = "Welcome to the agent\n" + "".join(json.dumps(r) + "\n" for r in rows)
    (tmp_path / "solve_out_run1.txt").write_text(text)
    labelled, problems = one(tmp_path)
    assert problems[0].endswith(
        "1 line skipped, not a JSON object (first: line 1 of solve_out_run1.txt)"
    )
    last = labelled.events[-1]
    assert (last.kind, last.text) == ("tool_result", "a")
    command = labelled.events[last.call or 0]
    assert command.kind == "tool_call"
    assert command.text.endswith("ls")
    assert any(e.text == "Looking." and e.source == "agent" for e in labelled.events)


def test_the_diff_behind_a_codex_result_is_no_output(tmp_path: Path) -> None:
    output = "ok\nfile update:\ndiff --git a/x b/x\n+TTFT p50 5 ms\n"
    made.public_run(tmp_path / "run_1", [made.call("true"), made.result(output)])
    labelled, _ = one(tmp_path)
    assert labelled.events[1].text == "ok"
    assert labelled.facts.measurements == ()


def test_broken_lines_cost_one_line(tmp_path: Path) -> None:
    trace = made.public_run(tmp_path / "run_1") / "trace.jsonl"
    bad = b'{"i": 1, "role"\n\xff\xfe\n[1, 2]\n' + b"[" * 100_000 + b"\n\n"
    trace.write_bytes(bad + trace.read_bytes() + b'{"type": 7}\n')
    labelled, problems = one(tmp_path)
    assert len(labelled.events) == len(made.TURNS)
    assert problems == [
        "run_1: 4 lines skipped, not a JSON object (first: line 1 of trace.jsonl)",
        "run_1: 1 rows of a form no scaffold writes, left out",
    ]


def test_unknown_tools_are_named_once(tmp_path: Path) -> None:
    rows = [made.call("look", "Frobnicate"), made.result("")] * 3
    made.public_run(tmp_path / "run_1", rows)
    labelled, problems = one(tmp_path)
    assert problems == ["run_1: unknown tool 'Frobnicate', 3 calls kept as text"]
    assert len(labelled.episodes) == 1


def test_a_tool_output_of_50_mb(tmp_path: Path) -> None:
    text = '{"objective": 1.5}' + "x" * 50_000_000 + '{"objective": 2.5}'
    rows = [made.call("python evaluate.py"), made.result(text)]
    made.public_run(tmp_path / "run_1", rows)
    labelled, problems = one(tmp_path)
    assert problems == []
    event = labelled.events[1]
    assert (event.length, len(event.text)) == (len(text), HEAD + TAIL)
    assert event.is_cut
    assert [m.value for m in labelled.facts.measurements] == [2.5]


def test_a_run_of_many_large_outputs_keeps_little() -> None:
    items = (Item("tool_result", "tool", "y" * 9000) for _ in range(100))
    events = list(number_events("r", items, Cutter(limit=90_000)))
    assert sum(len(e.text) for e in events) < 90_000 + 9_000 + 100 * 400
    assert {e.length for e in events} == {9000}


def test_no_timestamps_are_said_once_and_unknown(tmp_path: Path) -> None:
    document = made.atif_document()
    for step in document["steps"]:
        step.pop("timestamp")
    (tmp_path / "t.json").write_text(json.dumps(document))
    labelled, problems = one(tmp_path)
    assert problems == [f"{labelled.run.run_id}: no timestamps, times stay unknown"]
    assert {e.t_s for e in labelled.events} == {None}
    assert {e.t_start_s for e in labelled.episodes} == {None}


def test_empty_runs_and_double_ids_leave_the_rest(tmp_path: Path) -> None:
    (tmp_path / "runs" / "run_0000").mkdir(parents=True)
    (made.public_run(tmp_path / "runs" / "run_0001") / "trace.jsonl").write_text("")
    (made.public_run(tmp_path / "runs" / "run_0002") / "trace.jsonl").unlink()
    made.public_run(tmp_path / "runs" / "run_0003")
    made.public_run(tmp_path / "runs" / "run_0004", anon_id="run_0003")
    runs, problems = read_all(tmp_path)
    assert [r.run.run_id for r in runs] == ["run_0003"]
    assert problems == [
        "runs/run_0000: a run folder without a trajectory",
        "runs/run_0001/trace.jsonl: an empty trajectory",
        "runs/run_0002: a run folder without a trajectory",
        "runs/run_0004/trace.jsonl: run id 'run_0003' is taken by "
        "runs/run_0003/trace.jsonl; left out",
    ]


def test_a_folder_that_is_none() -> None:
    with pytest.raises(UserError, match="no such folder"):
        find_runs(Path("/nowhere/at/all"))


def test_an_id_is_safe_as_a_file_name(tmp_path: Path) -> None:
    made.public_run(tmp_path / "run_1", anon_id="../../etc/passwd")
    assert one(tmp_path)[0].run.run_id == "etc-passwd"


def test_half_a_character_can_be_stored(tmp_path: Path) -> None:
    folder = made.public_run(tmp_path / "run_1", [])
    row = '{"role": "assistant", "type": "text", "text": "a\\ud800b"}\n'
    (folder / "trace.jsonl").write_text(row)
    assert one(tmp_path)[0].events[0].text == "a?b"


@pytest.mark.parametrize("error", [OSError("no route"), ValueError("offline")])
def test_the_data_set_out_of_reach(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(OfflineError, match="not reachable and not cached") as caught:
        fetch(revision="a" * 40)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("revision", [None, "main", "a" * 39])
def test_a_branch_is_no_pin(revision: str | None) -> None:
    with pytest.raises(UserError, match="is no commit"):
        fetch(revision=revision)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"metrics": {"error": "x", "profiles": {}}}, "unreachable"),
        ({"metrics": None}, "unreachable"),
        ({"metrics": {**made.METRICS, "quality_check": {"pass": False}}}, "quality"),
        ({"invalid_or_reward_hack": True}, "integrity"),
        (
            {
                "metrics": {
                    **made.METRICS,
                    "profiles": {"burst": {"ttft": {"p50": 0.001}}},
                }
            },
            "integrity",
        ),
    ],
)
def test_outcome(change: dict[str, Any], outcome: str, tmp_path: Path) -> None:
    made.public_run(tmp_path / "run_1", **change)
    run = one(tmp_path)[0].run
    assert run.outcome == outcome
    assert run.speedup is None


def test_objectives() -> None:
    rates = [{"request_throughput_req_per_s": r} for r in (1.0, 2.0, 4.0)]
    profiles = dict(zip(("burst", "poisson", "constant"), rates, strict=True))
    assert objective_of({"profiles": profiles}, "C") == pytest.approx(2)
    burst = {"ttft": {"p50": 0.5}, "tpot": {"p50": 0.1}}
    burst |= {"request_throughput_req_per_s": 0.05}  # type: ignore[dict-item]
    assert objective_of({"profiles": {"burst": burst}}, "D") == pytest.approx(1)
    assert objective_of({"profiles": {"burst": {}}}, "B") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=6), x),
    max_leaves=8,
)
NAMES = "type role text tool_name tool_input tool_output meta part item message"
KEYS = st.sampled_from([*NAMES.split(), "timestamp", "tool_id", "parameters", "output"])
WORDS = st.sampled_from(["tool_call", "tool_result", "assistant", "item.completed"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, WORDS | JSON, max_size=6))
def test_no_row_raises(row: dict[str, Any]) -> None:
    items = items_of(row)
    events = list(number_events("r", items or ()))
    assert all(isinstance(e, Event) for e in events)


TURN: st.SearchStrategy[Callable[[str], dict[str, Any]]] = st.sampled_from(
    [made.say, made.call, made.result]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TURN, st.text(max_size=30)), min_size=1, max_size=12))
def test_reading_alone_or_among_others_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, turns: list[Any]
) -> None:
    root = tmp_path_factory.mktemp("runs")
    rows = [make(text) for make, text in turns]
    made.public_run(root / "a" / "run_1", rows)
    made.public_run(root / "b" / "run_0")
    made.public_run(root / "b" / "run_1", rows)
    alone, _ = one(root / "a")
    among = read_all(root / "b")[0][1]
    assert among.events == alone.events
    assert among.episodes == alone.episodes
    again = label_run(find_runs(root / "a").runs[0], [])
    assert again.facts == alone.facts
