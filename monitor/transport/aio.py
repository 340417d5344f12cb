"""The async shell: the same course, with everything that may block in a worker thread, on asyncio and on trio."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from types import ModuleType
from typing import Any, Self

import anyio
from anyio import from_thread, to_thread

from monitor.config import Settings
from monitor.errors import StoreUnreachable
from monitor.refresh import Fetched
from monitor.transport.course import Guard
from monitor.transport.effects import Effect, Pause, Run, Send, Shell, Sleep
from monitor.transport.sync import FETCH_TIMEOUT, as_seen, finish, head_of, never_sent_types, with_body
from monitor.transport.watch import Watch


class AsyncTee:
    """A response's stream that is watched as it is read. Mixed with a library's own stream class.

    Its own iterator, and no generator: an event loop finalizes those in tasks of its own, trio with a warning.
    """

    def __init__(self, stream: Any, watch: Watch) -> None:
        self._stream = stream
        self._watch = watch
        self._chunks: Any = None

    def __aiter__(self) -> Self:
        self._chunks = aiter(self._stream)
        return self

    async def __anext__(self) -> bytes:
        watch = self._watch
        try:
            chunk: bytes = await anext(self._chunks)
        except StopAsyncIteration:
            if not watch.settle_at_once():
                await shielded(watch.settle)
            raise
        except GeneratorExit:
            raise  # a coroutine that is being closed may not await; the rest is `aclose`'s, or the finalizer's
        except BaseException as exc:
            await shielded(lambda failure=exc: watch.failed(failure))  # type: ignore[misc]
            raise
        if watch.feed(chunk):  # settled before it is handed on: the consumer may never come back
            if not watch.settle_at_once():
                await shielded(watch.settle)
        elif watch.due():
            await shielded(watch.renew)
        return chunk

    async def aclose(self) -> None:
        try:
            if isinstance(self._chunks, AsyncGenerator):
                with contextlib.suppress(RuntimeError):  # somebody else is still reading from it
                    await self._chunks.aclose()
            await self._stream.aclose()
        finally:
            if not self._watch.settled:
                await shielded(self._watch.closed)


class AsyncShell:
    """A transport that lets through what the guard admits. Mixed with a library's own transport class."""

    library: ModuleType
    tee: type[AsyncTee]

    def __init__(
        self,
        next_transport: Any = None,
        app: str | None = None,
        settings: Settings | None = None,
        *,
        guard: Guard | None = None,
    ) -> None:
        """`next_transport` carries what is admitted (default: the library's own); `app` is who asks.

        Raises ConfigError when the settings are wrong.
        """
        self.guard = guard or Guard(app, settings)
        self.next_transport = self.library.AsyncHTTPTransport() if next_transport is None else next_transport
        self._shell = Shell(self._fetch, self._never_sent, self._in_background)
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.guard!r} before {self.next_transport!r}>"

    async def __aenter__(self) -> Self:
        await self.next_transport.__aenter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self._finish_tasks()
        await self.next_transport.__aexit__(*exc)
        await shielded(self.guard.close)

    async def aclose(self) -> None:
        await self._finish_tasks()
        await self.next_transport.aclose()
        await shielded(self.guard.close)

    async def handle_async_request(self, request: Any) -> Any:
        """Judge, reserve, send and watch; or answer with a refusal."""
        seen = as_seen(request, lambda: request.content)
        if not hasattr(request, "_content") and self.guard.judges(seen):
            await request.aread()  # a body that is made as it is sent; anybody else's goes on so
        course = self.guard.course(seen, self._shell)
        response: Any = None
        try:
            effect = next(course)
            while True:
                try:
                    if type(effect) is Send:
                        sent = with_body(self.library, request, effect.body)
                        response = await self.next_transport.handle_async_request(sent)
                        result: Any = head_of(response)
                    else:
                        result = await self._do(effect)
                except BaseException as exc:  # noqa: BLE001 - thrown into the course, which raises it again
                    effect = course.throw(exc)
                else:
                    effect = course.send(result)
        except StopIteration as stop:
            if isinstance(stop.value, Watch) and response.is_stream_consumed:  # as from a mock or a cache
                stop.value.feed(response.content)
                await shielded(stop.value.settle)
                return response
            return finish(self.library, self.tee, request, response, stop.value)

    async def _do(self, effect: Effect) -> Any:
        if isinstance(effect, Run):
            if effect.at_once is not None and self.guard.ledger.ready:
                # A tenth of a millisecond of CPU here, where a thread's round trip costs ten times that. Whatever could
                # wait (another writer, opening the file, a checkpoint) is left to the thread.
                with contextlib.suppress(StoreUnreachable):
                    return effect.at_once()
            return await shielded(effect.work, effect.undo)
        assert isinstance(effect, (Sleep, Pause))
        return await anyio.sleep(effect.seconds)

    def _fetch(self, url: str, headers: Mapping[str, str]) -> Fetched:
        """Runs in a worker thread, and has the event loop do the request."""
        return from_thread.run(self._fetch_async, url, headers)

    async def _fetch_async(self, url: str, headers: Mapping[str, str]) -> Fetched:
        request = self.library.Request("GET", url, headers=headers, extensions={"timeout": dict(FETCH_TIMEOUT)})
        response = await self.next_transport.handle_async_request(request)
        try:
            return Fetched(response.status_code, await response.aread())
        finally:
            await response.aclose()

    def _never_sent(self, exc: BaseException) -> bool:
        return isinstance(exc, never_sent_types(self.library))

    def _in_background(self, work: Callable[[], None]) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # trio has no free-floating tasks: there, a copy is fetched anew when it is no longer usable
        task = loop.create_task(self._in_worker(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_worker(self, work: Callable[[], None]) -> None:
        await to_thread.run_sync(work)

    async def _finish_tasks(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FETCH_TIMEOUT["read"])


class _Job:
    """Work in a thread whose waiter may be cancelled before it is done: then its result is undone."""

    def __init__(self, work: Callable[[], Any], undo: Callable[[Any], None]) -> None:
        self._work = work
        self._undo = undo
        self._lock = threading.Lock()
        self._abandoned = False
        self._done = False
        self._result: Any = None

    def run(self) -> Any:
        result = self._work()
        with self._lock:
            self._result, self._done = result, True
            abandoned = self._abandoned
        if abandoned:
            self._undo(result)
        return result

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            done = self._done
        if done:
            self._undo(self._result)


async def shielded(work: Callable[[], Any], undo: Callable[[Any], None] | None = None) -> Any:
    """Run `work` in a thread to its end, whether or not this task is cancelled meanwhile: books are not left half kept.

    A scope's cancellation waits. A task's own (`task.cancel()`) cannot be held up: then `undo` gets the result.
    """
    job = _Job(work, undo) if undo is not None else None
    with anyio.CancelScope(shield=True):
        try:
            return await to_thread.run_sync(job.run if job else work)
        except anyio.get_cancelled_exc_class():
            if job is not None:
                job.abandon()
            raise
