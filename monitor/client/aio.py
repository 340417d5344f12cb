"""The asynchronous client: `AsyncClient`, the same core around awaits, on asyncio and on trio."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Self, TypeVar, overload

import httpx
from anyio import from_thread

from monitor.client.aio_running import AsyncRunning, AsyncStream
from monitor.client.answers import Answer
from monitor.client.base import Base
from monitor.client.batches import Manner, Tell, prepare, telling
from monitor.client.batching import BatchResult
from monitor.client.comparing import Comparison, compared, models_to_compare, question_of, wishes_of
from monitor.client.looking import Quota, models_of, quota_of, ranking_of
from monitor.client.tasks import all_in_tasks, work_in_tasks
from monitor.client.wishes import Messages, Wish
from monitor.clock import Clock
from monitor.config import Settings
from monitor.model import ModelFacts
from monitor.policy.routing import Ranking
from monitor.refresh import Fetched
from monitor.transport import with_httpx
from monitor.transport.aio import shielded
from monitor.transport.clients import put_guard

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
        running = AsyncRunning(self._base, self._http, self._base.calls.chat(wish, self.fetch))
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

    async def compare(
        self,
        prompt: Messages,
        models: Sequence[str] | None = None,
        *,
        task: str | None = None,
        system: str | None = None,
        wait: float | None = None,
        cache: float | str | None = None,
        **parameters: Any,
    ) -> Comparison:
        """Ask several models the same; see `Client.compare`."""
        chosen = await _in_worker(lambda: models_to_compare(self._base, self.fetch, models, task))
        wishes = wishes_of(self._base, prompt, chosen, system=system, wait=wait, cache=cache, parameters=parameters)
        at = self._base.guard.clock.now()
        rows = await all_in_tasks(wishes, self._ask)
        return Comparison(question_of(prompt), at, tuple(compared(*row) for row in zip(chosen, rows, strict=True)))

    async def _ask(self, wish: Wish) -> Answer:
        running = AsyncRunning(self._base, self._http, self._base.calls.chat(wish, self.fetch))
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
