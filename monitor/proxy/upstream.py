"""The way to OpenRouter: one pool of connections to the configured upstream, and to nobody else.

aiohttp's client: of those measured it costs the least at many calls at once, and the daemon has it already.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from monitor.config.addresses import url_is_loopback

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 300.0
"""How long an answer may pause. OpenRouter sends a comment every few seconds while a model thinks."""

LARGE = 512 * 1024
"""Bodies beyond so many bytes are sent in parts, for one write of all would hold up the loop."""

_HEADER_LIMIT = 32 * 1024
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
"""Raised before a byte of the request can have reached OpenRouter."""

BROKEN = (aiohttp.ClientError, OSError, TimeoutError, ValueError)
"""What the client raises for an upstream that is not there, breaks off, or does not speak HTTP."""


class Upstream:
    """Sends requests to `base_url`. Enter it on the running loop."""

    def __init__(self, base_url: str, tls: ssl.SSLContext | None) -> None:
        self.base_url = base_url
        parts = urlsplit(base_url)
        self.root = f"{parts.scheme}://{parts.netloc}"
        self._tls = tls
        self._proxy = _proxy_for(base_url)
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<Upstream {self.base_url}>"

    async def __aenter__(self) -> Upstream:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, ssl=self._tls if self._tls is not None else True),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_AUTOMATIC,
            max_line_size=_HEADER_LIMIT,
            max_field_size=_HEADER_LIMIT,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, method: str, url: str, headers: CIMultiDict[str], body: bytes | None) -> Reply:
        """Send a request; returns when the answer begins. A redirect is an answer: the key follows none.

        Raises one of NEVER_SENT or BROKEN. When the task is cancelled the connection is closed.
        """
        assert self._session is not None
        data: Any = body
        if body is not None and len(body) > LARGE:
            headers = CIMultiDict([*headers.items(), ("Content-Length", str(len(body)))])
            data = _parts(body)
        response = await self._session.request(
            method, URL(url, encoded=True), headers=headers, data=data, allow_redirects=False, proxy=self._proxy
        )
        return Reply(response)


class Reply:
    """An answer whose head has come. Read it to its end, or `abort`."""

    __slots__ = ("_response", "length", "raw_headers", "reason", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status, self.reason = response.status, response.reason
        self.raw_headers = response.raw_headers
        self.length = response.content_length

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        return self._response.headers

    async def read(self) -> bytes:
        """All of it. Raises one of BROKEN."""
        return await self._response.content.read()

    def chunks(self) -> AsyncIterator[bytes]:
        """What there is, as it comes, never waiting for more. Raises one of BROKEN."""
        return aiter(self._response.content.iter_any())

    def abort(self) -> None:
        """Close the connection, unless the answer was read to its end: then it is kept for the next."""
        self._response.release() if self._response.content.is_eof() else self._response.close()


async def _parts(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), LARGE):
        yield body[start : start + LARGE]


def _proxy_for(base_url: str) -> str | None:
    """The environment's proxy for the upstream; none for this machine, or where `NO_PROXY` says so."""
    parts = urlsplit(base_url)
    if url_is_loopback(base_url) or proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
