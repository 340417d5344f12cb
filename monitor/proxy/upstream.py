"""The way to OpenRouter: connections to the configured upstream, kept for the next call, and to nobody else.

Measured (CPU of a call at 16 at once): aiohttp's client costs 290 µs, this 60. It knows nothing but to send one request
and to hand on its answer: no redirects, cookies, sessions or decoding, none of which a proxy wants.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections import deque
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from monitor.config.addresses import url_is_loopback
from monitor.errors import ConfigError
from monitor.proxy.wire import Broken, Silent, Taker, Unreachable, UpstreamError, Wire

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 300.0
"""How long an answer may pause. OpenRouter sends a comment every few seconds while a model thinks."""

KEEP_SECONDS = 15.0
"""How long a connection is kept for the next call: shorter than any server does."""

LOOK_SECONDS = 1.0
LARGE = 256 * 1024
"""Bodies beyond so many bytes are handed to the socket by themselves: behind their head they would be copied."""

Pairs = list[tuple[bytes, bytes]]

__all__ = ["Broken", "Reply", "Silent", "Unreachable", "Upstream", "UpstreamError"]


class Upstream:
    """Sends requests to `base_url`. Enter it on the running loop. Raises ConfigError for a proxy that it cannot use."""

    def __init__(self, base_url: str, tls: ssl.SSLContext | None) -> None:
        self.base_url = base_url
        parts = urlsplit(base_url)
        self.root = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._named = parts.netloc.encode("ascii")
        self._tls = tls
        # Of two addresses, the one that answers sooner. This machine has but one that matters, and asyncio (3.11) loses
        # the socket of a race that is called off.
        self._race = None if url_is_loopback(base_url) else 0.25
        self._way = _proxy_for(base_url)
        self._idle: deque[Wire] = deque()
        self._busy: set[Wire] = set()
        self._watch: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Upstream {self.base_url}, {len(self._busy)} busy, {len(self._idle)} idle>"

    @property
    def busy(self) -> int:
        """Connections over which something is being asked."""
        return len(self._busy)

    async def __aenter__(self) -> Upstream:
        self._watch = asyncio.create_task(self._look_after())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        for wire in [*self._idle, *self._busy]:
            wire.close()

    async def send(self, method: str, url: str, headers: Pairs, body: bytes | None) -> Reply:
        """Send a request to a `url` below `root`; returns when the answer begins. A redirect is an answer.

        Raises Unreachable, Broken or Silent. When the task is cancelled the connection is closed.
        """
        request = self._request(method, url, headers, body)
        wire = self._kept() or await self._connect()
        self._busy.add(wire)
        if body is not None and len(body) > LARGE:
            wire.write(request)
            request = body
        elif body:
            request += body
        await wire.ask(request, is_head=method == "HEAD")
        return Reply(wire)

    def _request(self, method: str, url: str, headers: Pairs, body: bytes | None) -> bytes:
        target = url if self._way is not None and self._tls is None else url[len(self.root) :]
        lines = [name + b": " + value for name, value in headers]
        length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
        first = f"{method} {target} HTTP/1.1\r\n".encode("ascii")
        return b"%bHost: %b\r\n%b%b\r\n\r\n" % (first, self._named, length, b"\r\n".join(lines))

    # ---- connections ----

    def _kept(self) -> Wire | None:
        while self._idle:
            wire = self._idle.pop()  # the one used last: the others grow old, and are closed
            if wire.is_usable:
                return wire
        return None

    async def _connect(self) -> Wire:
        """A new connection. Raises Unreachable."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if self._way is not None:
                    return await self._by_way()
                name, race = self._host if self._tls is not None else None, self._race
                _, wire = await loop.create_connection(
                    self._wire, self._host, self._port, ssl=self._tls, server_hostname=name, happy_eyeballs_delay=race
                )
                return wire
        except TimeoutError:
            raise Unreachable(f"no connection to {self._host} within {CONNECT_SECONDS:g} s") from None
        except (OSError, UpstreamError) as exc:
            raise Unreachable(str(exc) or type(exc).__name__) from None

    async def _by_way(self) -> Wire:
        """A connection through the environment's proxy, which joins the two ends and sees nothing of what passes."""
        assert self._way is not None
        loop, way = asyncio.get_running_loop(), urlsplit(self._way)
        transport, wire = await loop.create_connection(self._wire, way.hostname or "", way.port or 80)
        if self._tls is None:
            return wire
        place = f"{self._host}:{self._port}"
        shown = ""
        if way.username is not None:
            secret = f"{unquote(way.username)}:{unquote(way.password or '')}".encode()
            shown = f"Proxy-Authorization: Basic {base64.b64encode(secret).decode()}\r\n"
        try:
            await wire.ask(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{shown}\r\n".encode())
            if wire.status != 200:
                raise Unreachable(f"the proxy of the environment answered {wire.status} to CONNECT")
            inner = self._wire()
            secure = await loop.start_tls(transport, inner, self._tls, server_hostname=self._host)
        except BaseException:
            transport.abort()
            raise
        assert secure is not None
        inner.connection_made(secure)
        return inner

    def _wire(self) -> Wire:
        return Wire(self._freed, self._lost)

    def _freed(self, wire: Wire) -> None:
        if wire in self._busy:
            self._busy.discard(wire)
            self._idle.append(wire)

    def _lost(self, wire: Wire) -> None:
        self._busy.discard(wire)
        with contextlib.suppress(ValueError):
            self._idle.remove(wire)

    async def _look_after(self) -> None:
        """End what is silent for too long, and what nobody uses."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = loop.time()
            for wire in list(self._busy):
                if not wire.is_paused and now - wire.heard_at > SILENCE_SECONDS:
                    wire.fail(Silent(f"nothing came for {SILENCE_SECONDS:g} s"))
            while self._idle and now - self._idle[0].heard_at > KEEP_SECONDS:
                self._idle.popleft().close()


class Reply:
    """An answer whose head has come. Read it to its end, or `abort`."""

    __slots__ = ("_serial", "_wire", "length", "raw_headers", "reason", "status")

    def __init__(self, wire: Wire) -> None:
        self._wire, self._serial = wire, wire.serial
        self.status, self.reason, self.length = wire.status, wire.reason, wire.length
        self.raw_headers = wire.headers

    def header(self, name: bytes) -> str:
        """The value of a header, by its name in lower case; "" without one."""
        return next((value.decode("latin-1") for each, value in self.raw_headers if each.lower() == name), "")

    async def read(self) -> bytes:
        """All of it. Raises Broken or Silent."""
        return await self._wire.read()

    async def take(self, taker: Taker) -> None:
        """Give what comes to `taker`, as it comes; returns at the end. Raises Broken or Silent."""
        await self._wire.take(taker)

    def pause(self) -> None:
        """Let no more come for now."""
        if self._is_current:
            self._wire.pause()

    def resume(self) -> None:
        if self._is_current:
            self._wire.resume()

    def abort(self) -> None:
        """Close the connection, unless the answer has come to its end: then it is kept for the next."""
        if self._is_current:
            self._wire.abort()

    @property
    def _is_current(self) -> bool:
        """Whether the connection is not at somebody else's request already."""
        return self._wire.serial == self._serial


def _proxy_for(base_url: str) -> str | None:
    """The environment's proxy for the upstream; none for this machine, or where `NO_PROXY` says so."""
    parts = urlsplit(base_url)
    if url_is_loopback(base_url) or proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if found is not None and urlsplit(found).scheme != "http":
        raise ConfigError(
            f"the proxy of the environment for {parts.scheme} is no http:// address.",
            hint=f"Name one that is, or put {parts.hostname} into NO_PROXY.",
        )
    return found
