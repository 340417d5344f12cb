"""Writing an upstream's answer to the caller as it came: its own status, headers and bytes, framed anew.

A chunk's whole way is from the one socket to the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http import HTTPStatus

from monitor.proxy.passing import to_client
from monitor.proxy.problems import SERVER
from monitor.proxy.upstream import Reply
from monitor.proxy.veil import Veil
from monitor.serving.messages import BODILESS, Line, Request, Written


class Passed(Written):
    """The answer of `reply` to `request`. None of what writes it waits."""

    def __init__(self, request: Request, reply: Reply, veil: Veil) -> None:
        self._request, self._reply, self._veil = request, reply, veil
        self._transport = request.line.transport
        has_body = request.method != "HEAD" and reply.status not in BODILESS
        self._is_chunked = request.is_modern and has_body and reply.length is None
        is_framed = request.is_modern or reply.length is not None
        self.stays = request.keep_alive and request.is_whole and is_framed

    def whole(self, body: bytes) -> None:
        """All of it in one write; nothing when the caller has left, too late to matter."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(self._head() + body)

    def begin(self) -> None:
        """Its head. Raises ConnectionResetError when the caller has left."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the caller has left")
        self._transport.write(self._head())

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
        self.stays = False
        return self._request.line.cut()

    def _head(self) -> bytes:
        reply, version = self._reply, b"1.1" if self._request.is_modern else b"1.0"
        lines = [b"HTTP/%b %d %b" % (version, reply.status, reply.reason)]
        is_named = False
        for name, value in to_client(reply.raw_headers):
            lines.append(name + b": " + value)
            is_named = is_named or name.lower() == b"server"
        if not is_named:
            lines.append(b"Server: " + SERVER.encode())
        if reply.length is not None and reply.status != HTTPStatus.NO_CONTENT:
            lines.append(b"Content-Length: %d" % reply.length)
        elif self._is_chunked:
            lines.append(b"Transfer-Encoding: chunked")
        if not self.stays:
            lines.append(b"Connection: close")
        elif not self._request.is_modern:
            lines.append(b"Connection: keep-alive")
        lines.append(b"\r\n")
        return self._veil.over(b"\r\n".join(lines))


@contextlib.contextmanager
def joined(line: Line, reply: Reply) -> Iterator[None]:
    """While this lasts, `reply` comes no faster than it is read."""
    line.source = reply
    try:
        yield
    finally:
        line.source = None
