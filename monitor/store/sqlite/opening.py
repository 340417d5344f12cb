"""Making, recognising and opening a store file, and saying what is wrong with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from pathlib import Path

from monitor.errors import StoreDamaged, StoreError, StoreUnreachable
from monitor.store.sqlite.schema import APPLICATION_ID, VERSION, build_migrations

BUSY_SECONDS = 5.0
PAGE_BYTES = 2048
"""Each page that a call touches is copied to the log and summed up: small pages make a commit a third cheaper."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection to an existing file, which it does not create. Raises StoreUnreachable."""
    try:
        if path.is_dir():
            raise StoreUnreachable(f"the store {path} is a folder.", hint="Set `store` to the path of a file.")
        if path.stat().st_size == 0:
            raise StoreDamaged(
                f"the store {path} is an empty file.",
                hint="It was left as it is. Restore a backup, or move it away to begin a new store.",
            )
        uri = path.absolute().as_uri()
        # Looked at before it is opened for writing: closing such a connection would move a foreign file's log into it.
        # The look takes no lock, so it may find another process's checkpoint half done: then it tells nothing.
        look = sqlite3.connect(f"{uri}?immutable=1", uri=True)
        with contextlib.closing(look), contextlib.suppress(sqlite3.DatabaseError):
            _check_owner(look, path)
        return sqlite3.connect(
            f"{uri}?mode=rw",
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
    _check_owner(connection, path)
    version = _version(connection)
    if version > VERSION:
        raise StoreError(
            f"the store {path} has schema {version}, made by a newer openrouter-monitor; this one knows {VERSION}.",
            hint="It was left as it is. Upgrade openrouter-monitor.",
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreDamaged(
            f"{path} is a database of another program, not a store of openrouter-monitor.",
            hint="It was left as it is. Set `store` to another path.",
        )


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply what is missing, in one immediate transaction: eight processes may find an old file at once."""
    if _version(connection) == VERSION:
        return
    from sqlite_utils import Database  # noqa: PLC0415 - only when there is something to migrate

    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) < VERSION:  # asked again: another process may have been first, even a newer one
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as exc:
        raise explain(exc, path) from exc
    try:
        # One creator at a time; the lock is the folder's, so that it leaves no file, and ends with its process.
        fcntl.flock(folder, fcntl.LOCK_EX)
        if not is_there(path):
            _create(path)
    finally:
        os.close(folder)


def _create(path: Path) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        # Left by a store that was deleted: SQLite would play that log into the new one. It is put aside, not lost.
        with contextlib.suppress(FileNotFoundError):
            log = Path(f"{path}-wal")
            if log.stat().st_size:
                log.rename(f"{log}.left-{log.stat().st_ino}")
        for left in (f"{path}-wal", f"{path}-shm", beside):
            Path(left).unlink(missing_ok=True)
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


def is_there(path: Path) -> bool:
    """Whether there is something at `path`. Raises StoreUnreachable when that cannot be told."""
    try:
        return path.exists()
    except OSError as exc:
        raise explain(exc, path) from exc


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
    if code == sqlite3.SQLITE_IOERR:
        return StoreUnreachable(
            f"the disk of the store {path} failed ({exc}); nothing was written.",
            hint="A full disk looks like this too; `openrouter-monitor doctor` tells how much is free.",
        )
    return StoreUnreachable(f"the store {path} failed: {exc}.", hint="Run `openrouter-monitor doctor`.")
