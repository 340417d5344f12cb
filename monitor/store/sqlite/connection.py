"""Opening a store file, and one write transaction at a time.

The hazards that this module is built around, each of them measured:

* A deferred `BEGIN` that reads and then writes fails under contention whatever the busy timeout: every transaction
  here is `BEGIN IMMEDIATE`.
* Opening the file with `open()` and closing it drops this process's locks on it: it is only ever looked at by `stat`.
* SQLite before 3.51.3 can corrupt a WAL when two connections checkpoint and write at once: no connection
  checkpoints by itself; `_checkpoint` does so under the writer's lock (TRUNCATE), one at a time.
* A zero-byte file opens without an error and has no tables: a new store is built beside its place and linked there,
  so that nobody ever sees an empty one, and an empty one is refused.
* A connection that crosses `fork()` is unsupported: the child leaves it alone and opens its own.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Generic, TypeVar

from monitor.errors import StoreDamaged, StoreError, StoreUnreachable
from monitor.store.sqlite.schema import APPLICATION_ID, VERSION, build_migrations

T = TypeVar("T")

BUSY_SECONDS = 5.0
WAL_LIMIT_BYTES = 4 * 1024 * 1024
PAGE_BYTES = 2048
"""Each page that a call touches is copied to the log and summed up: small pages make a commit a third cheaper."""

CHECK_EVERY = 64
"""Commits between two looks at the WAL's size and at whether the file is still the one that was opened."""


class Connection(Generic[T]):
    """A lazily opened connection that threads share, one at a time. Survives `fork()` and `close()` by reopening."""

    def __init__(self, path: str | os.PathLike[str], wrap: Callable[[sqlite3.Connection], T]) -> None:
        self.path = Path(path).expanduser()
        self._lock = threading.Lock()
        self._wrap = wrap
        self._wrapped: T | None = None
        self._sqlite: sqlite3.Connection | None = None
        self._pid = 0
        self._inode = (0, 0)
        self._commits = 0
        self._inherited: list[sqlite3.Connection | None] = []

    def __repr__(self) -> str:
        return f"<Connection {self.path} {'open' if self._sqlite else 'closed'}>"

    def transaction(self, *, block: bool = True) -> WriteTransaction[T]:
        """`BEGIN IMMEDIATE` … `COMMIT`, or a rollback when the block raises. Everything in it happens or nothing.

        With `block=False`, raises StoreUnreachable at once when this process is in a transaction, for callers (a
        finalizer) that may be running inside one.

        Raises StoreUnreachable (locked, full, gone) and StoreDamaged; nothing is written then.
        """
        return WriteTransaction(self, block)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One read transaction: what is seen is of one moment. Callers fetch all rows; an open cursor pins the WAL."""
        self._after_fork()
        with self._lock:
            connection = self._sqlite or self._open()
            try:
                connection.execute("BEGIN")
                try:
                    yield connection
                finally:
                    connection.execute("ROLLBACK")
            except sqlite3.Error as exc:
                raise self.explained(exc) from exc

    def close(self) -> None:
        """Close the file. The next use opens it again, so a stream that outlives its client can still settle."""
        self._after_fork()
        with self._lock:
            self._drop()

    def checkpoint(self) -> bool:
        """Move the WAL into the file and empty it. False when a reader or writer stands in the way."""
        self._after_fork()
        with self._lock:
            return self._checkpoint(self._sqlite or self._open())

    def begin(self, block: bool) -> None:
        """Take the process's turn. Raises StoreUnreachable when it is taken and `block` is false."""
        if self._pid != os.getpid():
            self._after_fork()
        if not self._lock.acquire(blocking=block):
            raise StoreUnreachable("the store is in use by this very thread or another of this process.")

    def opened(self) -> sqlite3.Connection:
        """The connection, opened if need be; only between `begin` and `end`."""
        return self._sqlite or self._open()

    def wrapped(self) -> T:
        """What transactions work with: made once a connection, by the store that owns this."""
        if self._wrapped is None:
            self._wrapped = self._wrap(self.opened())
        return self._wrapped

    def end(self) -> None:
        """Give the process's turn back."""
        self._lock.release()

    def committed(self, connection: sqlite3.Connection) -> None:
        """Count a commit; now and then look after the files."""
        self._commits += 1
        if self._commits % CHECK_EVERY == 0:
            self._look_after(connection)

    def explained(self, exc: sqlite3.Error) -> StoreError:
        """The error for people; a connection that met an I/O error or damage is not trusted again."""
        if not is_busy(exc):
            self._drop()
        return explain(exc, self.path)

    def _after_fork(self) -> None:
        pid = os.getpid()
        if self._pid not in (0, pid):
            # Kept, never closed: closing would drop the parent's locks. The lock may be held by a thread that
            # does not exist in this child.
            self._inherited.append(self._sqlite)
            self._sqlite, self._wrapped, self._lock, self._pid = None, None, threading.Lock(), pid

    def _open(self) -> sqlite3.Connection:
        if not self.path.exists():
            create(self.path)
        connection = connect(self.path)
        try:
            check_identity(connection, self.path)
            migrate(connection, self.path)
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute("PRAGMA synchronous=NORMAL")
            self._inode = _inode(self.path)
        except BaseException as exc:
            connection.close()
            if isinstance(exc, sqlite3.Error):
                raise explain(exc, self.path) from exc
            raise
        self._sqlite, self._wrapped, self._pid = connection, None, os.getpid()
        return connection

    def _drop(self) -> None:
        if self._sqlite is not None:
            self._sqlite.close()
            self._sqlite, self._wrapped = None, None

    def _look_after(self, connection: sqlite3.Connection) -> None:
        if _inode(self.path) != self._inode:
            # The file was moved, deleted or replaced: going on would count into a file nobody else sees.
            self._drop()
            return
        with contextlib.suppress(FileNotFoundError):
            if os.stat(f"{self.path}-wal").st_size > WAL_LIMIT_BYTES:
                self._checkpoint(connection)

    def _checkpoint(self, connection: sqlite3.Connection) -> bool:
        connection.execute("PRAGMA busy_timeout=0")  # never make a call wait for somebody's long read
        try:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return bool(busy == 0)
        except sqlite3.OperationalError:
            return False
        finally:
            connection.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")


class WriteTransaction(AbstractContextManager[T, None]):
    """One write transaction as a context manager; a class, for a generator would cost each call 5 µs more."""

    __slots__ = ("_block", "_connection", "_owner")

    def __init__(self, owner: Connection[T], block: bool) -> None:
        self._owner = owner
        self._block = block

    def __enter__(self) -> T:
        owner = self._owner
        owner.begin(self._block)
        try:
            self._connection = owner.opened()
            self._connection.execute("BEGIN IMMEDIATE")
        except BaseException as exc:
            owner.end()
            if isinstance(exc, sqlite3.Error):
                raise owner.explained(exc) from exc
            raise
        return owner.wrapped()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: object) -> None:
        owner, connection = self._owner, self._connection
        try:
            if exc is None:
                connection.execute("COMMIT")
                owner.committed(connection)
                return
        except sqlite3.Error as error:
            exc = error
        finally:
            # After SQLITE_FULL and the like SQLite has rolled back by itself, and a second one would fail.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            failure = owner.explained(exc) if isinstance(exc, sqlite3.Error) else None
            owner.end()
        if failure is not None:
            raise failure from exc


def connect(path: Path) -> sqlite3.Connection:
    """A connection to an existing file, which it does not create. Raises StoreUnreachable."""
    try:
        if path.stat().st_size == 0:
            raise StoreDamaged(
                f"the store {path} is an empty file.",
                hint="It was left as it is. Restore a backup, or move it away to begin a new store.",
            )
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
    except (sqlite3.Error, OSError) as exc:
        raise explain(exc, path) from exc


def check_identity(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreDamaged or StoreError unless the file is a store of ours that this version can use."""
    identity = connection.execute("PRAGMA application_id").fetchone()[0]
    if identity != APPLICATION_ID:
        raise StoreDamaged(
            f"{path} is a database of another program, not a store of openrouter-monitor.",
            hint="It was left as it is. Set `store` to another path.",
        )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StoreError(
            f"the store {path} has schema {version}, made by a newer openrouter-monitor; this one knows {VERSION}.",
            hint="It was left as it is. Upgrade openrouter-monitor.",
        )


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply what is missing, in one immediate transaction: eight processes may find an old file at once."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    from sqlite_utils import Database  # noqa: PLC0415 - only when there is something to migrate

    connection.execute("BEGIN IMMEDIATE")
    try:
        build_migrations().apply(Database(connection))
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def create(path: Path) -> None:
    """Make a new store at `path`, whole or not at all; another process that does so too is no harm.

    Raises StoreUnreachable when the folder cannot be made or written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(beside, isolation_level=None)
        try:
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            migrate(connection, path)
        finally:
            connection.close()
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)  # unlike a rename, it does not overwrite what another process put there first
    except (sqlite3.Error, OSError) as exc:
        raise explain(exc, path) from exc
    finally:
        for left in (beside, Path(f"{beside}-wal"), Path(f"{beside}-shm"), Path(f"{beside}-journal")):
            left.unlink(missing_ok=True)


def is_busy(exc: BaseException) -> bool:
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def explain(exc: sqlite3.Error | OSError, path: Path) -> StoreError:
    """The error for people: what happened to which file, and what to do."""
    if isinstance(exc, OSError):
        what = exc.strerror or type(exc).__name__
        return StoreUnreachable(
            f"the store {path} cannot be opened: {what}.", hint="Check the path and its permissions, or set `store`."
        )
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if is_busy(exc):
        return StoreUnreachable(
            f"the store {path} stayed locked for {BUSY_SECONDS:g} seconds.",
            hint="Another program holds it; `openrouter-monitor doctor` tells more.",
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreUnreachable(
            f"the disk of the store {path} is full; nothing was written.",
            hint="Free some space: writing resumes by itself.",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreDamaged(
            f"the store {path} is damaged or not a database ({exc}).",
            hint="It was left as it is. Run `openrouter-monitor db verify`, then restore a backup.",
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreUnreachable(
            f"the store {path} cannot be written ({exc}).", hint="Check its permissions and those of its folder."
        )
    return StoreUnreachable(f"the store {path} failed: {exc}.", hint="Run `openrouter-monitor doctor`.")


def _inode(path: Path) -> tuple[int, int]:
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return (stat.st_dev, stat.st_ino)
