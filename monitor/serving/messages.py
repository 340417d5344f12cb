"""A request as it came, and an answer as it goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from monitor.transport.headers import lower_case

HELD_LIMIT = 64 * 1024
"""Bytes of a body that are held before somebody reads it."""

BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
"""Statuses whose answers have no body, whatever their headers say (RFC 9110, 6.4.1)."""

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class BrokenBody(Exception):
    """The rest of a request's body is no HTTP."""


class Source(Protocol):
    """What an answer is read from while it is written."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Line(Protocol):
    """What a request knows of the connection that it came over."""

    source: Source | None
    """It is paused while the other side reads more slowly than it is written to."""

    @property
    def transport(self) -> asyncio.Transport | None: ...
    def cut(self) -> bool: ...
    def pause_body(self) -> None: ...
    def resume_body(self) -> None: ...


class Request:
    """One request. Its head is whole; its body comes as it is sent, and is held back until it is read."""

    __slots__ = (
        "_error",
        "_first",
        "_is_wanted",
        "_rest",
        "_waiter",
        "has_body",
        "headers",
        "is_modern",
        "is_whole",
        "keep_alive",
        "length",
        "line",
        "method",
        "raw_headers",
        "size",
        "target",
    )

    def __init__(self, line: Line) -> None:
        self.line = line
        self.method = self.target = ""
        """`target` is path and query as they were sent."""
        self.is_modern = True
        """Whether it speaks HTTP/1.1 rather than 1.0."""
        self.keep_alive = True
        """Whether the connection may serve another request after it."""
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.headers: dict[str, str] = {}
        """By lower-case names; a header that stands twice is joined with a comma."""
        self.length: int | None = None
        """Bytes of the body, as far as the head tells."""
        self.has_body = False
        self.is_whole = False
        """Whether all of the body is here."""
        self.size = 0
        """Bytes of the body that came."""
        self._is_wanted = True
        self._first = b""
        self._rest = bytearray()
        self._error: BrokenBody | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Request {self.method}>"

    @property
    def head_size(self) -> int:
        """Bytes of the head, about."""
        return len(self.target) + sum(len(name) + len(value) + 4 for name, value in self.raw_headers)

    def head_is_here(self) -> None:
        """Read the headers."""
        headers = self.headers = lower_case(self.raw_headers)
        length = headers.get("content-length")
        if length is not None:
            self.length, self.has_body = int(length), length != "0"
        elif "transfer-encoding" in headers:
            self.has_body = True

    def objection(self) -> str | None:
        """Why the head could be read in two ways, as far as the parser lets it pass."""
        headers = self.headers
        hosts = 1
        if len(headers) != len(self.raw_headers):
            hosts = sum(name.lower() == b"host" for name, _ in self.raw_headers)
        if hosts > 1 or (self.is_modern and "host" not in headers):
            return "The request must have one Host header."
        if "transfer-encoding" in headers and (headers["transfer-encoding"].lower() != "chunked" or not self.is_modern):
            return "Transfer-Encoding must be chunked, and nothing else, in HTTP/1.1."
        return None

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded; of a name that stands twice the first."""
        pairs = parse_qsl(self.target.partition("?")[2], keep_blank_values=True)
        return dict(reversed(pairs))

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return self._first + self._rest if self._rest else self._first

    async def more(self) -> None:
        """Wait until more of the body has come, or its end. Raises BrokenBody."""
        if self._error is None and not self.is_whole:
            self.line.resume_body()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._error is not None:
            raise self._error

    # ---- what the connection tells ----

    def take(self, piece: bytes) -> None:
        """The next bytes of the body."""
        if not self._is_wanted:
            return
        if self.size:
            self._rest += piece  # a list of a million pieces would take twenty times their bytes
        else:
            self._first = piece
        self.size += len(piece)
        if self._waiter is not None:
            self._wake()
        elif self.size > HELD_LIMIT:
            self.line.pause_body()

    def end(self, error: BrokenBody | None = None) -> None:
        """The body is here, or will never be."""
        self.is_whole, self._error = error is None, error
        self._wake()

    def drop(self) -> None:
        """Nobody will read what else comes of the body."""
        self._is_wanted, self._first, self._rest = False, b"", bytearray()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Response:
    """An answer in one piece. `closes` ends the connection after it."""

    def __init__(
        self, status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None, *, closes: bool = False
    ) -> None:
        self.status, self.body, self.closes = status, body, closes
        self.headers = dict(headers or {})

    def __repr__(self) -> str:
        return f"<Response {self.status}>"

    def render(self, request: Request | None, stays: bool, now: float) -> bytes:
        """As bytes, at `now` (epoch seconds). Raises ValueError for a header that would begin another line."""
        version = "1.1" if request is None or request.is_modern else "1.0"
        lines = [f"HTTP/{version} {self.status} {_PHRASES.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"Date: {formatdate(now, usegmt=True)}")
        if self.status not in BODILESS:
            lines.append(f"Content-Length: {len(self.body)}")
        if not stays:
            lines.append("Connection: close")
        elif version == "1.0":
            lines.append("Connection: keep-alive")
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header of an answer holds a line's end")
        head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
        bare = self.status in BODILESS or (request is not None and request.method == "HEAD")
        return head if bare else head + self.body


class Written:
    """An answer that was written as it came. `stays` is whether the connection may serve another request."""

    stays = False


Answer = Response | Written
Handler = Callable[[Request], Awaitable[Answer]]


def told(status: int, message: str, headers: Mapping[str, str] | None = None, *, closes: bool = False) -> Response:
    """An error, in the shape of OpenRouter's own."""
    body = json.dumps({"error": {"code": status, "message": message}}, ensure_ascii=False).encode()
    return Response(status, body, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, closes=closes)
