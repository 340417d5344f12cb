"""Writing an upstream's answer to the caller as it came: its own status, headers and bytes, framed anew.

Past the library's response, which decodes and encodes each header and is woken for each chunk: a chunk's whole way is
from the one socket to the other.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from http import HTTPStatus

from aiohttp import web

from monitor.proxy.passing import to_client
from monitor.proxy.problems import SERVER
from monitor.proxy.upstream import Reply
from monitor.proxy.veil import Veil

_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Passed(web.StreamResponse):
    """The answer of `reply` to `request`. None of what writes it waits; the library itself writes nothing."""

    def __init__(self, request: web.BaseRequest, reply: Reply, veil: Veil) -> None:
        super().__init__(status=reply.status)
        self._request, self._reply, self._veil = request, reply, veil
        self._transport = request.transport
        modern = request.version >= (1, 1)
        self._has_body = request.method != "HEAD" and reply.status not in _BODILESS
        self._is_chunked = modern and self._has_body and reply.length is None
        self._stays = request.keep_alive is True and (modern or reply.length is not None)

    @property
    def keep_alive(self) -> bool:
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> None:
        """For the library: it is written already."""

    async def write_eof(self, data: bytes = b"") -> None:
        """For the library: it is ended already."""

    def whole(self, body: bytes) -> None:
        """All of it in one write. Raises ConnectionResetError when the caller has left."""
        self._send(self._head() + body)

    def begin(self) -> None:
        """Its head. Raises ConnectionResetError when the caller has left."""
        self._send(self._head())

    def take(self, chunk: bytes) -> None:
        """The next bytes of its body. What nobody reads any more is dropped: the caller's end is told elsewhere."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._is_chunked else chunk)

    def end(self) -> None:
        """The proper end of its body."""
        if self._is_chunked and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")

    def break_off(self) -> bool:
        """End it in the midst, so that the caller sees it: what it waits for is missing. False when it has left."""
        transport = self._transport
        self._stays = False
        if transport is None or transport.is_closing():
            return False
        if self._request.version >= (1, 1):
            transport.close()
            return True
        # In HTTP/1.0 the end of the connection may be the proper end of the body: only a reset tells.
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        return True

    def _send(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the caller has left")
        self._transport.write(data)

    def _head(self) -> bytes:
        reply, version = self._reply, self._request.version
        lines = [b"HTTP/%d.%d %d %b" % (version[0], version[1], reply.status, reply.reason)]
        headers = to_client(reply.raw_headers)
        lines += [b"%b: %b" % pair for pair in headers]
        if not any(name.lower() == b"server" for name, _ in headers):
            lines.append(b"Server: " + SERVER.encode())
        if reply.length is not None and reply.status != HTTPStatus.NO_CONTENT:
            lines.append(b"Content-Length: %d" % reply.length)
        elif self._is_chunked:
            lines.append(b"Transfer-Encoding: chunked")
        if not self._stays:
            lines.append(b"Connection: close")
        elif version < (1, 1):
            lines.append(b"Connection: keep-alive")
        lines.append(b"\r\n")
        return self._veil.over(b"\r\n".join(lines))


class Flow:
    """Keeps what comes from the upstream in step with what one caller reads."""

    __slots__ = ("reply",)

    def __init__(self) -> None:
        self.reply: Reply | None = None

    def pause(self) -> None:
        if self.reply is not None:
            self.reply.pause()

    def resume(self) -> None:
        if self.reply is not None:
            self.reply.resume()


@contextlib.contextmanager
def joined(flow: Flow | None, reply: Reply) -> Iterator[None]:
    """While this lasts, `reply` comes no faster than it is read."""
    if flow is not None:
        flow.reply = reply
    try:
        yield
    finally:
        if flow is not None:
            flow.reply = None
