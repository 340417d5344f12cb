"""How the daemon fetches: with the client that its proxy has, so that it need not load another one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import ssl
import zlib
from collections.abc import Callable, Mapping

import certifi

from monitor.openrouter.dates import sent_at
from monitor.proxy.upstream import Upstream, UpstreamError
from monitor.refresh import Fetched, Stopped
from monitor.transport.headers import lower_case
from monitor.version import __version__

TIMEOUT_SECONDS = 15.0
"""For a whole request: an answer that drips must not hold a poll for ever."""

ANSWER_LIMIT = 64 * 1024 * 1024
_ALWAYS = {"User-Agent": f"openrouter-monitor/{__version__}", "Accept-Encoding": "gzip"}


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

    def __init__(self, upstream: Upstream, loop: asyncio.AbstractEventLoop) -> None:
        self._upstream = upstream
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
        if not url.startswith(f"{self._upstream.root}/"):
            raise ValueError("that is not at the configured upstream")
        asked = [(name.encode("ascii"), value.encode("latin-1")) for name, value in {**_ALWAYS, **headers}.items()]
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reply = await self._upstream.send("GET", url, asked, None)
            try:
                told = {name.title(): value for name, value in lower_case(reply.raw_headers).items()}
                body = _Body(told.get("Content-Encoding", ""), reply.abort)
                try:
                    await reply.take(body.take)
                except UpstreamError:
                    if body.error is None:
                        raise
                return Fetched(reply.status, body.whole(), sent_at(told))
            finally:
                reply.abort()


class _Body:
    """Collects an answer, decoded, up to the limit; `give_up` ends what cannot be used any more."""

    def __init__(self, encoding: str, give_up: Callable[[], None]) -> None:
        if encoding not in ("", "identity", "gzip"):
            raise ValueError(f"the answer is encoded as {encoding[:20]}, which was not asked for")
        self._unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding == "gzip" else None
        self._give_up, self._plain = give_up, bytearray()
        self.error: ValueError | None = None

    def take(self, chunk: bytes) -> None:
        """The next chunk. What is wrong with it is raised by `whole`: who gives it is a parser."""
        if self.error is not None:
            return
        try:
            left = ANSWER_LIMIT + 1 - len(self._plain)
            self._plain += chunk if self._unpack is None else self._unpack.decompress(chunk, left)
        except zlib.error:
            self.error = ValueError("the answer cannot be unpacked")
        if len(self._plain) > ANSWER_LIMIT:
            self.error = ValueError(f"the answer is larger than {ANSWER_LIMIT} bytes")
        if self.error is not None:
            self._give_up()

    def whole(self) -> bytes:
        """All of it. Raises ValueError for what is too large, or cannot be decoded."""
        if self.error is not None:
            raise self.error
        if self._unpack is not None and not self._unpack.eof:
            raise ValueError("the answer ends before its end")
        return bytes(self._plain)
