"""Deleting old calls beside running writers, a few at a time.

Totals are sums of their own, so no figure of a scrape goes back whatever is pruned.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from monitor.clock import DAY, Clock, day_of
from monitor.errors import StoreUnreachable
from monitor.store.sqlite.connection import Connection
from monitor.store.sqlite.maintenance import Tick, nothing
from monitor.store.sqlite.rows import Rows

BATCH = 500
KEEP_HISTORY_DAYS = 366
"""Windows and events of the last year stay, whatever becomes of the calls."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """Rows that went, or would go."""

    calls: int = 0
    windows: int = 0
    events: int = 0


class _Pruning(Rows):
    """The deletions of one batch, each found by id."""

    __slots__ = ()

    def ends(self) -> tuple[int, int]:
        """The lowest and the highest id of the log; (0, 0) when it is empty."""
        row = self._db.execute("SELECT ifnull(min(id), 0), ifnull(max(id), 0) FROM calls").fetchone()
        return int(row[0]), int(row[1])

    def old_calls(self, above: int, before: float, up_to: int) -> tuple[list[int], int | None]:
        """Ids that may go among the next `BATCH` above an id, and the last id looked at; None when there is no more.

        What is still in flight stays, and so does the newest row: ids must not be given out twice.
        """
        rows = self._db.execute(
            "SELECT id, started_at < ? OR id <= ?, lease_until IS NULL AND id < (SELECT max(id) FROM calls)"
            " FROM calls WHERE id > ? ORDER BY id LIMIT ?",
            (before, up_to, above, BATCH),
        ).fetchall()
        ids = [row[0] for row in rows if row[1] and row[2]]
        # In a batch without an old row the young ones begin. A clock set back can hide a few older ones behind them:
        # they go when their neighbours do.
        go_on = len(rows) == BATCH and any(row[1] for row in rows)
        return ids, rows[-1][0] if go_on else None

    def delete_calls(self, ids: list[int]) -> None:
        self._db.executemany("DELETE FROM bodies WHERE call = ?", [(row,) for row in ids])
        self._db.executemany("DELETE FROM calls WHERE id = ?", [(row,) for row in ids])

    def history(self, now: float) -> tuple[int, int]:
        """Windows and events, at most a batch of each, that are older than a year."""
        windows = self._db.execute(
            "SELECT count(*) FROM windows WHERE day < ?", (day_of(now) - KEEP_HISTORY_DAYS,)
        ).fetchone()[0]
        events = self._db.execute("SELECT count(*) FROM events WHERE at < ?", (now - KEEP_HISTORY_DAYS * DAY,))
        return int(windows), int(events.fetchone()[0])

    def delete_history(self, now: float) -> tuple[int, int]:
        windows = self._db.execute("DELETE FROM windows WHERE day < ?", (day_of(now) - KEEP_HISTORY_DAYS,)).rowcount
        events = self._db.execute(
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ? ORDER BY id LIMIT ?)",
            (now - KEEP_HISTORY_DAYS * DAY, BATCH * 20),
        ).rowcount
        return windows, events


def prune(
    path: Path, clock: Clock, *, before: float, max_rows: int | None = None, dry_run: bool = False, tick: Tick = nothing
) -> Pruned:
    """Delete calls that started before `before` (epoch seconds), and all but the newest `max_rows`.

    Totals and calls in flight are never touched. Goes in small transactions with a pause after each, so that nobody who
    is admitting calls waits for it. The file keeps its size; what is freed is used again. Raises StoreUnreachable and
    StoreDamaged; what was deleted until then stays deleted.
    """
    if not os.path.lexists(path):
        raise StoreUnreachable(f"there is no store at {path}.", hint="Nothing to prune.")
    connection = Connection(path, _Pruning)
    try:
        if dry_run:
            return _count(connection, clock, before, max_rows)
        with connection.transaction() as rows:
            lowest, highest = rows.ends()
        up_to = highest - max_rows if max_rows is not None else 0
        calls, at = 0, lowest - 1
        going: int | None = at
        while going is not None:
            started = clock.monotonic()
            with connection.transaction() as rows:
                ids, going = rows.old_calls(at, before, up_to)
                rows.delete_calls(ids)
            calls += len(ids)
            at = at if going is None else going
            tick(min(1.0, (at - lowest + 1) / max(1, highest - lowest)))
            clock.sleep(max(0.001, clock.monotonic() - started))
        windows, events = _prune_history(connection, clock)
        connection.checkpoint()
        tick(1.0)
        return Pruned(calls, windows, events)
    finally:
        connection.close()


def _prune_history(connection: Connection[_Pruning], clock: Clock) -> tuple[int, int]:
    with connection.transaction() as rows:
        return rows.delete_history(clock.now())


def _count(connection: Connection[_Pruning], clock: Clock, before: float, max_rows: int | None) -> Pruned:
    calls, at = 0, 0
    with connection.reading() as reading:
        _, highest = _Pruning(reading).ends()
    going: int | None = at
    while going is not None:
        with connection.reading() as reading:
            ids, going = _Pruning(reading).old_calls(at, before, highest - max_rows if max_rows is not None else 0)
        calls += len(ids)
        at = at if going is None else going
    with connection.reading() as reading:
        windows, events = _Pruning(reading).history(clock.now())
    return Pruned(calls, windows, events)
