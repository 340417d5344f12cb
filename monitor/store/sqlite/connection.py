"""Opening a store file, and one write transaction at a time.

The hazards that this module is built around, each of them measured:

* A deferred `BEGIN` that reads and then writes fails under contention whatever the busy timeout: every transaction
  here is `BEGIN IMMEDIATE`.
* Opening the file with `open()` and closing it drops this process's locks on it: it is only ever looked at by `stat`.
* SQLite before 3.51.3 can corrupt a WAL when two connections checkpoint and write at once: no connection
  checkpoints by itself; `_checkpoint` does so under the writer's lock (TRUNCATE), one at a time.
* A zero-byte file opens without an error and has no tables: a new store is built beside its place and linked there,
  so that nobody ever sees an empty one, and an empty one is refused.
* A connection that crosses `fork()` is unsupported, and one opened beside it in the child is no better: SQLite in the
  child takes the parent's locks for its own, so that the parent's end deletes the log under the child's feet. Files are
  closed before `fork()` and opened again after it, on both sides.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from monitor.errors import StoreError, StoreUnreachable
from monitor.store.sqlite.opening import (
    BUSY_SECONDS,
    check_identity,
    connect,
    create,
    explain,
    is_busy,
    is_there,
    migrate,
)

T = TypeVar("T")
R = TypeVar("R")

_IN_USE = "the store is in use by this very thread or another of this process."

_LONG_MILLISECONDS = int(BUSY_SECONDS * 1000)
_TURN_MILLISECONDS = 8
_TURNS = int(BUSY_SECONDS * 1000 / _TURN_MILLISECONDS)
"""SQLite asks again after 1, 2 and 5 ms, later only ten times a second: beside a process that writes without a pause
(an app that tries refused calls again and again) two waited for more than 5 s. Many short waits find the gaps."""

WAL_LIMIT_BYTES = 4 * 1024 * 1024
CHECK_EVERY = 64
"""Commits between two looks at the WAL's size."""


_open_connections: weakref.WeakSet[Connection[Any]] = weakref.WeakSet()


class Connection(Generic[T]):
    """A lazily opened connection that threads share, one at a time. Survives `fork()` and `close()` by reopening."""

    def __init__(self, path: str | os.PathLike[str], wrap: Callable[[sqlite3.Connection], T]) -> None:
        self.path = Path(path).expanduser()
        self._name = str(self.path)
        self._lock = threading.Lock()
        self._owner = 0
        self._wrap = wrap
        self._wrapped: T | None = None
        self._sqlite: sqlite3.Connection | None = None
        self._pid = 0
        self._inode = (0, 0)
        self._patience: int | None = None
        self._commits = 0
        self.overdue = False
        """The files should be looked after; the next transaction that may wait does so."""
        self._frozen = False
        self._inherited: list[sqlite3.Connection | None] = []

    def __repr__(self) -> str:
        return f"<Connection {self.path} {'open' if self._sqlite else 'closed'}>"

    @contextlib.contextmanager
    def transaction(self) -> Iterator[T]:
        """`BEGIN IMMEDIATE` … `COMMIT`, or a rollback when the block raises. Everything in it happens or nothing.

        Raises StoreUnreachable (locked, full, gone) and StoreDamaged; nothing is written then.
        """
        with self._turn() as connection:
            try:
                self._take_turn(connection)
                yield self.wrapped()
                connection.execute("COMMIT")
                self.committed(connection, block=True)
            except BaseException:
                self.rolled_back(connection)
                raise

    def transact(self, work: Callable[..., R], *args: object, block: bool = True) -> R:
        """`work(transaction, *args)` in one write transaction, committed when it returns; what it returned.

        The same as `transaction`, for the path of every call: it costs less, and Ctrl-C at any step of it leaves
        neither the turn taken nor a transaction open, for the turn is held by nothing but a `with` over a lock.

        With `block=False`, raises StoreUnreachable at once when another transaction is under way, of this process or
        of another: for finalizers, which may be running inside one, and for event loops, which must not wait.
        """
        self._before_turn()
        if block:
            with self._lock:
                return self._transact(work, args, True)
        if not self._lock.acquire(False):
            raise StoreUnreachable(_IN_USE)
        try:
            return self._transact(work, args, False)
        finally:
            self._lock.release()

    def _transact(self, work: Callable[..., R], args: tuple[object, ...], block: bool) -> R:
        self._owner = threading.get_ident()
        connection: sqlite3.Connection | None = None
        try:
            connection = self.opened()
            if connection.in_transaction:
                connection.execute("ROLLBACK")  # of a transaction that Ctrl-C broke off twice
            if block:
                self._take_turn(connection)
            else:
                self._wait_at_most(connection, 0)
                connection.execute("BEGIN IMMEDIATE")
            result = work(self._wrapped or self.wrapped(), *args)
            connection.execute("COMMIT")
            self.committed(connection, block)
            return result
        except BaseException as exc:
            if connection is not None:
                self.rolled_back(connection)
            if isinstance(exc, sqlite3.Error):
                raise self.explained(exc) from exc
            raise
        finally:
            self._owner = 0

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One read transaction: what is seen is of one moment. Callers fetch all rows; an open cursor pins the WAL."""
        with self._turn() as connection:
            self._wait_at_most(connection, _LONG_MILLISECONDS)
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file. The next use opens it again, so a stream that outlives its client can still settle."""
        if self._owner == threading.get_ident():
            return  # a finalizer, in the midst of this thread's own transaction
        self._after_fork()
        with self._lock:
            self._drop()

    def checkpoint(self) -> bool:
        """Move the WAL into the file and empty it. False when a reader or writer stands in the way."""
        with self._turn() as connection:
            return self._checkpoint(connection)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[sqlite3.Connection]:
        """This process's turn, and the connection; an error of SQLite's in it is told as one of the store."""
        self._before_turn()
        with self._lock:
            self._owner = threading.get_ident()
            try:
                yield self.opened()
            except sqlite3.Error as exc:
                raise self.explained(exc) from exc
            finally:
                self._owner = 0

    def _before_turn(self) -> None:
        """Raises StoreUnreachable when this very thread has the turn: the garbage collector may finalize a stream in
        the midst of a transaction, and waiting would be for ever."""
        if self._pid != os.getpid():
            self._after_fork()
        if self._owner == threading.get_ident() and self._lock.locked():
            raise StoreUnreachable(_IN_USE)

    def opened(self) -> sqlite3.Connection:
        """The connection, opened if need be; only in this process's turn.

        A file that was moved, deleted or replaced is left, and the one that stands in its place opened: what would be
        counted in it nobody else would see.
        """
        connection = self._sqlite
        if connection is not None:
            if _inode(self._name) == self._inode:
                return connection
            self._drop()
        return self._open()

    def wrapped(self) -> T:
        """What transactions work with: made once a connection, by the store that owns this."""
        if self._wrapped is None:
            self._wrapped = self._wrap(self.opened())
        return self._wrapped

    @property
    def is_open(self) -> bool:
        """Whether the file is open in this very process, so that a transaction has nothing to wait for but its turn."""
        return self._sqlite is not None and self._pid == os.getpid()

    def committed(self, connection: sqlite3.Connection, block: bool) -> None:
        """Count a commit; now and then look after the files, which takes too long for who must not wait."""
        self._commits += 1
        if self._commits % CHECK_EVERY == 0:
            self.overdue = True
        if self.overdue and block:
            self.overdue = False
            self._look_after(connection)

    def rolled_back(self, connection: sqlite3.Connection) -> None:
        """End a transaction that did not commit, if there is one."""
        # `committed` may have closed the connection; after SQLITE_FULL and the like SQLite has rolled back by itself.
        if self._sqlite is connection and connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except sqlite3.Error:
                self._drop()

    def explained(self, exc: sqlite3.Error) -> StoreError:
        """The error for people; a connection that met an I/O error or damage is not trusted again."""
        if not is_busy(exc):
            self._drop()
        return explain(exc, self.path)

    def _after_fork(self) -> None:
        pid = os.getpid()
        if self._pid not in (0, pid):
            # What was open after all is kept, never closed: SQLite would delete the log of a parent it cannot see.
            # The lock may be held by a thread that does not exist in this child.
            self._inherited.append(self._sqlite)
            self._sqlite, self._wrapped, self._lock, self._pid = None, None, threading.Lock(), pid
            self._owner = 0

    def before_fork(self) -> None:
        """Close the file, so that a child inherits nothing of it, and let nobody open it until the fork is over."""
        # Should the forking thread itself be in a transaction, `_after_fork` does what it can.
        mine = self._owner == threading.get_ident()
        self._frozen = not mine and self._lock.acquire(timeout=2 * BUSY_SECONDS)
        if self._frozen:
            self._drop()

    def after_fork(self) -> None:
        """In both processes."""
        if self._frozen:
            self._frozen = False
            self._lock.release()

    def _open(self) -> sqlite3.Connection:
        if not is_there(self.path):
            create(self.path)
        connection = connect(self.path)
        try:
            check_identity(connection, self.path)
            migrate(connection, self.path)
            # A copy made by another tool may have lost the mode, and with it readers that never wait for writers.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute("PRAGMA synchronous=NORMAL")
            self._inode = _inode(self._name)
        except BaseException as exc:
            connection.close()
            if isinstance(exc, sqlite3.Error):
                raise explain(exc, self.path) from exc
            raise
        self._sqlite, self._wrapped, self._pid, self._patience = connection, None, os.getpid(), None
        _open_connections.add(self)
        return connection

    def _drop(self) -> None:
        if self._sqlite is not None:
            self._sqlite.close()
            self._sqlite, self._wrapped = None, None

    def _look_after(self, connection: sqlite3.Connection) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.stat(f"{self.path}-wal").st_size > WAL_LIMIT_BYTES:
                self._checkpoint(connection)

    def _checkpoint(self, connection: sqlite3.Connection) -> bool:
        self._wait_at_most(connection, 0)  # never make a call wait for somebody's long read
        try:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return bool(busy == 0)
        except sqlite3.OperationalError:
            return False

    def _take_turn(self, connection: sqlite3.Connection) -> None:
        """`BEGIN IMMEDIATE`, asked for again and again while another process writes."""
        self._wait_at_most(connection, _TURN_MILLISECONDS)
        for turn in range(_TURNS):
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as exc:
                if turn == _TURNS - 1 or not is_busy(exc):
                    raise

    def _wait_at_most(self, connection: sqlite3.Connection, milliseconds: int) -> None:
        """How long SQLite waits for others from now on. Whoever needs it says so; the next one may need another."""
        if self._patience != milliseconds:
            self._patience = None  # should Ctrl-C come between
            connection.execute(f"PRAGMA busy_timeout={milliseconds}")
            self._patience = milliseconds


def _inode(path: str) -> tuple[int, int]:
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return (stat.st_dev, stat.st_ino)


def _before_fork() -> None:
    for connection in list(_open_connections):
        connection.before_fork()


def _after_fork() -> None:
    for connection in list(_open_connections):
        connection.after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
