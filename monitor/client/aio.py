"""The asynchronous client: `AsyncClient`, the same core around awaits, on asyncio and on trio."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Self, TypeVar, overload

import anyio
import httpx
from anyio import from_thread

from monitor.client import failures
from monitor.client.answers import Answer
from monitor.client.base import Base, is_stream, never_sent
from monitor.client.batches import Manner, Tell, prepare, telling
from monitor.client.batching import BatchResult
from monitor.client.effects import Effect, Lost, Post, Read, Reply, Run, Talk
from monitor.client.looking import Quota, models_of, quota_of, ranking_of
from monitor.client.tasks import work_in_tasks
from monitor.client.wishes import Messages, Wish
from monitor.clock import Clock
from monitor.config import Settings
from monitor.model import ModelFacts
from monitor.policy.routing import Ranking
from monitor.refresh import Fetched
from monitor.transport import with_httpx
from monitor.transport.aio import shielded
from monitor.transport.clients import put_guard
from monitor.transport.course import TAG
from monitor.transport.headers import lower_case

T = TypeVar("T")


class AsyncClient:
    """`Client` for event loops: the same names, each to be awaited.

    >>> client = AsyncClient(app="notebook")
    >>> print(await client.chat("What is machine learning?"))
    """

    def __init__(
        self,
        app: str | None = None,
        settings: Settings | None = None,
        *,
        api_key: str | None = None,
        env_file: str | os.PathLike[str] | None = None,
        cache: float | str | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self._base = Base(app, settings, api_key=api_key, env_file=env_file, cache=cache, clock=clock)
        self._http = httpx.AsyncClient(**self._base.options(options))
        put_guard(self._http, with_httpx, lambda: self._base.guard)

    def __repr__(self) -> str:
        return f"<AsyncClient of app {self._base.guard.app!r} at {self._base.settings.base_url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections and release the store; what is under way settles all the same."""
        await self._http.aclose()

    @overload
    async def chat(self, prompt: Messages, *, stream: Literal[False] = ..., **more: Any) -> Answer: ...

    @overload
    async def chat(self, prompt: Messages, *, stream: Literal[True], **more: Any) -> AsyncStream: ...

    async def chat(
        self,
        prompt: Messages,
        *,
        model: str | None = None,
        task: str | None = None,
        system: str | None = None,
        fallbacks: str | Sequence[str] | None = None,
        stream: bool = False,
        wait: float | None = None,
        cache: float | str | None = None,
        **parameters: Any,
    ) -> Answer | AsyncStream:
        """Ask once; see `Client.chat`."""
        wish = self._base.wish(
            prompt,
            model=model,
            task=task,
            system=system,
            fallbacks=fallbacks,
            stream=stream,
            wait=wait,
            cache=cache,
            parameters=parameters,
        )
        if not stream:
            return await self._ask(wish)
        running = _Running(self, self._base.calls.chat(wish, self.fetch))
        return AsyncStream(running, await running.piece())

    async def batch(
        self,
        questions: Iterable[Any],
        *,
        name: str | None = None,
        concurrency: int = 8,
        spread: str = "now",
        progress: bool | Tell = False,
        dry_run: bool = False,
        fresh: bool = False,
        **words: Any,
    ) -> BatchResult:
        """Ask many questions; see `Client.batch`."""
        manner = Manner(name, concurrency, spread, fresh, words)
        run = await _in_worker(lambda: prepare(self._base, self.fetch, questions, manner))
        if dry_run:
            return await _in_worker(lambda: run.with_plan(run.look()))
        with telling(progress) as tell:
            return await work_in_tasks(run, self._ask, concurrency, tell)

    async def _ask(self, wish: Wish) -> Answer:
        running = _Running(self, self._base.calls.chat(wish, self.fetch))
        while await running.piece() is not None:
            pass
        return running.answered()

    async def models(self, *, free: bool = True, task: str | None = None) -> list[ModelFacts]:
        """Models of the catalogue, by id; with a `task` the free ones that can serve it, the best first."""
        return await _in_worker(lambda: models_of(self._base, self.fetch, free=free, task=task))

    async def route(self, task: str | None = None) -> Ranking:
        """Which free models would be asked for a task, in which order, and why; and why others would not."""
        return await _in_worker(lambda: ranking_of(self._base, self.fetch, task))

    async def quota(self) -> Quota:
        """What is left to ask today and this minute. Asking costs nothing."""
        return await _in_worker(lambda: quota_of(self._base, self.fetch))

    def fetch(self, url: str, headers: Mapping[str, str]) -> Fetched:
        """A GET, from a worker thread: it is done on the event loop."""
        return from_thread.run(self._fetch, url, headers)

    async def _fetch(self, url: str, headers: Mapping[str, str]) -> Fetched:
        answer = await self._http.get(url, headers=dict(headers))
        return Fetched(answer.status_code, answer.content)


async def _in_worker(work: Callable[[], T]) -> T:
    found: T = await shielded(work)
    return found


class _Running:
    """A call under way: does what its core asks for."""

    def __init__(self, client: AsyncClient, talk: Talk) -> None:
        self._base = client._base
        self._http = client._http
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

    def __init__(self, running: _Running, first: str | None) -> None:
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
