"""The guard, the ledger and the watchtower for OpenRouter's free models.

Names are imported when they are first used: `import monitor` costs no HTTP library and opens no file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from monitor.version import __version__

if TYPE_CHECKING:
    from monitor.client.aio import AsyncClient
    from monitor.client.sync import Client
    from monitor.config import Settings
    from monitor.errors import (
        BudgetExceeded,
        CallFailed,
        ConfigError,
        GuardRefused,
        MonitorError,
        NotFree,
        QuotaExhausted,
        StoreError,
    )
    from monitor.transport.clients import guard_client, guarded_async_client, guarded_client
    from monitor.transport.with_httpx import AsyncGuardTransport, GuardTransport

_HOMES = {
    "Settings": "monitor.config",
    "AsyncClient": "monitor.client.aio",
    "Client": "monitor.client.sync",
    "BudgetExceeded": "monitor.errors",
    "CallFailed": "monitor.errors",
    "ConfigError": "monitor.errors",
    "GuardRefused": "monitor.errors",
    "MonitorError": "monitor.errors",
    "NotFree": "monitor.errors",
    "QuotaExhausted": "monitor.errors",
    "StoreError": "monitor.errors",
    "guard_client": "monitor.transport.clients",
    "guarded_async_client": "monitor.transport.clients",
    "guarded_client": "monitor.transport.clients",
    "AsyncGuardTransport": "monitor.transport.with_httpx",
    "GuardTransport": "monitor.transport.with_httpx",
}

__all__ = [
    "AsyncClient",
    "AsyncGuardTransport",
    "BudgetExceeded",
    "CallFailed",
    "Client",
    "ConfigError",
    "GuardRefused",
    "GuardTransport",
    "MonitorError",
    "NotFree",
    "QuotaExhausted",
    "Settings",
    "StoreError",
    "__version__",
    "guard_client",
    "guarded_async_client",
    "guarded_client",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'monitor' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value  # so that the next use finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
