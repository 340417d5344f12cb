"""Looking after the file: verification and backup. Both only read, and run beside any number of writers."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from monitor.errors import MonitorError, StoreDamaged
from monitor.store.sqlite.opening import check_identity, connect, explain
from monitor.store.sqlite.reader import open_read_only

_STEPS_BETWEEN_TICKS = 20_000

Tick = Callable[[float], None]
"""Told how much is done, from 0 to 1."""


def nothing(done: float) -> None:
    """A tick for those who do not care."""


def problems_of(path: Path, *, full: bool = False, tick: Tick = nothing) -> list[str]:
    """What is wrong with the store at `path`; an empty list is good news. The file is never changed.

    Quick: is it ours, of a schema we know, and is every page in order. `full` also checks the indexes against the
    tables, and takes longer. Raises StoreUnreachable when it cannot be read at all.
    """
    try:
        connection = open_read_only(path)
    except StoreDamaged as exc:
        return [exc.message]
    with contextlib.closing(connection):
        try:
            found = _check(connection, full, tick)
        except sqlite3.DatabaseError as exc:
            told = explain(exc, path)
            if not isinstance(told, StoreDamaged):
                raise told from exc
            found = [told.message]
    return found


def _check(connection: sqlite3.Connection, full: bool, tick: Tick) -> list[str]:
    check = "integrity_check" if full else "quick_check"
    with _ticking(connection, tick):
        rows = connection.execute(f"PRAGMA {check}(20)").fetchall()
    found = [str(row[0]) for row in rows if row[0] != "ok"]
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()}
    missing = sorted({"calls", "totals", "windows", "accounts"} - tables)
    if missing:
        found.append(f"the tables {', '.join(missing)} are missing")
    return found


@contextlib.contextmanager
def _ticking(connection: sqlite3.Connection, tick: Tick) -> Iterator[None]:
    """Let Python breathe during a long statement: progress is shown, and Ctrl-C is heard."""
    interrupted: list[BaseException] = []

    def step() -> int:
        try:
            tick(0.0)
        except BaseException as exc:  # noqa: BLE001 - an exception cannot cross SQLite: it is raised again below
            interrupted.append(exc)
            return 1
        return 0

    connection.set_progress_handler(step, _STEPS_BETWEEN_TICKS)
    try:
        yield
    except sqlite3.OperationalError:
        if interrupted:
            raise interrupted[0] from None
        raise
    finally:
        connection.set_progress_handler(None, 0)


def backup(path: Path, target: Path, tick: Tick = nothing) -> int:
    """Write a whole, verified copy of the store to `target`, which must not exist. Returns its size in bytes.

    The copy is of one moment, and is made by `VACUUM INTO` on a reading connection: SQLite's backup API starts over at
    every foreign write, so under load it never ends. Either the whole copy is there afterwards, or nothing.
    Raises StoreUnreachable, StoreDamaged, or MonitorError when the target cannot be written.
    """
    if os.path.lexists(target):
        raise MonitorError(f"{target} exists already.", hint="It was left as it is. Choose another name.")
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        # Made here first, for it holds what the store holds: nobody else may read it.
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with contextlib.closing(open_read_only(path)) as connection:
            _vacuum_into(connection, beside, path, tick)
        _verify_copy(beside)
        _sync(beside)
        os.link(beside, target)  # unlike a rename, it does not overwrite what came there meanwhile
        _sync(target.parent)
        return target.stat().st_size
    except OSError as exc:
        raise MonitorError(
            f"the backup {target} cannot be written: {exc.strerror or exc}.", hint="Nothing was left behind."
        ) from exc
    finally:
        for left in (beside, Path(f"{beside}-wal"), Path(f"{beside}-shm"), Path(f"{beside}-journal")):
            left.unlink(missing_ok=True)


def _vacuum_into(connection: sqlite3.Connection, beside: Path, path: Path, tick: Tick) -> None:
    try:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        whole = pages * connection.execute("PRAGMA page_size").fetchone()[0]
        with _ticking(connection, lambda _: tick(min(1.0, os.stat(beside).st_size / max(1, whole)))):
            connection.execute("VACUUM INTO ?", (str(beside),))
    except sqlite3.Error as exc:
        if getattr(exc, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise MonitorError(
                f"there is no room for the backup in {beside.parent}.", hint="Nothing was left behind. Free some space."
            ) from exc
        raise explain(exc, path) from exc
    tick(1.0)


def _verify_copy(copy: Path) -> None:
    try:
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            check_identity(connection, copy)
            rows = connection.execute("PRAGMA quick_check(1)").fetchall()
            # A copy comes out with another journal; as a store it is to be what the original was.
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as exc:
        raise explain(exc, copy) from exc
    if rows != [("ok",)]:
        raise StoreDamaged(
            f"the copy fails its check ({rows[0][0]}), so the store is damaged too.",
            hint="No backup was made. Run `openrouter-monitor db verify --full`.",
        )


def _sync(path: Path) -> None:
    """See that what was written outlives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def can_write(path: Path) -> None:
    """Take the writer's lock and give it back. Raises StoreUnreachable or StoreDamaged when it cannot be had."""
    with contextlib.closing(connect(path)) as connection:
        try:
            check_identity(connection, path)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.Error as exc:
            raise explain(exc, path) from exc


def engine() -> tuple[int, int, int]:
    """SQLite's version."""
    return sqlite3.sqlite_version_info[:3]
