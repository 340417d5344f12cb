"""Opening the daemon's doors: one socket for the proxy and the pages.

The proxy's requests go past the pages' routes, which would cost a call as much as its judgement.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from monitor.config import Settings
from monitor.errors import ConfigError
from monitor.proxy.connections import HEAD_SECONDS, KEEP_ALIVE_SECONDS, Connections, allowed_files
from monitor.proxy.front import Proxy, is_ours

BACKLOG = 1024
LINGER_SECONDS = 2.0
"""How long the rest of a body is read that nobody wants, so that its sender sees the answer."""

PAGE_SECONDS = 5.0
"""How long a page that is being answered may take when the daemon ends."""


async def open_doors(
    ending: AsyncExitStack,
    proxy: Proxy,
    pages: web.Application,
    listening: socket.socket,
    tls: ssl.SSLContext | None = None,
) -> Connections:
    """Answer on the socket until `ending` ends. A caller that goes away ends what was done for it."""
    runner = web.AppRunner(
        pages,
        access_log=None,
        # A client that does not speak HTTP is told so; a traceback for each would let anybody fill the log.
        logger=logging.Logger("monitor.proxy.http", logging.CRITICAL),
        handle_signals=False,
        shutdown_timeout=PAGE_SECONDS,
        handler_cancellation=True,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        auto_decompress=False,
        lingering_time=LINGER_SECONDS,
    )
    await runner.setup()
    ending.push_async_callback(runner.cleanup)
    assert runner.server is not None
    connections = Connections(runner.server, allowed_files(proxy.settings.proxy.max_connections), proxy.clock)
    proxy.figures.connections = connections.__len__
    proxy.flow_of = connections.flow_of
    _lead(runner.server, proxy, connections)
    loop = asyncio.get_running_loop()
    patience = None if tls is None else HEAD_SECONDS
    server = await loop.create_server(
        connections, sock=listening, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=patience
    )
    ending.callback(server.close)
    until_the_end(ending, connections.watch())
    return connections


def _lead(server: web.Server, proxy: Proxy, connections: Connections) -> None:
    """Have the requests that are the proxy's answered by it, and the connections told of each request's head."""
    pages, make = server.request_handler, server.request_factory

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await (proxy.handle(request) if is_ours(request.raw_path) else pages(request))

    def make_request(message: Any, payload: Any, protocol: Any, *rest: Any) -> web.BaseRequest:
        connections.headed(protocol)
        return make(message, payload, protocol, *rest)

    server.request_handler, server.request_factory = handle, make_request


def until_the_end(ending: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Run it as a task that the end cancels."""
    task = asyncio.create_task(work)
    ending.callback(task.cancel)


def certificate(settings: Settings) -> ssl.SSLContext | None:
    """How to serve https; None without a certificate. Raises ConfigError."""
    proxy = settings.proxy
    if proxy.tls_cert is None:
        if proxy.tls_key is not None:
            raise ConfigError("proxy.tls_key is set without proxy.tls_cert.", hint="Set both, or neither.")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # A key that wants a password must not make the daemon wait at a terminal.
        context.load_cert_chain(proxy.tls_cert, proxy.tls_key, password="")
    except (OSError, ssl.SSLError, ValueError) as exc:
        what = exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__
        raise ConfigError(
            f"the certificate of proxy.tls_cert cannot be used: {what}.",
            hint="Both files must be PEM, the key without a password, and belong together.",
        ) from None
    return context
