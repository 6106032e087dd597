"""``ibench load``: any address, three files, one line for every mistake."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from ibench.__main__ import main
from ibench.load.arrivals import load_arrivals
from ibench.load.calibrate import null_server
from ibench.load.spec import LoadReport
from tests.faulty_server import faulty_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with null_server(ttft_s=0.02, tokens_per_s=500) as server:
        yield server.base_url


def _load(url: str, out: Path, *options: str) -> LoadReport:
    assert main(["load", url, "--out", str(out), *options]) == 0
    return LoadReport.model_validate_json((out / "summary.json").read_text())


def test_it_writes_requests_chunks_and_a_summary(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--concurrency", "4", "--requests", "12", "--output-tokens", "6"]
    report = _load(f"{url}/v1", tmp_path, *options, "--arrivals", "poisson:200")
    (phase,) = report.phases
    assert (phase.completed, phase.requests, phase.output_tokens) == (12, 12, 72)
    assert phase.client is not None
    assert phase.client.timestamp_source == "kernel"
    assert [c.when for c in phase.calibration] == ["before", "after"]
    assert report.model == "null"
    chunks = pd.read_parquet(tmp_path / "chunks.parquet")
    requests = pd.read_parquet(tmp_path / "requests.parquet")
    columns = ["request_id", "i", "t_recv_ns", "t_read_ns", "n_tokens", "text"]
    assert [c for c in chunks.columns if c != "phase"] == columns
    assert len(chunks) == 72
    assert (chunks.t_recv_ns <= chunks.t_read_ns).all()
    first = chunks[chunks.i == 0].set_index("request_id").t_recv_ns
    by_id = requests.set_index("request_id")
    assert (by_id.first_token_ns == first).all()
    assert set(requests.tokens_from) == {"usage"}
    offsets = load_arrivals(tmp_path / "arrivals-repeat-0.json")
    due = by_id.sort_index().scheduled_ns
    assert list(due - due.iloc[0]) == list(offsets)
    printed = capsys.readouterr().out
    assert "TTFT p50" in printed
    assert "error bar (before)" in printed
    assert printed.strip().endswith("summary.json")


def test_equal_seeds_send_equal_prompts_at_equal_times_with_other_nonces(
    tmp_path: Path,
) -> None:
    def sent(seed: int, out: str) -> tuple[list[str], str]:
        with faulty_server("good") as server:
            options = ["--requests", "3", "--no-calibrate", "--model", "faulty"]
            report = _load(
                server.base_url,
                tmp_path / out,
                *options,
                "--output-tokens",
                "8",
                "--seed",
                str(seed),
            )
            assert report.phases[0].completed == 3
            texts = [b["messages"][0]["content"] for b in server.bodies[-3:]]
            return texts, report.phases[0].arrivals_sha256

    first, again, other = sent(7, "a"), sent(7, "b"), sent(8, "c")
    assert first[1] == again[1]
    for ours, theirs, foreign in zip(first[0], again[0], other[0], strict=True):
        # Four marks each; the text between them is the same, and another seed's is not.
        assert ours != theirs
        assert _common(ours, theirs) >= len(ours.split()) - 8
        assert _common(ours, foreign) < len(ours.split()) / 2


def _common(one: str, other: str) -> int:
    """Words that two texts have in the same order."""
    matcher = difflib.SequenceMatcher(None, one.split(), other.split(), autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks())


@pytest.mark.measures
def test_a_server_against_itself_is_as_fast_as_itself(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = _load(
        url, tmp_path, "--against", url, "--repeats", "3", "--requests", "6",
        "--concurrency", "2", "--output-tokens", "8",
    )  # fmt: skip
    assert (len(report.phases), len(report.against)) == (3, 3)
    low, value, high = report.speedup["ttft"]
    assert low <= value <= high
    assert value == pytest.approx(1, abs=0.2)
    assert "speedup ttft:" in capsys.readouterr().out


@pytest.mark.measures
def test_it_stops_when_it_knows_enough(url: str, tmp_path: Path) -> None:
    options = ["--requests", "500", "--output-tokens", "2", "--stop-at", "0.05"]
    report = _load(url, tmp_path, *options, "--no-calibrate")
    (phase,) = report.phases
    assert 20 <= phase.requests < 500
    assert phase.stopped_early is not None
    assert phase.stopped_early.planned_requests == 500
    assert phase.ttft_p50_range_s is not None
    width = phase.ttft_p50_range_s.high - phase.ttft_p50_range_s.low
    assert width / 2 <= 0.1 * (phase.ttft_p50_s or 0)


def test_several_processes_and_the_user_space_client(url: str, tmp_path: Path) -> None:
    common = ["--requests", "8", "--concurrency", "4", "--output-tokens", "4"]
    two = _load(url, tmp_path / "p", *common, "--processes", "2", "--no-calibrate")
    assert two.phases[0].client is not None
    assert (two.phases[0].client.processes, two.phases[0].completed) == (2, 8)
    user = _load(url, tmp_path / "u", *common, "--client", "httpx", "--no-calibrate")
    assert user.phases[0].client is not None
    assert user.phases[0].client.timestamp_source == "user"
    assert user.phases[0].client.read_lag_p50_s is None


def test_failures_are_counted_and_the_files_written(tmp_path: Path) -> None:
    with faulty_server("status_500") as server:
        options = ["--model", "m", "--requests", "3", "--no-calibrate"]
        report = _load(server.base_url, tmp_path, *options)
    assert report.phases[0].failures == {"http_status": 3}
    assert report.phases[0].ttft_p50_s is None
    assert json.loads((tmp_path / "summary.json").read_text())["schema_version"] == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--arrivals", "poisson:x"], "poisson:x"),
        (["--arrivals", "replay:/nowhere.json"], "/nowhere.json"),
        (["--concurrency", "0"], "--concurrency"),
        (["--stop-at", "2"], "--stop-at"),
        (["--key-variable", "IBENCH_NO_SUCH_KEY"], "IBENCH_NO_SUCH_KEY"),
        (["--tokenizer", "/nowhere"], "/nowhere"),
    ],
)
def test_a_mistake_is_one_line(
    url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    named: str,
) -> None:
    assert main(["load", url, "--out", str(tmp_path), *options]) == 2
    error = capsys.readouterr().err.splitlines()
    assert named in error[-1]
    assert not (tmp_path / "summary.json").exists()


def test_nobody_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["load", "http://127.0.0.1:9", "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is the server up" in line
    with faulty_server("good") as server:
        assert main(["load", server.base_url, "--out", str(tmp_path)]) == 2
    assert "pass --model" in capsys.readouterr().err


def test_a_key_is_sent_and_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "sk-secret-0123")
    with faulty_server("good") as server:
        options = ["--model", "faulty", "--requests", "1", "--no-calibrate"]
        _load(
            server.base_url, tmp_path, *options, "--key-variable", "A_KEY",
            "--output-tokens", "8",
        )  # fmt: skip
        assert {h.get("authorization") for h in server.heads} == {
            "Bearer sk-secret-0123"
        }
    for path in tmp_path.iterdir():
        assert b"sk-secret" not in path.read_bytes()
