"""The proxy's shell: drives a course for one request, and hands its answer on as it comes."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from monitor.metrics.proxied import Proxied
from monitor.proxy.desk import Desk
from monitor.proxy.passing import seen_headers, to_client
from monitor.proxy.problems import SERVER, Problem, Turned
from monitor.proxy.turns import Turn, Turns
from monitor.proxy.upstream import BROKEN, NEVER_SENT, Reply, Upstream
from monitor.redact import redact
from monitor.refresh import Fetch
from monitor.transport.course import Course, Effect, Guard, Head, Request, Run, Send, Shell, Sleep
from monitor.transport.headers import lower_case
from monitor.transport.refusal import Answer
from monitor.transport.watch import Watch

WHOLE = 64 * 1024
"""An answer of a known length up to so many bytes is handed on in one write, which costs half as much as two."""

SLOW_TO_JUDGE = 256 * 1024
"""Bodies beyond so many bytes are judged in a thread, for reading them would hold up everybody else."""


log = logging.getLogger("monitor.proxy")


@dataclass(frozen=True, slots=True)
class Means:
    """What every exchange of a proxy works with. `threads` run what may block."""

    desk: Desk
    upstream: Upstream
    turns: Turns
    figures: Proxied
    threads: Executor
    fetch: Fetch


@dataclass(frozen=True, slots=True)
class _Done:
    outcome: Any


class Exchange:
    """One request that may bill, from its judgement to the last byte of its answer."""

    def __init__(
        self, means: Means, guard: Guard, request: web.BaseRequest, url: str, headers: CIMultiDict[str], body: bytes
    ) -> None:
        """`request` is the caller's; `url`, `headers` and `body` are what goes to the upstream."""
        self._means, self._guard, self._request = means, guard, request
        self._url, self._headers, self._body = url, headers, body
        self._reply: Reply | None = None
        self._turn: Turn | None = None
        self._deadline = guard.clock.monotonic() + guard.settings.guard.wait
        self._ours = 0.0
        """Seconds that went by on our account: not while the upstream, the client or a full window was waited for."""
        self._since = guard.clock.monotonic()

    async def run(self) -> web.StreamResponse:
        """The answer, handed on. Raises Turned when the upstream has none."""
        try:
            try:
                outcome = await self._drive()
            except BROKEN as exc:
                raise turned(exc) from None
            if isinstance(outcome, Answer):
                self._tick()
                return refused(outcome)
            assert self._reply is not None
            return await self._hand_on(self._reply, outcome)
        finally:
            if self._turn is not None:
                self._turn.over()
            if self._reply is not None:
                self._reply.abort()
            self._means.figures.added(self._ours)

    async def _drive(self) -> Any:
        """What the course returns."""
        seen = Request(self._request.method, self._url, seen_headers(self._headers), lambda: self._body)
        means = self._means
        course = self._guard.course(seen, Shell(means.fetch, _never_sent, self._in_background))
        step = await self._first(course)
        while not isinstance(step, _Done):
            try:
                result = await self._do(step)
            except BaseException as exc:  # noqa: BLE001 - thrown into the course, which raises it again
                step = _advance(course.throw, exc)
            else:
                step = _advance(course.send, result)
        return step.outcome

    async def _first(self, course: Course) -> Effect | _Done:
        """The first step, which reads the body."""
        if len(self._body) <= SLOW_TO_JUDGE:
            return _advance(course.send, None)
        thread = asyncio.get_running_loop().run_in_executor(self._means.threads, _advance, course.send, None)
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            await asyncio.wait([thread])  # a generator that runs cannot be closed
            course.close()
            raise

    async def _do(self, effect: Effect) -> Any:
        if isinstance(effect, Send):
            self._end_turn()
            return await self._send(effect.body)
        if isinstance(effect, Run):
            if effect.within is None:
                return await self._in_thread(effect)
            begun = self._guard.clock.monotonic()
            result = await self._means.desk.book(effect.within, effect.undo)
            self._means.figures.admission(self._guard.clock.monotonic() - begun)
            return result
        assert isinstance(effect, Sleep)
        self._tick()
        patience = self._deadline - self._guard.clock.monotonic()
        turn, self._turn = self._turn, None
        self._turn = await self._means.turns.wait(effect.model, self._guard.app, effect.seconds, patience, turn)
        self._since = self._guard.clock.monotonic()
        return None

    async def _send(self, body: bytes | None) -> Head:
        self._tick()
        body = self._body if body is None else body
        try:
            reply = await self._means.upstream.send(self._request.method, self._url, self._headers, body)
        finally:
            self._since = self._guard.clock.monotonic()
        self._reply = reply
        return Head(reply.status, lower_case(reply.raw_headers))

    async def _in_thread(self, run: Run) -> Any:
        """Work that may block; done to its end whether or not somebody still waits for it."""
        self._end_turn()  # a fetch may take long, and the others need not wait for it
        self._tick()
        thread = asyncio.get_running_loop().run_in_executor(self._means.threads, run.work)
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            if run.undo is not None:
                undo = run.undo
                thread.add_done_callback(lambda done: None if done.exception() else undo(done.result()))
            raise
        finally:
            self._since = self._guard.clock.monotonic()

    def _in_background(self, work: Callable[[], None]) -> None:
        asyncio.get_running_loop().run_in_executor(self._means.threads, work)

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._turn.over()
            self._turn = None

    def _tick(self) -> None:
        now = self._guard.clock.monotonic()
        self._ours += now - self._since
        self._since = now

    # ---- the answer ----

    async def _hand_on(self, reply: Reply, watch: Watch | None) -> web.StreamResponse:
        if reply.length is not None and reply.length <= WHOLE:
            return await self._whole(reply, watch)
        response = web.StreamResponse(status=reply.status, reason=reply.reason, headers=to_client(reply.raw_headers))
        try:
            await response.prepare(self._request)
            self._tick()
            async for chunk in reply.chunks():
                if watch is not None:
                    _watch(watch, chunk)
                await response.write(chunk)
        except Exception as exc:
            if not isinstance(exc, BROKEN):
                log.exception("an answer could not be handed on")
            self._broken(watch, exc)
            return response
        except BaseException:
            if watch is not None:
                watch.closed()
            raise
        if watch is not None:
            watch.settle()
        return response

    async def _whole(self, reply: Reply, watch: Watch | None) -> web.StreamResponse:
        self._tick()
        try:
            body = await reply.read()
        except BROKEN as exc:
            if watch is not None:
                watch.failed(exc)
            raise turned(exc) from None
        except BaseException:
            if watch is not None:
                watch.closed()
            raise
        self._since = self._guard.clock.monotonic()
        if watch is not None:
            watch.feed(body)
            watch.settle()
        headers = to_client(reply.raw_headers)
        response = web.Response(status=reply.status, reason=reply.reason, headers=headers, body=body)
        self._tick()
        return response

    def _broken(self, watch: Watch | None, exc: Exception) -> None:
        """The stream ended before its end. The client must see that too: a tidy end would make a half answer whole."""
        transport = self._request.transport
        client_left = transport is None or transport.is_closing()
        if watch is not None and client_left:
            watch.closed()
        elif watch is not None:
            watch.failed(exc)
        if transport is not None:
            hang_up(self._request, transport)


def refused(answer: Answer) -> web.Response:
    """The guard's refusal as a response."""
    return web.Response(status=answer.status, headers={"Server": SERVER, **answer.headers}, body=answer.body)


def hang_up(request: web.BaseRequest, transport: asyncio.Transport) -> None:
    """End a connection in the midst of an answer, so that the client sees it: it misses the last chunk, or bytes."""
    if request.version >= (1, 1):
        transport.close()
        return
    # In HTTP/1.0 the end of the connection may be the proper end of the body: only a reset tells.
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _advance(step: Callable[[Any], Effect], value: Any) -> Effect | _Done:
    """The next effect, or what the course returned. (No StopIteration can leave a coroutine or a thread.)"""
    try:
        return step(value)
    except StopIteration as stop:
        return _Done(stop.value)


def _watch(watch: Watch, chunk: bytes) -> None:
    if watch.feed(chunk):
        watch.settle()
    elif watch.due():
        watch.renew()


def _never_sent(exc: BaseException) -> bool:
    return isinstance(exc, NEVER_SENT)


def turned(exc: BaseException) -> Turned:
    """What the caller is told of an upstream that gave no answer, or half of a short one."""
    told = redact(str(exc) or type(exc).__name__, limit=200)
    if isinstance(exc, NEVER_SENT):
        return Turned(Problem(502, "upstream_unreachable", f"OpenRouter cannot be reached, nothing was sent: {told}"))
    if isinstance(exc, TimeoutError):
        return Turned(Problem(504, "upstream_silent", "OpenRouter took the request and gave no answer in time."))
    return Turned(Problem(502, "upstream_broken", f"OpenRouter took the request, then the connection broke: {told}"))
