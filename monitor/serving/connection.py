"""One connection of a client. httptools (Node's parser) reads its HTTP; here is what becomes of what it reads.

Requests are answered one after the other, each by a task of its own. When the client leaves, the task is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

from monitor.clock import Clock
from monitor.serving.messages import HELD_LIMIT, Answer, BrokenBody, Handler, Request, Response, Source, Written, told

HEAD_SECONDS = 20.0
"""For a request's head, from its first byte; of the first request, from the beginning of the connection."""

KEEP_ALIVE_SECONDS = 75.0
"""How long a connection may rest between two requests."""

WRITE_SECONDS = 60.0
"""How long a client may leave unread what was sent to it."""

LINGER_SECONDS = 2.0
"""How long the rest of a body is taken that nobody wants, so that its sender sees the answer."""

HEAD_LIMIT = 32 * 1024
"""Bytes of a request's head."""

HEADERS_LIMIT = 128
QUEUE_LIMIT = 16
"""Requests that a client may send before the first of them is answered."""

_TOO_LARGE = f"The head of the request is larger than {HEAD_LIMIT} bytes or {HEADERS_LIMIT} lines."

log = logging.getLogger("monitor.serving")


class Connection(asyncio.Protocol):
    """Serves one client by `handle`. `opened` and `closed` are told of its beginning and end."""

    def __init__(
        self,
        handle: Handler,
        clock: Clock,
        opened: Callable[[Connection], None],
        closed: Callable[[Connection], None],
    ) -> None:
        self._handle, self._clock, self._opened, self._closed = handle, clock, opened, closed
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.source: Source | None = None
        self.deadline: float | None = None
        """Until when (monotonic seconds) what is waited for must have come; None while an answer is made."""
        self._stuck_until: float | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._received: Request | None = None
        """The request that is being received."""
        self._target = b""
        self._head_size = 0
        """Bytes of its head in the chunks before this one; more than 0 while it is not whole."""
        self._chunk_size = self._begun = 0
        self._unframed = 0
        """Bytes since the last one of a body."""
        self._queue: deque[Request] = deque()
        self._served: Request | None = None
        """The request that is being answered."""
        self._task: asyncio.Task[None] | None = None
        self._is_deaf = False
        """Whether what else comes is dropped unread."""
        self._complaint: Response | None = None
        """What is said at last, after the answers that are owed."""
        self._is_ending = self._lingers = self._is_paused = self._is_replaying = False

    # ---- what the server says ----

    @property
    def is_busy(self) -> bool:
        return self._task is not None

    def look(self, now: float) -> None:
        """End it if it dawdles."""
        for until in (self.deadline, self._stuck_until):
            if until is not None and now > until:
                self.abort()

    def end(self) -> None:
        """Serve no further request."""
        self._is_ending = True
        if self._task is None:
            self._hang_up()

    def abort(self) -> None:
        """End it at once, whatever is unsent."""
        if self.transport is not None:
            self.transport.abort()

    # ---- what the socket says ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            # asyncio does so only for sockets that were made for TCP by its number. Without it what follows an answer's
            # head waits for the client to acknowledge the head, which takes 40 ms.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.deadline = self._clock.monotonic() + HEAD_SECONDS
        self._opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_deaf = True
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()
        self._closed(self)

    def eof_received(self) -> None:
        """The client has left, or says no more: nobody waits for what is not sent yet."""
        self._close()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._stuck_until = self._clock.monotonic() + WRITE_SECONDS
        if self.source is not None:
            self.source.pause()

    def resume_writing(self) -> None:
        self._stuck_until = None
        if self.source is not None:
            self.source.resume()
        if self._task is None and not self._is_over:
            self._next()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        before = self._received
        at_rest = before is None or before.is_whole
        self._chunk_size, self._begun = len(data), 0
        self._unframed += len(data)
        self._feed(data)
        if self._head_size:
            self._wait_for_head(before, at_rest)
        elif self._unframed > HEAD_LIMIT and not (self._lingers or before is None or before.is_whole):
            self._garbled(431, _TOO_LARGE)  # between or behind the chunks of a body

    def _wait_for_head(self, before: Request | None, at_rest: bool) -> None:
        """The chunk ended in the midst of a head. `before` is what was received before it; `at_rest`: nothing."""
        if self._received is before or (at_rest and self._begun == 1):
            # All of the chunk is of this head. Else its beginning is not, and is let off.
            self._head_size += self._chunk_size
            if self._head_size > HEAD_LIMIT:
                self._garbled(431, _TOO_LARGE)
        if self._received is not before and self._task is None and not self._lingers:
            self.deadline = self._clock.monotonic() + HEAD_SECONDS

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self._stay(data[exc.args[0] :])
        except httptools.HttpParserError:
            self._garbled(400, "This is no HTTP/1.1, or HTTP that could be read in two ways.")

    def _stay(self, rest: bytes) -> None:
        """A wish for another protocol is ignored, as HTTP allows. The parser would take the body for that protocol's:
        another one goes on after the head.
        """
        request = self._received
        if self._is_deaf or request is None:
            return
        framing = [
            b"%b: %b\r\n" % pair
            for pair in request.raw_headers
            if pair[0].lower() in (b"content-length", b"transfer-encoding")
        ]
        self._parser = httptools.HttpRequestParser(self)
        self._is_replaying = True
        self._feed(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(framing))
        self._is_replaying = False
        if rest and not self._is_deaf:
            self._feed(rest)

    def _garbled(self, status: int, message: str) -> None:
        """What comes cannot be read, and nothing after it."""
        if self._is_deaf:
            return
        self._is_deaf = True
        request = self._received
        if request is not None and not self._head_size and not request.is_whole:
            request.end(BrokenBody())  # whoever reads its body will say so
            return
        self._complaint = told(status, message)
        if self._task is None and not self._queue:
            self._hang_up()

    # ---- what the parser says ----

    def on_message_begin(self) -> None:
        if self._is_replaying or self._is_deaf:
            return
        self._received = Request(self)
        self._target, self._head_size, self._unframed = b"", 1, 0
        self._begun += 1

    def on_url(self, piece: bytes) -> None:
        if not self._is_replaying:
            self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_size and self._received is not None:  # what comes after the body is for nobody
            self._received.raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._is_replaying or self._is_deaf:
            return
        request, parser = self._received, self._parser
        assert request is not None
        request.target = self._target.decode("utf-8", "surrogateescape")
        request.method = parser.get_method().decode("ascii")
        version = parser.get_http_version()
        request.is_modern = version != "1.0"
        request.keep_alive = parser.should_keep_alive()
        request.head_is_here()
        too_large = self._head_size + self._chunk_size > HEAD_LIMIT and request.head_size > HEAD_LIMIT
        self._head_size = 0
        if too_large or len(request.raw_headers) > HEADERS_LIMIT:
            self._unfit(431, _TOO_LARGE)
        elif version not in ("1.0", "1.1"):
            self._unfit(505, "This speaks HTTP/1.1.")
        elif objection := request.objection():
            self._unfit(400, objection)
        elif len(self._queue) >= QUEUE_LIMIT:
            self._unfit(400, f"More than {QUEUE_LIMIT} requests wait for an answer on this connection.")
        else:
            self._queue.append(request)
            if self._task is None:
                self._next()

    def on_body(self, piece: bytes) -> None:
        if self._is_deaf or (request := self._received) is None:
            return
        self._unframed = 0
        request.take(piece)
        if request.size > HELD_LIMIT and request is not self._served and not self._lingers:
            # Nobody reads it before its turn comes, and who is not read is not seen to leave.
            self._queue.remove(request)
            self._unfit(413, f"A request that waits for its turn has more than {HELD_LIMIT} bytes.")

    def on_message_complete(self) -> None:
        if self._is_deaf or self._received is None:
            return
        if self._parser.should_upgrade():
            return  # `_stay` reads its body
        self._received.end()
        if self._lingers:
            self._close()
        else:
            self.resume_body()  # else neither the next request is heard nor that the client leaves

    def _unfit(self, status: int, message: str) -> None:
        self._received = None
        self._garbled(status, message)

    # ---- answering ----

    def _next(self) -> None:
        """Answer the next request. Not while the client leaves answers unread: they would pile up here."""
        if self._stuck_until is not None:
            self.deadline = None
        elif self._queue:
            self.deadline, self._served = None, self._queue.popleft()
            self._task = self._loop.create_task(self._serve(self._served))
        elif self._is_deaf:
            self._hang_up()
        else:
            self.deadline = self._clock.monotonic() + (HEAD_SECONDS if self._head_size else KEEP_ALIVE_SECONDS)

    async def _serve(self, request: Request) -> None:
        try:
            stays = self._write(request, await self._handle(request))
        except BaseException as exc:
            self.cut()
            if isinstance(exc, Exception):
                log.exception("a request could not be answered")
                return
            raise
        finally:
            self._task, self._served, self.source = None, None, None
            if self._received is request and request.is_whole:
                self._received = None  # a connection at rest holds no body
        if not stays or self._is_ending:
            self._complaint = None  # what came after the last request is not looked at
            self._hang_up()
        else:
            self._next()

    def _write(self, request: Request, answer: Answer) -> bool:
        """Write the answer, unless that is done; whether the connection may serve another request."""
        if isinstance(answer, Written):
            return answer.stays and request.is_whole
        stays = request.keep_alive and request.is_whole and not (answer.closes or self._is_ending)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(answer.render(request, stays, self._clock.now()))
        return stays

    def cut(self) -> bool:
        """End the answer that is being written in the midst, so that the client sees it. False when it has left."""
        transport, request = self.transport, self._served
        if transport is None or transport.is_closing():
            return False
        if request is not None and not request.is_modern:
            # In HTTP/1.0 the end of the connection may be the proper end of the body: only a reset tells.
            connection = transport.get_extra_info("socket")
            if connection is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            self._close()
        return True

    def pause_body(self) -> None:
        """Take no more of a body that nobody reads yet."""
        if not self._is_paused and self.transport is not None:
            self._is_paused = True
            self.transport.pause_reading()

    def resume_body(self) -> None:
        """Take the rest of it."""
        if self._is_paused and self.transport is not None:
            self._is_paused = False
            self.transport.resume_reading()

    def _hang_up(self) -> None:
        """End it in order. While the client still sends, closing would take the answer away from it."""
        transport, request = self.transport, self._received
        if transport is None or transport.is_closing() or self._lingers:
            return
        if self._complaint is not None:
            transport.write(self._complaint.render(None, False, self._clock.now()))
        sends = request is not None and not request.is_whole
        if not (sends or self._is_deaf):
            self._close()
            return
        self._lingers = True
        self._is_deaf |= self._head_size > 0
        self._queue.clear()
        self.deadline = self._clock.monotonic() + LINGER_SECONDS
        if request is not None:
            request.drop()
        if transport.can_write_eof():
            transport.write_eof()
        self.resume_body()

    @property
    def _is_over(self) -> bool:
        """Whether nothing more is answered."""
        return self._lingers or self.transport is None or self.transport.is_closing()

    def _close(self) -> None:
        self._is_deaf = True
        self._queue.clear()
        if self.transport is not None:
            self.deadline = self._clock.monotonic() + WRITE_SECONDS
            self.transport.close()
