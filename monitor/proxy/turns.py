"""Who goes first when a window opens: calls that wait for a slot stand in line, and are let out one by one.

The first of the line asks again when its window should be open. If it gets in, the next is let out at once, for there
may be more than one slot; if it does not, all wait on. The app with the higher priority goes first; among equals each
app has its turn, however many calls another has waiting. There is a line for each thing that is waited for: the
account's window, and each model that cools down.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field


class Closed(Exception):
    """There is no more waiting: the daemon ends."""


@dataclass(slots=True, eq=False)
class Turn:
    """The right to ask again. Say `over` once it is used: then the next is let out."""

    line: _Line
    app: str

    def over(self) -> None:
        self.line.turn_over(self)


@dataclass(slots=True, eq=False)
class _Line:
    turns: Turns
    name: str
    waiting: dict[str, deque[asyncio.Future[Turn | None]]] = field(default_factory=dict)
    """By app, the one whose turn is longest ago first."""
    out: Turn | None = None
    timer: asyncio.TimerHandle | None = None

    def open_in(self, seconds: float) -> None:
        """The newest word on when the window opens."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self.let_out)

    def let_out(self) -> None:
        self.timer = None
        while self.out is None and (app := self._next()) is not None:
            future = self.waiting[app].popleft()
            if not self.waiting[app]:
                del self.waiting[app]
            if not future.done():
                self.out = Turn(self, app)
                future.set_result(self.out)
        self._end_if_empty()

    def turn_over(self, turn: Turn) -> None:
        if self.out is turn:
            self.out = None
            if turn.app in self.waiting:
                self.waiting[turn.app] = self.waiting.pop(turn.app)  # to the end
            self.let_out()

    def leave(self, app: str, future: asyncio.Future[Turn | None]) -> None:
        queue = self.waiting.get(app)
        if queue is not None and future in queue:
            queue.remove(future)
            if not queue:
                del self.waiting[app]
        self._end_if_empty()

    def _next(self) -> str | None:
        # `max` takes the first of equals: the one whose turn is longest ago.
        return max(self.waiting, key=self.turns.priority, default=None)

    def _end_if_empty(self) -> None:
        if not self.waiting and self.out is None:
            if self.timer is not None:
                self.timer.cancel()
            self.turns.lines.pop(self.name, None)


class Turns:
    """The lines of one event loop. `priorities` are the apps' own; an app without one has 0."""

    def __init__(self, priorities: Mapping[str, int]) -> None:
        self._priorities = dict(priorities)
        self.lines: dict[str, _Line] = {}
        self._pausing: set[asyncio.Future[Turn | None]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Turns: {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot."""
        return sum(len(queue) for line in self.lines.values() for queue in line.waiting.values())

    def priority(self, app: str) -> int:
        return self._priorities.get(app, 0)

    def close(self) -> None:
        """Let nobody wait any more, now and from now on."""
        self._closed = True
        in_line = [each for line in self.lines.values() for queue in line.waiting.values() for each in queue]
        for future in (*in_line, *self._pausing):
            if not future.done():
                future.set_exception(Closed())

    async def pause(self, seconds: float) -> None:
        """Wait so long in no line, and hold up nobody. Raises Closed."""
        if self._closed:
            raise Closed
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Turn | None] = loop.create_future()
        self._pausing.add(future)
        timer = loop.call_later(seconds, _give_up, future)
        try:
            await future
        finally:
            timer.cancel()
            self._pausing.discard(future)

    async def wait(self, name: str, app: str, seconds: float, patience: float, turn: Turn | None) -> Turn | None:
        """Wait in the line `name` until it is `app`'s turn, at the earliest in `seconds`.

        None when `patience` seconds ended first: then this is the last time to ask. `turn` is the one just used in
        vain: who had it stays at the head of the line. Raises Closed.
        """
        if self._closed:
            raise Closed
        loop = asyncio.get_running_loop()
        line = self.lines.get(name)
        if line is None:
            line = self.lines[name] = _Line(self, name)
        future: asyncio.Future[Turn | None] = loop.create_future()
        self._stand(line, app, future, first=turn is not None and turn.line is line)
        if turn is not None and turn.line is line:
            line.out = None
        elif turn is not None:
            turn.over()
        if line.out is None:
            line.open_in(seconds)
        limit = loop.call_later(patience, _give_up, future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and (mine := future.result()) is not None:
                mine.over()
            raise
        finally:
            limit.cancel()
            line.leave(app, future)

    @staticmethod
    def _stand(line: _Line, app: str, future: asyncio.Future[Turn | None], *, first: bool) -> None:
        queue = line.waiting.get(app)
        if not first:
            if queue is None:
                queue = line.waiting[app] = deque()
            queue.append(future)
            return
        if queue is None:
            line.waiting = {app: deque([future]), **line.waiting}
        else:
            queue.appendleft(future)


def _give_up(future: asyncio.Future[Turn | None]) -> None:
    if not future.done():
        future.set_result(None)
