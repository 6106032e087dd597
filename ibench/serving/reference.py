"""The baseline: an OpenAI-compatible server around plain PyTorch ``generate``.

It answers one request at a time; others wait their turn. What the original's baseline
lacked is kept to the letter here: output lengths, ``ignore_eos``, seeds, and token
counts in ``usage`` (reference, section 11 and defect 3).

Run it as ``python -m ibench.serving.reference --model DIR --served-model-name ID``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ibench.serving.reference_generate import DecodeStep, Finish, Model, Sampling

__all__ = ["ChatRequest", "ReferenceServer", "main"]


class _Message(BaseModel):
    model_config = ConfigDict(strict=True)
    role: Literal["system", "user", "assistant"]
    content: str


class _StreamOptions(BaseModel):
    model_config = ConfigDict(strict=True)
    include_usage: bool = False
    continuous_usage_stats: bool = False


class ChatRequest(BaseModel):
    """The part of a chat completion request that is honoured; the rest is ignored."""

    model_config = ConfigDict(strict=True)
    model: str
    messages: Annotated[list[_Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    n: Literal[1] = 1
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None
    ignore_eos: bool = False


class _RequestError(Exception):
    """A refused request, as the client sees it."""

    def __init__(
        self, status: int, message: str, param: str | None = None, code: str = "invalid"
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


class _Work(NamedTuple):
    """One accepted request."""

    id: str
    created: int
    prompt: list[int]
    sampling: Sampling
    usage: _StreamOptions


class ReferenceServer:
    """Routes over one model.

    Args:
        model: what answers.
        name: model id that is listed and accepted.
    """

    def __init__(self, model: Model, name: str) -> None:
        """Make the one thread in which answers are generated, in order of arrival."""
        self._model, self._name = model, name
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._ids = count()

    def app(self) -> Starlette:
        """Build the web application."""
        return Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/health", self._health),
            ]
        )

    async def _health(self, _: Request) -> Response:
        return Response()

    async def _models(self, _: Request) -> Response:
        entry: dict[str, str | int] = {"id": self._name, "object": "model"}
        entry |= {"owned_by": "ibench", "max_model_len": self._model.context}
        return JSONResponse({"object": "list", "data": [entry]})

    async def _chat(self, request: Request) -> Response:
        try:
            asked = _parse(await request.body())
            work = self._accept(asked)
        except _RequestError as error:
            body: dict[str, str | None] = {"message": str(error)}
            body |= {"type": "invalid_request_error"}
            body |= {"param": error.param, "code": error.code}
            return JSONResponse({"error": body}, status_code=error.status)
        if asked.stream:
            # Starlette cancels the iterator when the client goes away.
            return StreamingResponse(self._stream(work), media_type="text/event-stream")
        return await self._whole(request, work)

    def _accept(self, asked: ChatRequest) -> _Work:
        if asked.model != self._name:
            message = f"The model `{asked.model}` does not exist."
            raise _RequestError(404, message, "model", "model_not_found")
        try:
            prompt = self._model.prompt([m.model_dump() for m in asked.messages])
        except ValueError as error:
            raise _RequestError(400, str(error), "messages") from error
        room = self._model.context - len(prompt)
        wanted = asked.max_tokens or max(room, 1)
        if wanted > room:
            message = (
                f"This model's context is {self._model.context} tokens; the prompt has "
                f"{len(prompt)} and {wanted} more were asked for."
            )
            raise _RequestError(400, message, "messages", "context_length_exceeded")
        stop = [asked.stop] if isinstance(asked.stop, str) else asked.stop or []
        sampling = Sampling(
            max_tokens=wanted,
            temperature=asked.temperature,
            top_p=asked.top_p,
            seed=asked.seed,
            stop=tuple(s for s in stop if s),
            ignore_eos=asked.ignore_eos,
        )
        usage = asked.stream_options or _StreamOptions()
        created = int(datetime.now(UTC).timestamp())
        return _Work(f"chatcmpl-{next(self._ids)}", created, prompt, sampling, usage)

    async def _answer(self, work: _Work) -> AsyncIterator[DecodeStep | Finish]:
        """Yield the text of every step, then how it ended."""
        loop = asyncio.get_running_loop()
        steps: asyncio.Queue[DecodeStep | Finish | BaseException] = asyncio.Queue()
        cancelled = threading.Event()

        def emit(item: DecodeStep | Finish | BaseException) -> None:
            loop.call_soon_threadsafe(steps.put_nowait, item)

        def generate() -> None:
            if cancelled.is_set():
                return
            try:
                emit(self._model.generate(work.prompt, work.sampling, emit, cancelled))
            except (RuntimeError, ValueError) as error:
                emit(error)

        self._thread.submit(generate)
        try:
            while True:
                item = await steps.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
                if isinstance(item, Finish):
                    return
        finally:
            cancelled.set()

    async def _stream(self, work: _Work) -> AsyncIterator[bytes]:
        head = {"id": work.id, "object": "chat.completion.chunk"}
        frame = {**head, "created": work.created, "model": self._name}
        yield _event(frame | _choice({"role": "assistant", "content": ""}))
        try:
            async for item in self._answer(work):
                usage = {"usage": _usage(work, item.tokens)}
                running = usage if work.usage.continuous_usage_stats else {}
                if isinstance(item, DecodeStep):
                    yield _event(frame | _choice({"content": item.text}) | running)
                    continue
                yield _event(frame | _choice({}, item.reason) | running)
                if work.usage.include_usage:
                    yield _event({**frame, "choices": [], **usage})
        except (RuntimeError, ValueError) as error:
            yield _event({"error": {"message": str(error), "type": "server_error"}})
        yield b"data: [DONE]\n\n"

    async def _whole(self, request: Request, work: _Work) -> Response:
        answer = asyncio.create_task(self._collect(work))
        gone = asyncio.create_task(_disconnected(request))
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not answer.done():
            answer.cancel()
            return Response(status_code=499)
        try:
            text, finish = answer.result()
        except (RuntimeError, ValueError) as error:
            body = {"message": str(error), "type": "server_error"}
            return JSONResponse({"error": body}, status_code=500)
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish.reason}
        return JSONResponse(
            {
                "id": work.id,
                "object": "chat.completion",
                "created": work.created,
                "model": self._name,
                "choices": [choice],
                "usage": _usage(work, finish.tokens),
            }
        )

    async def _collect(self, work: _Work) -> tuple[str, Finish]:
        text = ""
        async for item in self._answer(work):
            if isinstance(item, Finish):
                return text, item
            text += item.text
        raise RuntimeError("generation ended without a reason")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _parse(body: bytes) -> ChatRequest:
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or None
        message = f"{where or 'body'}: {first['msg']}"
        raise _RequestError(400, message, where) from error


def _choice(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def _usage(work: _Work, tokens: int) -> dict[str, int]:
    prompt = len(work.prompt)
    usage = {"prompt_tokens": prompt, "completion_tokens": tokens}
    return {**usage, "total_tokens": prompt + tokens}


def _event(value: dict[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text}\n\n".encode()


def main(argv: Sequence[str] | None = None) -> None:
    """Load the model, then listen; the port opens when the first answer is possible."""
    parser = argparse.ArgumentParser(prog="python -m ibench.serving.reference")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--threads", type=int, help="default: torch's choice")
    given = parser.parse_args(argv)
    model = Model(given.model, given.dtype, given.threads)
    app = ReferenceServer(model, given.served_model_name).app()
    uvicorn.run(app, host=given.host, port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
