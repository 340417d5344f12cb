"""A call of the asynchronous client under way, and its answer as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Self

import anyio
import httpx

from monitor.client import failures
from monitor.client.answers import Answer
from monitor.client.base import Base, is_stream, never_sent
from monitor.client.effects import Effect, Lost, Post, Read, Reply, Run, Talk
from monitor.transport.aio import shielded
from monitor.transport.effects import TAG
from monitor.transport.headers import lower_case


class AsyncRunning:
    """A call under way: does what its core asks for."""

    def __init__(self, base: Base, http: httpx.AsyncClient, talk: Talk) -> None:
        self._base = base
        self._http = http
        self._talk = talk
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self.answer: Answer | None = None

    async def piece(self) -> str | None:
        """The next piece of the answer's text; None at its end. Raises what the call raises."""
        result: Any = None
        error: BaseException | None = None
        try:
            while True:
                step = self._talk.send(result) if error is None else self._talk.throw(error)
                if isinstance(step, str):
                    return step
                result, error = None, None
                try:
                    result = await self._do(step)
                except Exception as exc:  # noqa: BLE001 - thrown into the core, which raises it again
                    error = exc
        except StopIteration as stop:
            self.answer = stop.value or self.answer
            await self.aclose()
            return None
        except BaseException:
            await self.aclose()
            raise

    def answered(self) -> Answer:
        """The whole answer. Raises CallFailed when there is none, for it was closed early or failed."""
        if self.answer is None:
            raise failures.not_whole()
        return self.answer

    async def aclose(self) -> None:
        """End it, wherever it is."""
        self._talk.close()
        # Also where the task was cancelled: the connection goes back, and the guard hears of the end.
        with anyio.CancelScope(shield=True):
            await self._hang_up()

    async def _hang_up(self) -> None:
        if self._response is not None:
            response, self._response, self._chunks = self._response, None, None
            await response.aclose()

    async def _do(self, effect: Effect) -> Any:
        if isinstance(effect, Run):
            return await shielded(effect.work)
        if isinstance(effect, Post):
            return await self._post(effect)
        if isinstance(effect, Read):
            return await self._read()
        return await anyio.sleep(effect.seconds)

    async def _post(self, effect: Post) -> Reply | Lost:
        await self._hang_up()  # what an attempt before left unread
        request = self._http.build_request(
            "POST", self._base.url, content=effect.body, headers=self._base.headers(), extensions={TAG: effect.tag}
        )
        try:
            response = await self._http.send(request, stream=True)
        except httpx.RequestError as exc:
            return Lost(not never_sent(exc), f"{type(exc).__name__}: {exc}")
        headers = lower_case(response.headers.raw)
        if effect.stream and is_stream(response):
            self._response, self._chunks = response, response.aiter_bytes()
            return Reply(response.status_code, headers, None)
        try:
            return Reply(response.status_code, headers, await response.aread())
        except httpx.RequestError as exc:
            return Lost(True, f"{type(exc).__name__}: {exc}")
        finally:
            await response.aclose()

    async def _read(self) -> bytes | Lost | None:
        assert self._chunks is not None
        try:
            return await anext(self._chunks, None)
        except httpx.RequestError as exc:
            return Lost(True, f"{type(exc).__name__}: {exc}")


class AsyncStream:
    """An answer as it comes: `async for` over its pieces of text. Close it, or use `async with`, to stop early."""

    def __init__(self, running: AsyncRunning, first: str | None) -> None:
        self._running = running
        self._first = first

    def __repr__(self) -> str:
        return f"<AsyncStream, {'ended' if self._running.answer else 'under way'}>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        piece, self._first = self._first, None
        if piece is None and self._running.answer is None:
            piece = await self._running.piece()
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop reading. It may still cost what the whole answer would have."""
        await self._running.aclose()

    async def answer(self) -> Answer:
        """The whole answer; reads what is left of it."""
        async for _ in self:
            pass
        return self._running.answered()
