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
from ibench.gates.judge import ask_judge
from ibench.serving.processes import free_port

KEY = "sk-planted-secret"


async def chat(request: Request) -> Response:
    body = await request.json()
    if request.headers["authorization"] != f"Bearer {KEY}":
        return JSONResponse({"error": "who are you"}, status_code=401)
    evidence = body["messages"][-1]["content"]
    if evidence == "broken":
        return Response("not json")
    says = {
        "good": "CLEAN. Nothing found.",
        "bad": "Violation: fake chunk",
        "odd": "Hm",
        "negated": "Not clean",
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
        assert ask_judge(client, url, "judge", KEY, evidence) == label


@pytest.mark.parametrize(
    ("evidence", "key"),
    [("odd", KEY), ("negated", KEY), ("broken", KEY), ("good", "wrong-" + KEY)],
)
def test_no_label_is_an_error_without_the_key(
    url: str, evidence: str, key: str
) -> None:
    with httpx.Client() as client, pytest.raises(JudgeError) as caught:
        ask_judge(client, url, "judge", key, evidence)
    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None


def test_an_unreachable_judge_is_an_error() -> None:
    with httpx.Client() as client, pytest.raises(JudgeError, match="not reached"):
        ask_judge(client, f"http://127.0.0.1:{free_port()}/v1", "judge", KEY, "good")
