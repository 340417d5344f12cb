"""The least that a proxy of asyncio can be: bytes from the one socket to the other, nothing read, nothing judged.

`python -m tests.bench.forwarder PORT` prints its own port and hands on to PORT until its standard input closes. With
the path of a store as well it books: before a request goes on, the end of the call before it and its own beginning.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import cast

from monitor.model import Ending, Outcome, Tier
from monitor.store import open_store
from monitor.store.protocol import OpenCall, Transaction
from tests.bench.server import MODEL


class _Books:
    """One transaction a request, of the ledger's own statements; nothing is read that a verdict would need."""

    def __init__(self, path: str) -> None:
        self._store = open_store(path)
        self._row, self._call = 0, self._beginning(0)

    def book(self) -> None:
        self._store.transact(self._end_and_begin)

    def _end_and_begin(self, tx: Transaction) -> None:
        ending, now = Ending(Outcome.SUCCESS, 200), time.time()
        if self._row:
            tx.close_call(self._row, ending, tier=Tier.FREE, cost_usd=0.0, at=now, ms=1.0)
            tx.add_totals(self._call, ending, tier=Tier.FREE, cost_usd=0.0, seconds=0.001)
        self._call = self._beginning(now)
        self._row = tx.open_call(self._call)
        tx.take_free("default", "bench", 1, now, self._row, 20)

    @staticmethod
    def _beginning(now: float) -> OpenCall:
        return OpenCall(now, "bench", "default", "chat", MODEL, Tier.FREE, False, 1, "call", lease_until=now + 900)


class _End(asyncio.Protocol):
    """One of the two ends of a connection; what it hears, the other says."""

    def __init__(self, upstream: int | None, other: _End | None = None, books: _Books | None = None) -> None:
        self._upstream, self._other, self._books = upstream, other, books
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
            if self._books is not None:
                self._books.book()
            self._other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._other is not None and self._other.transport is not None:
            self._other.transport.close()


async def main(upstream: int, books: _Books | None) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _End(upstream, books=books), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), _Books(sys.argv[2]) if len(sys.argv) > 2 else None))
