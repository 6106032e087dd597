"""The side by side of load clients: its arithmetic, its readers, one short run."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

import pytest

from ibench.errors import StageError
from ibench.load.calibrate import Truth
from ibench.load.clock import ClockMap, ClockReading
from perf import clients, peers
from perf.client_process import Usage, on_core, run_process
from perf.client_table import Point, Sample, tables
from perf.client_truth import Errors, Job, Report, Seen, compare
from perf.client_worker import Own
from perf.table import replace_block

MS = 1_000_000
POINT = Point(streams=4, tokens_per_s=200.0, tokens=8, requests=12)
# The wall clock is a million nanoseconds ahead.
CLOCKS = ClockMap(ClockReading(0, MS, 0), ClockReading(10_000 * MS, 10_001 * MS, 0))

AIPERF = """
{"metadata":{"session_num":1,"conversation_id":"session_000001","turn_index":0,
"request_start_ns":1795215490187653982,"request_end_ns":1795215490486683957,
"worker_id":"worker_dc1ed89d","benchmark_phase":"profiling","was_cancelled":false},
"metrics":{"request_latency":{"value":299.029975,"unit":"ms"},
"time_to_first_token":{"value":109.289554,"unit":"ms"},
"inter_chunk_latency":{"value":[9.650954,9.958773,9.991062],"unit":"ms"},
"output_sequence_length":{"value":4,"unit":"tokens"}}}
"""
AIPERF_FAILED = """
{"metadata":{"session_num":2,"conversation_id":"session_000002","turn_index":0,
"request_start_ns":1795215490187653982,"request_end_ns":1795215490486683957},
"metrics":{"error_request_count":{"value":1,"unit":"requests"}},
"error":{"code":500,"type":"Internal Server Error","message":""}}
"""
GUIDELLM = {
    "metadata": {"version": 1, "guidellm_version": "0.8.1"},
    "benchmarks": [
        {
            "requests": {
                "successful": [
                    {
                        "request_id": "9f48a4f0-b7c2-45f2-aa20-c70aa77574a6",
                        "response_id": "null-7",
                        "info": {
                            "status": "completed",
                            "timings": {
                                "request_start": 1795215384.8263798,
                                "first_request_iteration": 1795215384.9270859,
                                "first_token_iteration": 1795215384.9270859,
                                "last_token_iteration": 1795215385.1168642,
                                "request_iterations": 22,
                                "token_iterations": 20,
                            },
                        },
                        "time_to_first_token_ms": 100.70610046386719,
                    }
                ],
                "errored": [],
                "incomplete": [],
                "total": None,
            }
        }
    ],
}


def _truth(arrived_ms: int) -> Truth:
    sent = tuple((arrived_ms + ms) * MS for ms in (100, 110, 120))
    return Truth(arrived_ms * MS, sent)


def _seen(name: str, late_ms: float, arrived_ms: int) -> Seen:
    gaps = (10.0 * MS, 12.0 * MS)
    return Seen(name, (100 + late_ms) * MS, 3, gaps, start_ns=arrived_ms * MS)


def _sample(client: str, bias_ms: float) -> Sample:
    errors = Errors(bias_ms, 2 * bias_ms, bias_ms, bias_ms, bias_ms, None, 0, 100, 4)
    return Sample(client, POINT, 0, errors, 2.0, 0.001, None, 10.0, 1.0, 0.0)


def test_errors_are_measured_minus_true() -> None:
    truth = {"a": _truth(0), "b": _truth(1000)}
    seen = [_seen("b", 3.0, 1000), _seen("a", 1.0, 0)]
    errors = compare(Report(seen), truth, 1, CLOCKS)
    assert errors.bias_mean_ms == pytest.approx(2.0)
    assert errors.bias_p99_ms == pytest.approx(2.98)
    assert errors.error_p99_ms == pytest.approx(2.98)
    assert (errors.settled_mean_ms, errors.settled_p99_ms) == pytest.approx((3.0, 3.0))
    # The last chunks are 3 and 5 ms late.
    assert errors.chunk_p99_ms == pytest.approx(4.9)
    assert (errors.lost, errors.chunks, errors.in_flight) == (0, 6, 1)


def test_a_wall_clock_start_is_moved_to_the_truths_clock() -> None:
    truth = {"a": _truth(10), "b": _truth(20)}
    seen = [
        Seen(name, 100.0 * MS, 3, (10.0 * MS, 10.0 * MS), None, (at + 1) * MS)
        for name, at in (("a", 10), ("b", 20))
    ]
    errors = compare(Report(seen), truth, 1, CLOCKS)
    assert errors.chunk_p99_ms == pytest.approx(0.0, abs=1e-6)
    assert errors.in_flight == 2


def test_a_chunk_or_a_request_that_was_not_seen_is_lost() -> None:
    truth = {"a": _truth(0), "b": _truth(1000), "c": _truth(2000)}
    short = _seen("b", 0.0, 1000)._replace(chunks=2, gaps_ns=(10.0 * MS,))
    unknown = _seen("z", 50.0, 0)
    errors = compare(Report([_seen("a", 0.0, 0), short, unknown]), truth, 1, CLOCKS)
    assert errors.lost == 1 + 3
    assert errors.bias_mean_ms == pytest.approx(0.0)


def test_a_client_without_chunk_times_has_no_chunk_error() -> None:
    truth = {"a": _truth(0), "b": _truth(1000)}
    seen = [Seen(name, 100.0 * MS, 3, None) for name in truth]
    errors = compare(Report(seen), truth, 1, CLOCKS)
    assert errors.chunk_p99_ms is None
    assert errors.lost == 0


def test_aiperf_records_name_the_body_that_was_sent() -> None:
    lines = [text.replace("\n", "") for text in (AIPERF, AIPERF_FAILED)]
    (seen,) = peers.aiperf_seen(lines)
    assert seen.name == "n1"
    assert seen.ttft_ns == pytest.approx(109_289_554)
    assert seen.chunks == 4
    assert seen.gaps_ns == pytest.approx((9_650_954, 9_958_773, 9_991_062))
    assert (seen.start_ns, seen.start_wall_ns) == (None, 1795215490187653982)


def test_guidellm_reports_name_the_answer() -> None:
    (seen,) = peers.guidellm_seen(GUIDELLM)
    assert seen.name == "7"
    assert seen.ttft_ns == pytest.approx(100_706_100, abs=500)
    assert (seen.chunks, seen.gaps_ns) == (20, None)


def test_peers_get_the_same_prompts_and_lengths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_tokenizer", lambda: "tokenizer")
    job = Job("http://127.0.0.1:1", 4, 6, 16, tmp_path)
    words = peers.Aiperf().command(job)
    assert words[words.index("--concurrency") + 1] == "4"
    bodies = (tmp_path / "bodies.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(b)["user"] for b in bodies] == [f"n{i}" for i in range(6)]
    sent = {
        (b["messages"][0]["content"], b["max_tokens"]) for b in map(json.loads, bodies)
    }
    words = peers.Guidellm().command(job)
    assert "kind=concurrent,streams=4" in words
    rows = (tmp_path / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    asked = {(r["prompt"], r["output_tokens_count"]) for r in map(json.loads, rows)}
    assert len(rows) == 6
    assert asked == sent


def test_a_peers_environment_is_one_line() -> None:
    line = peers.summary("aiperf", ["aiofiles==25.1.0", "aiperf==0.13.0"])
    assert line.startswith("aiperf==0.13.0, 2 packages of digest ")


def test_processor_time_between_two_instants_is_interpolated() -> None:
    usage = Usage(1.0, 1.0, 1.0, [(0, 0), (10, 10 * 10**9), (20, 10 * 10**9)])
    assert usage.between_s(5, 10) == pytest.approx(5.0)
    assert usage.between_s(5, 15) == pytest.approx(5.0)
    assert usage.between_s(-5, 99) == pytest.approx(10.0)


def test_a_process_is_measured_with_its_children(tmp_path: Path) -> None:
    child = "sum(range(10**7)); b = bytearray(2**26)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{child}'])"
    usage = run_process([sys.executable, "-c", code], tmp_path, tmp_path / "log", 60.0)
    assert usage.cpu_s > 0
    assert usage.peak_mib > 64
    assert usage.course == sorted(usage.course)


def test_a_client_that_fails_or_hangs_is_a_stage_error(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(StageError, match=r"ended with 3: why"):
        run_process(["sh", "-c", "echo why; exit 3"], tmp_path, log, 60.0)
    with pytest.raises(StageError, match=r"ended with -9"):
        run_process(["sh", "-c", "sleep 60 & wait"], tmp_path, log, 0.1)


def test_a_core_is_given_back() -> None:
    before = os.sched_getaffinity(0)
    with on_core(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_tables_tell_medians_multiples_and_limits() -> None:
    point = POINT._replace(streams=64)
    samples = [
        sample._replace(point=point)
        for sample in (
            _sample("ibench kernel", 0.01),
            _sample("ibench kernel", 0.03),
            _sample("ibench kernel", 0.02),
            _sample("aiperf", -0.5),
            _sample("guidellm", 0.1),
        )
    ]
    text = tables(samples)
    assert "**64 streams at 200 tokens/s each** (12 requests of 8 tokens a run)" in text
    assert "| ibench kernel | 0.02 (0.01 to 0.03) | 0.04 (0.02 to 0.06) |" in text
    assert "| 64 | aiperf | 25 | 25 |" in text
    assert "| 64 | TTFT bias mean, ms | at most 0.1 | 0.02 | yes |" in text
    assert "| 64 | chunk time error p99, ms | at most 0.1 | - | unknown |" in text
    guidellm = "guidellm's TTFT bias mean, multiple of ours | at least 20 | 5 | NO |"
    assert guidellm in text


def test_only_the_marked_block_of_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "a\n<!-- bench-client: begin -->\nold\n<!-- bench-client: end -->\nb\n",
        encoding="utf-8",
    )
    replace_block(path, "bench-client", "new")
    replace_block(path, "bench-client", "newer")
    assert path.read_text(encoding="utf-8") == (
        "a\n<!-- bench-client: begin -->\n\nnewer\n\n<!-- bench-client: end -->\nb\n"
    )
    path.write_text("no marks", encoding="utf-8")
    with pytest.raises(StageError, match="marks"):
        replace_block(path, "bench-client", "new")


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.parametrize("kind", ["kernel", "httpx"])
def test_a_run_of_our_clients_gives_every_number(kind: str) -> None:
    client = Own("kernel" if kind == "kernel" else "httpx")
    sample = clients.measure(client, POINT, 0, clients.cores())
    errors = sample.errors
    assert (errors.lost, errors.chunks, errors.in_flight) == (0, 12 * 8, 4)
    assert errors.chunk_p99_ms is not None
    assert all(math.isfinite(v) for v in errors if v is not None)
    assert sample.loop_cpu_s is not None
    assert 0 < sample.loop_cpu_s <= sample.cpu_s < sample.run_cpu_s
    assert sample.peak_mib > 0


@pytest.mark.slow
@pytest.mark.measures
def test_the_command_prints_and_writes_the_table(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(clients, "POINTS", {4: POINT})
    monkeypatch.setattr(clients, "TRIES", 1)
    monkeypatch.setattr(clients, "QUIET_S", 0.0)
    page, runs = tmp_path / "page.md", tmp_path / "made" / "runs.json"
    page.write_text(
        "<!-- bench-client: begin --><!-- bench-client: end -->", encoding="utf-8"
    )
    arguments = ["--trials", "2", "--clients", "kernel", "httpx"]
    arguments += ["--write", str(page), "--samples", str(runs)]
    assert clients.main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.strip() in page.read_text(encoding="utf-8")
    assert "- kernel: " in printed
    assert "| 4 | ibench httpx |" in printed
    written = json.loads(runs.read_text(encoding="utf-8"))["samples"]
    # The order turns: the second trial begins with the other client.
    assert [(s["trial"], s["client"]) for s in written] == [
        (0, "ibench kernel"),
        (0, "ibench httpx"),
        (1, "ibench httpx"),
        (1, "ibench kernel"),
    ]
    assert all(s["errors"]["lost"] == 0 for s in written)
