"""The reference server, through its own launcher."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ibench import REPOSITORY
from ibench.params.engines import Engine
from ibench.records import LaunchOutcome
from ibench.serving.engines import launcher_script
from ibench.serving.launch import LAUNCHER, RunningServer, launch
from ibench.serving.processes import free_port
from ibench.serving.reference_generate import StopFilter
from ibench.serving.sandbox import detect

ENGINE = REPOSITORY / "params" / "engines" / "reference.yaml"
MESSAGES = [{"role": "user", "content": "Tell me about the sea."}]


@pytest.fixture(scope="module")
def server(
    model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    root = tmp_path_factory.mktemp("reference")
    folder = root / "submission"
    folder.mkdir()
    engine = Engine.model_validate(yaml.safe_load(ENGINE.read_text()))
    (folder / LAUNCHER).write_text(launcher_script(engine, {"threads": 1}))
    (folder / LAUNCHER).chmod(0o755)
    with launch(
        folder,
        port=free_port(),
        model_dir=model_dir,
        model_id="embedded",
        log_path=root / "log",
        ready_timeout_s=60,
        sandbox_kind=detect(),
    ) as running:
        assert running.launch.outcome == LaunchOutcome.READY, running.launch
        yield running


def _post(server: RunningServer, **fields: Any) -> httpx.Response:
    body = {"model": "embedded", "messages": MESSAGES, "max_tokens": 12, **fields}
    url = f"{server.base_url}/v1/chat/completions"
    return httpx.post(url, json=body, timeout=60)


def _events(server: RunningServer, **fields: Any) -> list[dict[str, Any]]:
    answer = _post(server, stream=True, **fields)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def _text(events: list[dict[str, Any]]) -> str:
    choices = [c for e in events for c in e["choices"]]
    return "".join(c["delta"].get("content", "") for c in choices)


@pytest.mark.slow
def test_models(server: RunningServer) -> None:
    assert server.launch.served_models == ("embedded",)


@pytest.mark.slow
def test_stream_has_one_chunk_per_token_and_exact_usage(server: RunningServer) -> None:
    options = {"include_usage": True}
    events = _events(server, ignore_eos=True, stream_options=options, temperature=0.7)
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == 12
    assert events[-2]["choices"][0]["finish_reason"] == "length"
    steps = len(events) - 3
    assert 12 <= steps <= 13  # a held-back end adds one


@pytest.mark.slow
def test_greedy_equals_itself_streaming_or_not(server: RunningServer) -> None:
    whole = _post(server, temperature=0).json()
    again = _events(server, temperature=0)
    assert whole["choices"][0]["message"]["content"] == _text(again)
    assert whole["usage"]["completion_tokens"] <= 12
    assert all("usage" not in event for event in again)


@pytest.mark.slow
def test_seed_repeats_and_differs(server: RunningServer) -> None:
    def draw(seed: int) -> str:
        fields = {"temperature": 1.0, "seed": seed, "ignore_eos": True}
        return _text(_events(server, max_tokens=32, **fields))

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
def test_stop_text_ends_the_answer(server: RunningServer, stream: bool) -> None:
    fields = {"temperature": 0, "max_tokens": 32, "ignore_eos": True}
    full = _text(_events(server, **fields))
    stop = full[len(full) // 2 :][:3]
    expected = full[: full.find(stop)]
    if stream:
        events = _events(server, stop=stop, **fields)
        assert _text(events) == expected
        assert events[-1]["choices"][0]["finish_reason"] == "stop"
    else:
        choice = _post(server, stop=[stop], **fields).json()["choices"][0]
        assert choice["message"]["content"] == expected
        assert choice["finish_reason"] == "stop"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "other"}, 404, "model"),
        ({"messages": []}, 400, "messages"),
        ({"messages": None}, 400, "messages"),
        ({"max_tokens": "many"}, 400, "max_tokens"),
        ({"temperature": -1}, 400, "temperature"),
        ({"max_tokens": 10**6}, 400, "messages"),
    ],
)
def test_errors(
    server: RunningServer, fields: dict[str, Any], status: int, param: str
) -> None:
    answer = _post(server, **fields)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param


@pytest.mark.slow
def test_bad_json(server: RunningServer) -> None:
    url = f"{server.base_url}/v1/chat/completions"
    answer = httpx.post(url, content=b"{", timeout=10)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_the_model(
    server: RunningServer, stream: bool
) -> None:
    body = {"model": "embedded", "messages": MESSAGES, "max_tokens": 1500}
    body |= {"ignore_eos": True, "stream": stream}
    url = f"{server.base_url}/v1/chat/completions"
    start = time.monotonic()
    with httpx.Client(timeout=httpx.Timeout(60, read=0.5)) as client:
        if stream:
            with client.stream("POST", url, json=body) as answer:
                next(answer.iter_raw())
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post(url, json=body)
    assert _post(server, max_tokens=2).status_code == 200
    assert time.monotonic() - start < 2.5


@given(
    text=st.text("ab", max_size=30),
    stops=st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    step=st.integers(1, 3),
)
def test_stop_filter_against_the_whole_text(
    text: str, stops: list[str], step: int
) -> None:
    held = StopFilter(tuple(stops))
    shown = ""
    for at in range(0, len(text), step):
        shown += held.push(text[at : at + step])
        if held.stopped:
            break
    shown += held.flush()
    read = text[: at + step] if held.stopped else text
    found = [f for s in stops if (f := read.find(s)) >= 0]
    assert held.stopped == bool(found)
    assert shown == (text[: min(found)] if found else text)
