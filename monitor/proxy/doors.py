"""Which way a request goes: to the proxy, past the pages' routes, which would cost a call as much as its judgement."""

from __future__ import annotations

import ssl
from typing import Any

from aiohttp import web

from monitor.config import Settings
from monitor.errors import ConfigError
from monitor.proxy.connections import Connections
from monitor.proxy.front import Proxy, is_ours


def lead(server: web.Server, proxy: Proxy, connections: Connections) -> None:
    """Have the requests that are the proxy's answered by it, and the connections told of each request's head."""
    pages, make = server.request_handler, server.request_factory

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await (proxy.handle(request) if is_ours(request.raw_path) else pages(request))

    def make_request(message: Any, payload: Any, protocol: Any, *rest: Any) -> web.BaseRequest:
        connections.headed(protocol)
        return make(message, payload, protocol, *rest)

    server.request_handler, server.request_factory = handle, make_request


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
