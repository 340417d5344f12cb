"""The connections of the daemon: how many there may be, and how long they may dawdle.

A client that sends its first line letter by letter, or does not read what it asked for, would hold a connection as long
as it likes. One look a second at all of them costs less than a timer for each.
"""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Callable
from typing import cast

from monitor.clock import Clock
from monitor.proxy.answers import Flow

HEAD_SECONDS = 20.0
"""From the connection to the end of the first request's head."""

WRITE_SECONDS = 60.0
"""How long a client may leave unread what was sent to it."""

KEEP_ALIVE_SECONDS = 75.0
LOOK_SECONDS = 1.0
SPARE_FILES = 256
"""Of the open files that the system allows: for the store, the polls, and what else a process opens."""

_FULL = json.dumps({"error": {"code": 503, "message": "The daemon has as many connections as it may have."}}).encode()
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nRetry-After: 1\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_FULL), _FULL)
)


class Connections:
    """Makes a protocol for each connection, as `loop.create_server` asks for one. `most` is how many there may be."""

    def __init__(self, make: Callable[[], asyncio.Protocol], most: int, clock: Clock) -> None:
        self._make, self._most, self._clock = make, most, clock
        self._lines: dict[asyncio.BaseProtocol, _Line] = {}

    def __repr__(self) -> str:
        return f"<Connections: {len(self)} of {self._most}>"

    def __len__(self) -> int:
        return len(self._lines)

    def __call__(self) -> asyncio.Protocol:
        if len(self._lines) >= self._most:
            return _Full()
        return _Line(self._make(), self)

    def headed(self, protocol: asyncio.BaseProtocol) -> None:
        """The head of a request has come over the connection that this protocol serves."""
        line = self._lines.get(protocol)
        if line is not None:
            line.began = None

    def flow_of(self, protocol: asyncio.BaseProtocol | None) -> Flow | None:
        """What keeps an answer in step with the reader of the connection that this protocol serves."""
        line = None if protocol is None else self._lines.get(protocol)
        return None if line is None else line.flow

    async def watch(self) -> None:
        """End those that dawdle, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """End those that dawdle by now."""
        now = self._clock.monotonic()
        for line in list(self._lines.values()):
            slow_head = line.began is not None and now - line.began > HEAD_SECONDS
            if slow_head or (line.stuck is not None and now - line.stuck > WRITE_SECONDS):
                line.end()


class _Line(asyncio.Protocol):
    """One connection: hands everything to the server's own protocol, and keeps the time."""

    __slots__ = ("_all", "_inner", "_transport", "began", "data_received", "eof_received", "flow", "stuck")

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._inner, self._all = inner, connections
        self._transport: asyncio.Transport | None = None
        self.began: float | None = connections._clock.monotonic()
        """When the first request's head began to be waited for; None once it is there."""
        self.stuck: float | None = None
        """Since when the client reads more slowly than it is written to."""
        self.flow = Flow()
        self.data_received = inner.data_received  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._all._lines[self._inner] = self
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all._lines.pop(self._inner, None)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self.stuck = self._all._clock.monotonic()
        self._inner.pause_writing()
        self.flow.pause()

    def resume_writing(self) -> None:
        self.stuck = None
        self._inner.resume_writing()
        self.flow.resume()

    def end(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _Full(asyncio.Protocol):
    """For one connection too many: says so and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = cast(asyncio.Transport, transport)
        connection.write(_REFUSAL)
        connection.close()


def allowed_files(wanted: int) -> int:
    """Let this process open `wanted` files, and some, if the system lets it; how many connections that makes.

    Each needs two: the client's and the upstream's.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = 2 * wanted + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < need:
        raised = need if hard == resource.RLIM_INFINITY else min(need, hard)
        if raised > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
        return max(1, min(wanted, (soft - SPARE_FILES) // 2))
    return wanted
