"""The guard in a client: a new one, or one that you have."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from monitor.config import Settings
from monitor.errors import ConfigError
from monitor.transport.course import Guard

if TYPE_CHECKING:
    import httpx

C = TypeVar("C")


def guarded_client(app: str | None = None, settings: Settings | None = None, **options: Any) -> httpx.Client:
    """An `httpx.Client` with the guard inside; `options` are httpx's own (timeout, proxy, verify, …).

    Raises ConfigError when the settings are wrong.
    """
    import httpx  # noqa: PLC0415 - only who asks for a client pays for importing one

    return guard_client(httpx.Client(**options), app, settings)


def guarded_async_client(app: str | None = None, settings: Settings | None = None, **options: Any) -> httpx.AsyncClient:
    """An `httpx.AsyncClient` with the guard inside; `options` are httpx's own."""
    import httpx  # noqa: PLC0415

    return guard_client(httpx.AsyncClient(**options), app, settings)


def guard_client(client: C, app: str | None = None, settings: Settings | None = None) -> C:
    """Put the guard into a client that you have, and return it: of httpx, of httpx2, or a `requests.Session`.

    Its proxies, TLS, timeouts and limits stay as they are: the guard stands before each of its transports. A client
    that is guarded already is returned as it is. Raises ConfigError for anything else, and for wrong settings.
    """
    for name, guards in (("httpx", _guard_httpx), ("httpx2", _guard_httpx2), ("requests", _guard_requests)):
        # A client exists, so its library is imported; the others need not be.
        if name in sys.modules and guards(client, app, settings):
            return client
    raise ConfigError(
        f"guard_client cannot guard a {type(client).__module__}.{type(client).__name__}.",
        hint="Give it a client of httpx or httpx2, or a requests.Session; anything else can use the proxy.",
    )


def _guard_httpx(client: Any, app: str | None, settings: Settings | None) -> bool:
    from monitor.transport import with_httpx  # noqa: PLC0415

    return _guard_family(client, with_httpx, app, settings)


def _guard_httpx2(client: Any, app: str | None, settings: Settings | None) -> bool:
    from monitor.transport import with_httpx2  # noqa: PLC0415

    return _guard_family(client, with_httpx2, app, settings)


def _guard_family(client: Any, family: Any, app: str | None, settings: Settings | None) -> bool:
    library = family.GuardTransport.library
    if not isinstance(client, library.Client | library.AsyncClient):
        return False
    put_guard(client, family, lambda: Guard(app, settings))
    return True


def put_guard(client: Any, family: Any, make: Callable[[], Guard]) -> None:
    """Put a guard before each transport of a client of httpx or httpx2, unless it has one; `family`: our transports."""
    is_sync = isinstance(client, family.GuardTransport.library.Client)
    transport = family.GuardTransport if is_sync else family.AsyncGuardTransport
    # Both libraries keep the transport, and those for proxies, under these names; a test holds them to it.
    has_guard = isinstance(client._transport, transport)
    guard = client._transport.guard if has_guard else make()
    if not has_guard:
        client._transport = transport(client._transport, guard=guard)
    for pattern, mounted in client._mounts.items():
        if mounted is not None and not isinstance(mounted, transport):
            client._mounts[pattern] = transport(mounted, guard=guard)


def _guard_requests(client: Any, app: str | None, settings: Settings | None) -> bool:
    import requests  # noqa: PLC0415

    if not isinstance(client, requests.Session):
        return False
    from monitor.transport.with_requests import GuardAdapter  # noqa: PLC0415

    guard: Guard | None = None
    for prefix, adapter in client.adapters.items():
        if not isinstance(adapter, GuardAdapter):
            guard = guard or Guard(app, settings)
            client.adapters[prefix] = GuardAdapter(adapter, guard)
    return True
