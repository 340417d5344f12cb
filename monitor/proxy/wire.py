"""One connection to the upstream. httptools (Node's parser) reads its HTTP; here is what becomes of what it reads.

The bytes of a body go straight from the socket's callback to whoever takes them: no task is woken for each chunk, which
costs more than all the rest of its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

HEAD_LIMIT = 128 * 1024
"""Bytes of an answer's head."""

HELD_LIMIT = 256 * 1024
"""Bytes of a body that are held before somebody takes them."""

Taker = Callable[[bytes], None]


class UpstreamError(Exception):
    """The upstream gave no answer, or not all of it."""


class Unreachable(UpstreamError):
    """There is no connection, so nothing was sent."""


class Broken(UpstreamError):
    """The connection ended in the midst of it, or what came is no HTTP."""


class Silent(UpstreamError):
    """Nothing came for too long."""


class Wire(asyncio.Protocol):
    """Asks once at a time. `freed` is told when the connection can be used again, `lost` when it is gone."""

    def __init__(self, freed: Callable[[Wire], None], lost: Callable[[Wire], None]) -> None:
        self._freed, self._lost = freed, lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self.heard_at = 0.0
        """When the other side was last heard, or asked."""
        self.is_paused = False
        self.serial = 0
        """Which of its requests this connection is at: whoever is late must not end the next one."""
        self._reset(False)

    def _reset(self, headless: bool) -> None:
        self.status, self.reason, self.length = 0, b"", cast("int | None", None)
        self.headers: list[tuple[bytes, bytes]] = []
        self._is_head = headless
        self._is_interim = self._is_known = self._is_chunked = self._is_whole = self._is_reusable = False
        self._size = 0
        self._held: list[bytes] = []
        self._taker: Taker | None = None
        self._error: UpstreamError | None = None
        self._head: asyncio.Future[None] | None = None
        self._end: asyncio.Future[None] | None = None

    # ---- asking ----

    @property
    def is_usable(self) -> bool:
        """Whether it can be asked."""
        return self._transport is not None and not self._transport.is_closing() and self._parser is None

    async def ask(self, request: bytes, *, is_head: bool = False) -> None:
        """Send a request; returns when the answer's head has come. Raises Broken or Silent. A cancellation ends it."""
        assert self._transport is not None
        self._reset(is_head)
        self.serial += 1
        self._parser = httptools.HttpResponseParser(self)
        self._head = self._loop.create_future()
        self.heard_at = self._loop.time()
        self._transport.write(request)
        try:
            await self._head
        except asyncio.CancelledError:
            self.abort()
            raise

    async def read(self) -> bytes:
        """All of the body. Raises Broken or Silent."""
        if self._is_whole:
            held, self._held = self._held, []
            self._release()
            return held[0] if len(held) == 1 else b"".join(held)
        parts: list[bytes] = []
        await self.take(parts.append)
        return b"".join(parts)

    async def take(self, taker: Taker) -> None:
        """Give each piece of the body to `taker` as it comes; returns at its end. Raises Broken or Silent."""
        held, self._held = self._held, []
        self.resume()  # first: whoever takes what is held may pause it again
        for piece in held:
            taker(piece)
        if self._is_whole:
            self._release()
            return
        if self._error is not None:
            raise self._error
        self._taker, self._size = taker, 0
        self._end = end = self._loop.create_future()
        await end

    def pause(self) -> None:
        """Take no more for now: whoever takes it cannot pass it on as fast."""
        if not self.is_paused and self._transport is not None:
            self.is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self.is_paused and self._transport is not None:
            self.is_paused = False
            self.heard_at = self._loop.time()
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send the beginning of what is then asked."""
        assert self._transport is not None
        self._transport.write(data)

    def abort(self) -> None:
        """End the connection, unless the answer has come to its end."""
        if self._is_whole:
            self._release()
        elif self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def fail(self, error: UpstreamError) -> None:
        """End it with an error for whoever waits."""
        if self._error is None and not self._is_whole:
            self._error = error
            for waits in (self._head, self._end):
                if waits is not None and not waits.done():
                    waits.set_exception(error)
        if self._transport is not None:
            self._transport.abort()

    # ---- what the socket says ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            self.close()  # nobody asked
            return
        self.heard_at = self._loop.time()
        may_be_large = not self._is_known and self._size + len(data) > HEAD_LIMIT
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as exc:
            if not self._is_whole:
                self.fail(Broken(f"what it sent is no HTTP: {exc}"))
                return
            self._is_reusable = False
        except httptools.HttpParserUpgrade:
            self.fail(Broken("it switched to another protocol"))
            return
        if may_be_large and not (self._is_known and self._head_size() <= HEAD_LIMIT):
            self.fail(Broken("the head of the answer is too large"))
            return
        if not self._is_known:
            self._size += len(data)
        if self._is_whole and (self._taker is not None or self._is_head):
            self._release()  # else whoever takes what is held does so

    def _head_size(self) -> int:
        return sum(len(name) + len(value) + 4 for name, value in self.headers)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._parser is not None and not self._is_whole:
            if exc is None and self._is_known and self.length is None and not self._is_chunked:
                self._ended()  # the end of the connection is the end of such a body
            else:
                self.fail(Broken("the connection was lost" if exc is None else f"the connection was lost: {exc}"))
        self._parser = None
        self._lost(self)

    # ---- what the parser says; what comes after the answer was not asked for ----

    def on_status(self, reason: bytes) -> None:
        if not self._is_whole:
            self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if not (self._is_whole or self._is_known):  # what comes after the body is passed to nobody
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._is_whole:
            return
        assert self._parser is not None
        self.status = self._parser.get_status_code()
        if self.status < 200:
            self._is_interim = True
            return
        for name, value in self.headers:
            low = name.lower()
            if low == b"content-length":
                self.length = int(value)
            elif low == b"transfer-encoding":
                self._is_chunked = True
        if self._is_chunked:
            self.length = None
        self._is_known, self._size = True, 0
        if self._head is not None and not self._head.done():
            self._head.set_result(None)
        if self._is_head:
            self._ended()

    def on_body(self, piece: bytes) -> None:
        if self._is_whole:
            return
        if self._taker is not None:
            self._taker(piece)
            return
        self._held.append(piece)
        self._size += len(piece)
        if self._size > HELD_LIMIT:
            self.pause()

    def on_message_complete(self) -> None:
        if self._is_interim:
            self._is_interim, self.headers, self.reason = False, [], b""
            return
        if self._is_whole:
            self._is_reusable = False
            return
        assert self._parser is not None
        self._is_reusable = self._parser.should_keep_alive()
        self._ended()

    def on_message_begin(self) -> None:
        if self._is_whole:
            self._is_reusable = False

    def _ended(self) -> None:
        self._is_whole = True
        if self._end is not None and not self._end.done():
            self._end.set_result(None)

    def _release(self) -> None:
        if self._parser is None:
            return
        self._parser = None
        if self._is_reusable and self._transport is not None and not self._transport.is_closing():
            self.resume()
            self._freed(self)
        else:
            self.close()
