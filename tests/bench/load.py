"""As little client as asks correctly: many connections at once on one loop, so that what is timed is the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

from tests.bench.server import MODEL, SPACED_HEADER


def request(port: int, *, base: str = "/api/v1", stream: bool = False, spaced: str = "") -> bytes:
    """A call as an SDK sends it."""
    messages = [{"role": "user", "content": "What is machine learning?"}]
    body = json.dumps({"model": MODEL, "messages": messages, "stream": stream}).encode()
    head = [
        f"POST {base}/chat/completions HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        "Authorization: Bearer sk-or-v1-bench",
        "User-Agent: bench",
        "Accept: */*",
        *([f"{SPACED_HEADER}: {spaced}"] if spaced else []),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(head).encode() + body


_END = b"0\r\n\r\n"


class _Caller(asyncio.Protocol):
    """Asks again as soon as it is answered, while `left` has calls left. Takes note of chunks if `chunk` is given."""

    def __init__(self, asked: bytes, left: list[int], chunk: Callable[[bytes], None] | None) -> None:
        self._asked, self._left, self._chunk = asked, left, chunk
        self._heard = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        if self._left[0] <= 0:
            self._transport.close()
            self.done.set_result(None)
            return
        self._left[0] -= 1
        self._heard = b""
        self._transport.write(self._asked)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._chunk is not None:
            self._chunk(data)
        self._heard += data
        head, found, body = self._heard.partition(b"\r\n\r\n")
        if not found:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(self._heard[:500].decode("latin-1")))
            self._transport.close()
        elif _is_whole(head.lower(), body):
            self._next()
        elif self._chunk is not None:
            # Of a stream only the end is waited for: to keep all of it would cost more with each chunk.
            self._heard = b"HTTP/1.1 200\r\n\r\n" + body[-len(_END) :]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the connection was lost"))


def _is_whole(head: bytes, body: bytes) -> bool:
    at = head.find(b"content-length:")
    return body.endswith(_END) if at < 0 else len(body) >= int(head[at + 15 :].split(b"\r\n", 1)[0])


async def ask(port: int, at_once: int, calls: int, asked: bytes, chunk: Callable[[bytes], None] | None = None) -> None:
    """Make so many calls over so many connections."""
    loop, left, callers = asyncio.get_running_loop(), [calls], []
    for _ in range(at_once):
        _, caller = await loop.create_connection(lambda: _Caller(asked, left, chunk), "127.0.0.1", port)
        callers.append(caller)
    await asyncio.gather(*(caller.done for caller in callers))


def delays(port: int, streams: int, spaced: str) -> list[float]:
    """How long each chunk of so many streams at once was on its way, in microseconds. `spaced`: pace or lockstep."""
    found: list[float] = []

    def note(data: bytes) -> None:
        now = time.monotonic_ns()
        for part in data.split(b'"sent": ')[1:]:
            found.append((now - int(part.split(b"}", 1)[0])) / 1000.0)

    asyncio.run(ask(port, streams, streams, request(port, stream=True, spaced=spaced), note))
    return found
