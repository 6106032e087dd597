"""The reference server with a few lines changed: cheats, and honest oddities.

One process loads the model once; ``POST /mode`` says how the next answers are given.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ibench.serving import reference
from ibench.serving.reference import ReferenceServer
from ibench.serving.reference_generate import DecodeStep, Finish, Model

Items: TypeAlias = AsyncIterator[DecodeStep | Finish]
GUESSES = [" the", " of", " and", " a", " in", " is", " to", " for"]


class OddServer(ReferenceServer):
    """Answers load requests in an odd way, and questions as the reference does."""

    mode = "plain"
    numbers = count()

    def app(self) -> Starlette:
        made = super().app()
        made.router.routes.append(Route("/mode", self._set, methods=["POST"]))
        return made

    async def _set(self, request: Request) -> Response:
        self.mode, self.numbers = (await request.body()).decode(), count()
        return JSONResponse({})

    async def _answer(self, work: Any) -> Items:
        plain = super()._answer(work)
        odd = getattr(self, f"_{self.mode}", None)
        if odd is None or not work.sampling.ignore_eos:
            odd = _same
        async for item in odd(plain):
            yield item

    async def _stream(self, work: Any) -> AsyncIterator[bytes]:
        if self.mode == "flushing":
            async for data in _flushed(super()._stream(work)):
                yield data
            return
        number = count()
        async for data in super()._stream(work):
            # A reasoning parser: the first chunks are no content.
            is_reasoning = self.mode == "reasoning" and 0 < next(number) <= 20
            name = b'"reasoning_content"' if is_reasoning else b'"content"'
            yield data.replace(b'"content"', name)

    # Cheats.

    async def _hold_all(self, plain: Items) -> Items:
        async for item in _released([i async for i in plain], 0.0003):
            yield item

    async def _hold_bursts(self, plain: Items) -> Items:
        for number, item in enumerate([i async for i in plain]):
            if number % 24 == 0:
                await asyncio.sleep(0.005)
            yield item

    async def _hold_some(self, plain: Items) -> Items:
        held = next(self.numbers) % 5 < 3
        async for item in self._hold_all(plain) if held else plain:
            yield item

    async def _hold_half(self, plain: Items) -> Items:
        """Wait for every other token, then let go at twice the pace."""
        begun, items = time.monotonic(), []
        async for item in plain:
            items.append(item)
            if len(items) == 48:
                break
        pace_s = (time.monotonic() - begun) / 48 / 2
        rest = asyncio.create_task(_rest(plain))
        async for item in _released(items, pace_s):
            yield item
        async for item in _released(await rest, pace_s):
            yield item

    async def _guess_one(self, plain: Items) -> Items:
        async for item in _guessed(plain, 1, 0.0):
            yield item

    async def _guess_two(self, plain: Items) -> Items:
        async for item in _guessed(plain, 2, 0.002):
            yield item

    async def _guess_eight(self, plain: Items) -> Items:
        async for item in _guessed(plain, 8, 0.002):
            yield item

    async def _guess_paced(self, plain: Items) -> Items:
        """One guess; the rest is slowed, so that the first gap is not 20 others."""
        begun, slow_s = time.monotonic(), 0.0
        async for item in _guessed(plain, 1, 0.0):
            yield item
            slow_s = slow_s or (time.monotonic() - begun) / 8
            await asyncio.sleep(slow_s)

    async def _guess_even(self, plain: Items) -> Items:
        """One guess; all that follows comes as slowly as the prompt is read."""
        begun, number, pace_s = time.monotonic(), 0, 0.0
        async for item in _guessed(plain, 1, 0.0):
            if number == 1:
                pace_s = time.monotonic() - begun
            elif number > 1:
                await asyncio.sleep(
                    max(0.0, begun + number * pace_s - time.monotonic())
                )
            number += 1
            yield item

    # Honest.

    async def _triples(self, plain: Items) -> Items:
        """Three tokens a chunk."""
        async for item in _joined(plain, lambda: 3):
            yield item

    async def _drafted(self, plain: Items) -> Items:
        """One to five tokens at once, as a draft model brings them."""
        async for item in _joined(plain, lambda: 1 + next(self.numbers) * 7 % 5):
            yield item

    async def _slow_prefill(self, plain: Items) -> Items:
        await asyncio.sleep(0.25)
        async for item in plain:
            yield item


async def _same(plain: Items) -> Items:
    async for item in plain:
        yield item


async def _rest(plain: Items) -> list[DecodeStep | Finish]:
    return [item async for item in plain]


async def _released(items: list[DecodeStep | Finish], pace_s: float) -> Items:
    begun = time.monotonic()
    for number, item in enumerate(items):
        await asyncio.sleep(max(0.0, begun + number * pace_s - time.monotonic()))
        yield item


async def _guessed(plain: Items, guesses: int, pace_s: float) -> Items:
    """Guesses first, while the prompt is read; as many tokens fewer at the end."""
    items: asyncio.Queue[DecodeStep | Finish] = asyncio.Queue()
    told = asyncio.create_task(_rest_into(plain, items))
    for number in range(guesses):
        await asyncio.sleep(pace_s)
        yield DecodeStep(GUESSES[number], number + 1)
    held: list[DecodeStep | Finish] = []
    while True:
        item = await items.get()
        if isinstance(item, Finish):
            break
        held.append(item)
        if len(held) > guesses:
            yield held.pop(0)
    await told
    yield item


async def _rest_into(plain: Items, items: asyncio.Queue[DecodeStep | Finish]) -> None:
    async for item in plain:
        items.put_nowait(item)


async def _joined(plain: Items, size: Any) -> Items:
    text, left = "", 1
    async for item in plain:
        if isinstance(item, Finish):
            if text:
                yield DecodeStep(text, item.tokens)
            yield item
            return
        text, left = text + item.text, left - 1
        if left == 0:
            yield DecodeStep(text, item.tokens)
            text, left = "", size()


async def _flushed(plain: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A proxy that passes on what it has every 40 ms."""
    whole, last = b"", time.monotonic()
    async for data in plain:
        whole += data
        if time.monotonic() - last > 0.04:
            yield whole
            whole, last = b"", time.monotonic()
    yield whole


if __name__ == "__main__":
    model = Model(Path(sys.argv[1]), sys.argv[3], 1)
    app = OddServer(model, "ibench/embedded-mistral").app()
    assert reference.__all__
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
