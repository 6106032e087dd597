from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ibench.errors import JudgeError
from ibench.gates.judge import Ruling, ask_judge
from ibench.records import Closed
from ibench.serving.processes import free_port

KEY = "sk-planted-secret"


def _ask(client: httpx.Client, url: str, key: str, evidence: str) -> Ruling:
    return ask_judge(
        client, url, "judge", key, evidence,
        instructions=Ruling.instructions, schema=Ruling,
    )  # fmt: skip


async def chat(request: Request) -> Response:
    body = await request.json()
    if request.headers["authorization"] != f"Bearer {KEY}":
        return JSONResponse({"error": "who are you"}, status_code=401)
    evidence = body["messages"][-1]["content"]
    if evidence == "broken":
        return Response("not json")
    says = {
        "good": '```json\n{"label": "clean", "reason": "nothing found"}\n```',
        "bad": '{"label": "violation", "reason": "fake chunk"}',
        "odd": "Hm",
        "negated": '{"label": "not clean"}',
        "more": '{"label": "clean", "score": 10}',
        "patch": 'Here: {"technique": "caching", "lines": 3}',
    }
    message = {"role": "assistant", "content": says[evidence]}
    return JSONResponse({"choices": [{"message": message}]})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    port = free_port()
    config = uvicorn.Config(app, port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}/v1"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(
    ("evidence", "label"), [("good", "clean"), ("bad", "violation")]
)
def test_labels(url: str, evidence: str, label: str) -> None:
    with httpx.Client() as client:
        assert _ask(client, url, KEY, evidence).label == label


@pytest.mark.parametrize(
    ("evidence", "key"),
    [
        ("odd", KEY),
        ("negated", KEY),
        ("more", KEY),
        ("broken", KEY),
        ("good", "no" + KEY),
    ],
)
def test_no_label_is_an_error_without_the_key(
    url: str, evidence: str, key: str
) -> None:
    with httpx.Client() as client, pytest.raises(JudgeError) as caught:
        _ask(client, url, key, evidence)
    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None


def test_an_unreachable_judge_is_an_error() -> None:
    with httpx.Client() as client, pytest.raises(JudgeError, match="not reached"):
        _ask(client, f"http://127.0.0.1:{free_port()}/v1", KEY, "good")


class Technique(Closed):
    """What another benchmark may ask its judge."""

    technique: str
    lines: int


def test_another_benchmark_brings_its_own_schema(url: str) -> None:
    with httpx.Client() as client:
        answer = ask_judge(
            client, url, "judge", KEY, "patch", instructions="What?", schema=Technique
        )
    assert (answer.technique, answer.lines) == ("caching", 3)
