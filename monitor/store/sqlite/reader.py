"""Opening a store to read it: never created, never changed, never held open longer than a glance takes.

The connection is read-only, so that looking at a store (a damaged one above all) cannot write a byte to it: not even
the checkpoint that SQLite makes when the last writer closes.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from monitor.errors import StoreDamaged, StoreError, StoreUnreachable
from monitor.store.sqlite.opening import BUSY_SECONDS, check_identity, connect, explain, migrate
from monitor.store.sqlite.reports import Reports
from monitor.store.sqlite.schema import VERSION


class Reader:
    """Reads a store in short transactions on a connection of its own. Use it as a context manager.

    Raises StoreUnreachable when there is no store, it cannot be read or is locked, StoreDamaged when it is not ours.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self._sqlite: sqlite3.Connection | None = None

    def __repr__(self) -> str:
        return f"<Reader of {self.path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def exists(self) -> bool:
        """Whether there is anything at the path."""
        try:
            return os.path.lexists(self.path)
        except (OSError, ValueError) as exc:
            raise StoreUnreachable(f"the store {self.path} cannot be looked at: {exc}.") from exc

    @contextlib.contextmanager
    def moment(self) -> Iterator[Reports]:
        """One read transaction: what is seen is of one moment. Keep it short, for the WAL cannot shrink meanwhile."""
        try:
            connection = self._sqlite or self._open()
            connection.execute("BEGIN")
            try:
                yield Reports(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as exc:
            raise explain(exc, self.path) from exc

    def close(self) -> None:
        """Release the file; the next use opens it again."""
        if self._sqlite is not None:
            self._sqlite.close()
            self._sqlite = None

    def _open(self) -> sqlite3.Connection:
        self._sqlite = open_read_only(self.path)
        if self._sqlite.execute("PRAGMA user_version").fetchone()[0] < VERSION:
            # An older schema lacks what the reports read: bring it up to date, as any guarded call would.
            self.close()
            with contextlib.closing(connect(self.path)) as writing:
                migrate(writing, self.path)
            self._sqlite = open_read_only(self.path)
        return self._sqlite


def open_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, to a store of ours. Raises StoreUnreachable or StoreDamaged."""
    if path.is_dir():
        raise StoreUnreachable(f"the store {path} is a folder.", hint="Set `store` to the path of a file.")
    connection = _connect(path, "mode=ro")
    try:
        _look(connection, path)
        return connection
    except _CannotOpen:
        connection.close()
    except BaseException:
        connection.close()
        raise
    connection = _without_write_access(path)
    try:
        _look(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


class _CannotOpen(StoreUnreachable):
    pass


def _look(connection: sqlite3.Connection, path: Path) -> None:
    try:
        check_identity(connection, path)
    except sqlite3.Error as exc:
        raise _told(exc, path) from exc


def _told(exc: sqlite3.Error, path: Path) -> StoreError:
    if getattr(exc, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return explain(exc, path)
    return _CannotOpen(
        f"the store {path} cannot be read ({exc}).", hint="Check its permissions and those of its folder."
    )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        if path.stat().st_size == 0:
            raise StoreDamaged(
                f"the store {path} is an empty file.",
                hint="It was left as it is. Restore a backup, or move it away to begin a new store.",
            )
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?{mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
    except OSError as exc:
        raise explain(exc, path) from exc
    except sqlite3.Error as exc:
        raise _told(exc, path) from exc


def _without_write_access(path: Path) -> sqlite3.Connection:
    """A WAL file in a folder that may not be written needs `immutable`; safe only where no log waits beside it."""
    with contextlib.suppress(OSError):
        if os.stat(f"{path}-wal").st_size > 0:
            raise StoreUnreachable(
                f"the store {path} cannot be read: its folder is not writable.",
                hint="SQLite needs a file beside it to read what was written last. Read it as the user who owns it.",
            )
    return _connect(path, "immutable=1")
