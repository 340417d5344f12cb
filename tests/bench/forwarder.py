"""The least that a proxy of asyncio can be: bytes from the one socket to the other, nothing read, nothing booked.

`python -m tests.bench.forwarder PORT` prints its own port and hands on to PORT until its standard input closes.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast


class _End(asyncio.Protocol):
    """One of the two ends of a connection; what it hears, the other says."""

    def __init__(self, upstream: int | None, other: _End | None = None) -> None:
        self._upstream, self._other = upstream, other
        self._early: list[bytes] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self._upstream is not None:
            self._task = asyncio.create_task(self._connect(self._upstream))

    async def _connect(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        _, other = await loop.create_connection(lambda: _End(None, self), "127.0.0.1", port)
        self._other = other
        for data in self._early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self._other is None or self._other.transport is None:
            self._early.append(data)
        else:
            self._other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._other is not None and self._other.transport is not None:
            self._other.transport.close()


async def main(upstream: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _End(upstream), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
