"""Opening the daemon's doors: one socket for the proxy and the pages."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from monitor.config import Settings
from monitor.errors import ConfigError
from monitor.proxy.front import Proxy, is_ours
from monitor.serving.messages import Answer, Handler, Request
from monitor.serving.server import Server, allowed_files


async def open_doors(
    ending: AsyncExitStack,
    proxy: Proxy,
    pages: Handler,
    listening: socket.socket,
    tls: ssl.SSLContext | None = None,
) -> Server:
    """Answer on the socket until `ending` ends. A caller that goes away ends what was done for it."""

    def handle(request: Request) -> Awaitable[Answer]:
        return proxy.handle(request) if is_ours(request.target) else pages(request)

    server = Server(handle, proxy.clock, allowed_files(proxy.settings.proxy.max_connections))
    proxy.figures.connections = server.__len__
    return await ending.enter_async_context(server.serving(listening, tls))


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
