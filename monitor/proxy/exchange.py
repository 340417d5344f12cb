"""The proxy's shell: drives a course for one request, and hands its answer on as it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from monitor.metrics.proxied import Proxied
from monitor.proxy.answers import Passed, joined
from monitor.proxy.desk import Desk
from monitor.proxy.onlooker import Onlooker
from monitor.proxy.problems import SERVER, STOPPING, Problem, Turned
from monitor.proxy.turns import Closed, Turn, Turns
from monitor.proxy.upstream import Pairs, Reply, Silent, Unreachable, Upstream, UpstreamError
from monitor.proxy.veil import Veil
from monitor.proxy.wire import Taker
from monitor.redact import redact
from monitor.refresh import Fetch
from monitor.serving import messages as serving
from monitor.transport.course import Course, Guard
from monitor.transport.effects import Effect, Head, Pause, Request, Run, Send, Shell, Sleep
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
    shell: Shell


@dataclass(frozen=True, slots=True)
class _Done:
    outcome: Any


class Exchange:
    """One request that may bill, from its judgement to the last byte of its answer."""

    def __init__(
        self,
        means: Means,
        guard: Guard,
        request: serving.Request,
        url: str,
        headers: Pairs,
        body: bytes,
        veil: Veil,
    ) -> None:
        """`request` is the caller's; `url`, `headers` and `body` are what goes to the upstream."""
        self._means, self._guard, self._request = means, guard, request
        self._url, self._headers, self._body = url, headers, body
        self._veil = veil
        self._reply: Reply | None = None
        self._turn: Turn | None = None
        self._deadline = guard.clock.monotonic() + guard.settings.guard.wait
        self._ours = 0.0
        """Seconds that went by on our account: not while the upstream, the client or a full window was waited for."""
        self._since = guard.clock.monotonic()

    async def run(self) -> serving.Answer:
        """The answer, handed on. Raises Turned when the upstream has none."""
        try:
            try:
                outcome = await self._drive()
            except UpstreamError as exc:
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
        seen = Request(self._request.method, self._url, lower_case(self._headers), lambda: self._body)
        course = self._guard.course(seen, self._means.shell)
        step = await self._first(course, is_packed="content-encoding" in seen.headers)
        if isinstance(step, _Done):
            return step.outcome
        while True:
            try:
                result: Any = None
                if isinstance(step, Send):
                    result = await self._send(step.body)
                elif isinstance(step, Run):
                    result = await self._run(step)
                else:
                    await self._wait(step)
            except BaseException as exc:  # noqa: BLE001 - thrown into the course, which raises it again
                step = _advance(course.throw, exc)
                if isinstance(step, _Done):
                    return step.outcome
            else:
                try:
                    step = course.send(result)
                except StopIteration as stop:
                    return stop.value

    async def _first(self, course: Course, *, is_packed: bool) -> Effect | _Done:
        """The first step, which reads the body. What is compressed may be a thousand times larger than it looks."""
        if len(self._body) <= SLOW_TO_JUDGE and not is_packed:
            return _advance(course.send, None)
        thread = asyncio.get_running_loop().run_in_executor(self._means.threads, _advance, course.send, None)
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            await asyncio.wait([thread])  # a generator that runs cannot be closed
            course.close()
            raise

    async def _run(self, run: Run) -> Any:
        if run.within is None:
            return await self._in_thread(run)
        desk, figures, now = self._means.desk, self._means.figures, self._guard.clock.monotonic
        begun = now()
        booked = desk.book_alone(run.within) if figures.in_flight == 1 else None
        result = await desk.book(run.within, run.undo) if booked is None else booked[0]
        figures.admission(now() - begun)
        return result

    async def _wait(self, effect: Sleep | Pause) -> None:
        self._tick()
        try:
            if isinstance(effect, Pause):
                await self._means.turns.pause(effect.seconds)
                return
            patience = self._deadline - self._guard.clock.monotonic()
            turn, self._turn = self._turn, None
            self._turn = await self._means.turns.wait(effect.model, self._guard.app, effect.seconds, patience, turn)
        except Closed:
            raise Turned(STOPPING) from None
        finally:
            self._since = self._guard.clock.monotonic()

    async def _send(self, body: bytes | None) -> Head:
        self._end_turn()
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

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._turn.over()
            self._turn = None

    def _tick(self) -> None:
        now = self._guard.clock.monotonic()
        self._ours += now - self._since
        self._since = now

    # ---- the answer ----

    async def _hand_on(self, reply: Reply, watch: Watch | None) -> serving.Answer:
        answer = Passed(self._request, reply, self._veil)
        if reply.length is not None and reply.length <= WHOLE:
            return await self._whole(reply, watch, answer)
        try:
            with joined(self._request.line, reply):
                answer.begin()
                self._tick()
                await self._pour(reply, watch, answer)
            if watch is not None:
                watch.settle()
            answer.end()
        except Exception as exc:
            # The answer has begun: whatever it is, all that can be done is to end it.
            if not isinstance(exc, (UpstreamError, ConnectionError)):
                log.exception("an answer could not be handed on")
            client_left = not answer.break_off()
            if watch is not None:
                watch.closed() if client_left else watch.failed(exc)
        except BaseException:
            if watch is not None:
                watch.closed()
            raise
        return answer

    async def _pour(self, reply: Reply, watch: Watch | None, answer: Passed) -> None:
        """Each chunk goes on as it comes, and is looked at afterwards: the caller does not wait for that."""
        if watch is None:
            await self._veiled(reply, answer.take)
            return
        with Onlooker(watch) as onlooker:

            def taker(chunk: bytes) -> None:
                answer.take(chunk)
                onlooker.see(chunk)

            await self._veiled(reply, taker)

    async def _veiled(self, reply: Reply, taker: Taker) -> None:
        await reply.take(self._veil.before(taker))
        if rest := self._veil.rest():
            taker(rest)

    async def _whole(self, reply: Reply, watch: Watch | None, answer: Passed) -> serving.Answer:
        """A short answer, in one write; half of it is none."""
        self._tick()
        try:
            body = self._veil.over(await reply.read())
        except UpstreamError as exc:
            if watch is not None:
                watch.failed(exc)
            raise turned(exc) from None
        except BaseException:
            if watch is not None:
                watch.closed()
            raise
        self._since = self._guard.clock.monotonic()
        # The caller need not wait for what is read of its answer. Nothing else runs between the two, so whatever it
        # asks next is judged by it all the same.
        answer.whole(body)
        self._tick()
        if watch is not None:
            _see(watch, body)
        return answer


def _see(watch: Watch, body: bytes) -> None:
    """Look at an answer that was handed on. Nothing may go up from here: a second answer would follow the first."""
    try:
        watch.feed(body)
        watch.settle()
    except Exception as exc:
        log.exception("an answer was handed on and could not be read")
        watch.failed(exc)


def refused(answer: Answer, *, closes: bool = False) -> serving.Response:
    """The guard's refusal as a response."""
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
    return serving.Response(answer.status, answer.body, {"Server": SERVER, **headers}, closes=closes)


def _advance(step: Callable[[Any], Effect], value: Any) -> Effect | _Done:
    """The next effect, or what the course returned. (No StopIteration can leave a coroutine or a thread.)"""
    try:
        return step(value)
    except StopIteration as stop:
        return _Done(stop.value)


def shell_of(fetch: Fetch, threads: Executor) -> Shell:
    """What the courses of a proxy can ask for."""

    def in_background(work: Callable[[], None]) -> None:
        threads.submit(work)

    return Shell(fetch, _never_sent, in_background)


def _never_sent(exc: BaseException) -> bool:
    return isinstance(exc, Unreachable)


def turned(exc: UpstreamError) -> Turned:
    """What the caller is told of an upstream that gave no answer, or half of a short one."""
    told = redact(str(exc) or type(exc).__name__, limit=200)
    if isinstance(exc, Unreachable):
        return Turned(Problem(502, "upstream_unreachable", f"OpenRouter cannot be reached, nothing was sent: {told}"))
    if isinstance(exc, Silent):
        return Turned(Problem(504, "upstream_silent", "OpenRouter took the request and gave no answer in time."))
    return Turned(Problem(502, "upstream_broken", f"OpenRouter took the request, then the connection broke: {told}"))
