"""The guard's transports for httpx."""

from __future__ import annotations

import httpx

from monitor.transport.aio import AsyncShell, AsyncTee
from monitor.transport.sync import SyncShell, SyncTee


class _Tee(SyncTee, httpx.SyncByteStream):
    pass


class _AsyncTee(AsyncTee, httpx.AsyncByteStream):
    pass


class GuardTransport(SyncShell, httpx.BaseTransport):
    """An `httpx` transport that lets through what is free and within quota, and answers the rest itself.

    `GuardTransport(next_transport=None, app=None, settings=None)`; raises ConfigError when the settings are wrong.
    """

    library = httpx
    tee = _Tee


class AsyncGuardTransport(AsyncShell, httpx.AsyncBaseTransport):
    """The same for `httpx.AsyncClient`."""

    library = httpx
    tee = _AsyncTee
