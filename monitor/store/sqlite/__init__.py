"""The default engine: one SQLite file that any number of processes on this machine share."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from monitor.store.sqlite.alerts import AlertRows
from monitor.store.sqlite.answers import AnswerRows
from monitor.store.sqlite.batches import BatchRows
from monitor.store.sqlite.changes import ChangeRows
from monitor.store.sqlite.connection import Connection
from monitor.store.sqlite.quota import QuotaRows
from monitor.store.sqlite.routing import RoutingRows
from monitor.store.sqlite.world import WorldRows

R = TypeVar("R")


class SQLiteTransaction(AlertRows, AnswerRows, BatchRows, ChangeRows, QuotaRows, WorldRows, RoutingRows):
    """Every statement that a transaction of the ledger or of the friendly client is made of."""

    __slots__ = ()


class SQLiteStore:
    """A store in one file. Opened on first use; safe for threads, processes and `fork()`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.connection: Connection[SQLiteTransaction] = Connection(path, SQLiteTransaction)

    def __repr__(self) -> str:
        return f"<SQLiteStore {self.path}>"

    @property
    def path(self) -> Path:
        return self.connection.path

    def transaction(self) -> AbstractContextManager[SQLiteTransaction]:
        """One write transaction. Raises StoreUnreachable or StoreDamaged; nothing was written then."""
        return self.connection.transaction()

    def transact(self, work: Callable[..., R], *args: object, block: bool = True) -> R:
        """`work(transaction, *args)` as one write transaction. Raises as `transaction` does, or what `work` raised."""
        return self.connection.transact(work, *args, block=block)

    @property
    def ready(self) -> bool:
        """Whether a transaction needs neither to open the file nor to look after it: then it takes no disk's time."""
        return self.connection.is_open and not self.connection.overdue

    def checkpoint(self) -> bool:
        """Empty the write-ahead log into the file. False when a reader or writer stands in the way.

        Raises StoreUnreachable or StoreDamaged.
        """
        return self.connection.checkpoint()

    def close(self) -> None:
        """Release the file; the next use opens it again."""
        self.connection.close()
