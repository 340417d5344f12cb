"""The only SQL in the package: one protocol, and the engines that keep it."""

from __future__ import annotations

from monitor.errors import ConfigError
from monitor.store.protocol import Store
from monitor.store.sqlite import SQLiteStore

__all__ = ["SQLiteStore", "Store", "open_store"]


def open_store(where: str) -> SQLiteStore:
    """The store at a path. Nothing is opened or created before its first use. Raises ConfigError."""
    if "://" in where:
        raise ConfigError(
            f"the store {where.split('://')[0]}://… is not supported by this version.", hint="Give a file's path."
        )
    try:
        if "\0" in where:
            raise ValueError
        return SQLiteStore(where)
    except (RuntimeError, ValueError):
        # An unknown user's home, or what no file can be called.
        raise ConfigError(f"the store {where!r} is no path.", hint="Give a file's path.") from None
