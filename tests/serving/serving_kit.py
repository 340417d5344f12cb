"""A server on a thread of its own, spoken to by hand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

from monitor.clock import Clock
from monitor.serving.messages import BrokenBody, Handler, Request, Response
from monitor.serving.server import Server

WAIT = 30.0
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Served:
    """A server that answers by `handle`; `do` runs a function on its loop."""

    server: Server

    def __init__(self, handle: Handler, clock: Clock, most: int) -> None:
        self._handle, self._clock, self._most = handle, clock, most
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._started.wait(WAIT)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End the server in order."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(WAIT)
        assert not self._thread.is_alive()

    def do(self, work: Callable[[], Any]) -> Any:
        async def on_loop() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(on_loop(), self.loop).result(WAIT)

    def until(self, work: Callable[[], Any]) -> None:
        """Turn the loop until it is so."""

        async def on_loop() -> None:
            async with asyncio.timeout(WAIT):
                while not work():
                    await asyncio.sleep(0.001)

        asyncio.run_coroutine_threadsafe(on_loop(), self.loop).result(2 * WAIT)

    def connect(self) -> socket.socket:
        return socket.create_connection(self._listening.getsockname()[:2], WAIT)

    def ask(self, data: bytes) -> bytes:
        """All that comes back until the server ends the connection."""
        with self.connect() as connection:
            connection.sendall(data)
            return rest(connection)

    async def _serve(self) -> None:
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.server = Server(self._handle, self._clock, self._most)
        async with self.server.serving(self._listening):
            self._started.set()
            await self._stop.wait()


def rest(connection: socket.socket) -> bytes:
    """What comes until the end of the connection."""
    raw = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            raw += more
    return raw


def head(*lines: str, first: str = "POST /a HTTP/1.1") -> bytes:
    return "\r\n".join([first, "Host: x", *lines, "", ""]).encode()


async def echo(request: Request) -> Response:
    """Tells what it was asked."""
    try:
        while not request.is_whole:
            await request.more()
    except BrokenBody:
        return Response(400, b"broken", closes=True)
    return Response(200, b"[%b %b %b]" % (request.method.encode(), request.target.encode(), request.body))


def bodies(raw: bytes) -> list[bytes]:
    """What `echo` told, in order."""
    return [part.partition(b"]")[0] for part in raw.split(b"[")[1:]]
