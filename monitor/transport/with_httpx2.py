"""The guard's transports for httpx2."""

from __future__ import annotations

import httpx2

from monitor.transport.aio import AsyncShell, AsyncTee
from monitor.transport.sync import SyncShell, SyncTee


class _Tee(SyncTee, httpx2.SyncByteStream):
    pass


class _AsyncTee(AsyncTee, httpx2.AsyncByteStream):
    pass


class GuardTransport(SyncShell, httpx2.BaseTransport):
    """An `httpx2` transport that lets through what is free and within quota, and answers the rest itself.

    `GuardTransport(next_transport=None, app=None, settings=None)`; raises ConfigError when the settings are wrong.
    """

    library = httpx2
    tee = _Tee


class AsyncGuardTransport(AsyncShell, httpx2.AsyncBaseTransport):
    """The same for `httpx2.AsyncClient`."""

    library = httpx2
    tee = _AsyncTee
