"""The server: which connections there are, how many there may be, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from typing import cast

from monitor.clock import Clock
from monitor.serving.connection import HEAD_SECONDS, Connection
from monitor.serving.messages import Handler, told

BACKLOG = 1024
LOOK_SECONDS = 1.0
"""How often all connections are looked at: cheaper than a timer for each."""

PATIENCE_SECONDS = 5.0
"""How long answers under way may take when the server ends."""

SPARE_FILES = 256
"""Of the open files that the system allows: for the store, the polls, and what else a process opens."""


class Server:
    """Answers requests by `handle`, over `most` connections at once."""

    def __init__(self, handle: Handler, clock: Clock, most: int = 256) -> None:
        self._handle, self._clock, self._most = handle, clock, most
        self._connections: set[Connection] = set()
        self._changed = asyncio.Event()
        self._is_ending = False

    def __repr__(self) -> str:
        return f"<Server: {len(self)} of {self._most} connections>"

    def __len__(self) -> int:
        return len(self._connections)

    @contextlib.asynccontextmanager
    async def serving(self, listening: socket.socket, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        """Answer on the socket while the block runs; what is being answered at its end may take a few seconds more."""
        patience = None if tls is None else HEAD_SECONDS
        loop = asyncio.get_running_loop()
        acceptor = await loop.create_server(
            self._connection, sock=listening, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=patience
        )
        watch = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            acceptor.close()
            await self._end()
            watch.cancel()

    def look(self) -> None:
        """End the connections that dawdle by now."""
        now = self._clock.monotonic()
        for connection in list(self._connections):
            connection.look(now)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    async def _end(self) -> None:
        """Let what is being answered be answered, and what is written be read, for a while."""
        self._is_ending = True
        for connection in list(self._connections):
            connection.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self._connections:
                    self._changed.clear()
                    await self._changed.wait()
        for connection in list(self._connections):
            connection.abort()

    def _connection(self) -> asyncio.Protocol:
        if len(self._connections) >= self._most:
            return _Full(self._clock)
        return Connection(self._handle, self._clock, self._opened, self._closed)

    def _opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self._is_ending:
            connection.end()  # a handshake that was under way

    def _closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._changed.set()


class _Full(asyncio.Protocol):
    """For one connection too many: says so and hangs up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = cast(asyncio.Transport, transport)
        full = told(503, "The daemon has as many connections as it may have.", {"Retry-After": "1"})
        connection.write(full.render(None, False, self._clock.now()))
        connection.close()


def allowed_files(wanted: int) -> int:
    """Let this process open files for `wanted` connections, if the system does; how many connections it does let.

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
