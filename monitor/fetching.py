"""How the daemon fetches: with the HTTP library that it serves with, so that it need not load another one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import ssl
from collections.abc import Mapping

import aiohttp
import certifi

from monitor.config.addresses import url_is_loopback
from monitor.openrouter.dates import sent_at
from monitor.refresh import Fetched, Stopped
from monitor.version import __version__

TIMEOUT_SECONDS = 15.0
"""For a whole request: an answer that drips must not hold a poll for ever."""

ANSWER_LIMIT = 64 * 1024 * 1024
_CHUNK = 256 * 1024


def session(base_url: str) -> aiohttp.ClientSession:
    """A client for polls of `base_url`. It goes by the environment's proxies, but never to this machine."""
    tls = ssl_context() if base_url.startswith("https:") else None
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=4, ssl=tls if tls is not None else True),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        headers={"User-Agent": f"openrouter-monitor/{__version__}"},
        trust_env=not url_is_loopback(base_url),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
    )


def ssl_context() -> ssl.SSLContext:
    """Trusts what httpx trusts, so that polls and calls agree: SSL_CERT_FILE or SSL_CERT_DIR, else certifi's list."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file:
        return ssl.create_default_context(cafile=file)
    if folder:
        return ssl.create_default_context(capath=folder)
    return ssl.create_default_context(cafile=certifi.where())


class LoopFetch:
    """A `Fetch` for threads, which asks on the event loop. After `stop` it raises at once, and so do those waiting."""

    def __init__(self, client: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop
        self._stopped = False
        self._under_way: set[concurrent.futures.Future[Fetched]] = set()

    def __call__(self, url: str, headers: Mapping[str, str]) -> Fetched:
        if self._stopped:
            raise Stopped("the daemon is stopping")
        asked = asyncio.run_coroutine_threadsafe(self._get(url, headers), self._loop)
        self._under_way.add(asked)
        if self._stopped:
            asked.cancel()  # `stop` came between, and did not see this one
        try:
            return asked.result(TIMEOUT_SECONDS + 5)
        except concurrent.futures.CancelledError:
            # It is no Exception, so nobody would take it for a failed poll.
            raise Stopped("the daemon is stopping") from None
        finally:
            self._under_way.discard(asked)

    def stop(self) -> None:
        self._stopped = True
        for asked in list(self._under_way):
            asked.cancel()

    async def _get(self, url: str, headers: Mapping[str, str]) -> Fetched:
        async with self._client.get(url, headers=headers, allow_redirects=False) as answer:
            body = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > ANSWER_LIMIT:
                    raise ValueError(f"the answer is larger than {ANSWER_LIMIT} bytes")
            return Fetched(answer.status, bytes(body), sent_at(answer.headers))
