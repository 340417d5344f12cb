"""Reading the log onward, some time after each attempt, to count what the transactions of a call have no time for.

Each reader has a mark, the id up to which it has looked, and a table of the attempts that were in flight when it did.
An attempt is counted once, in the transaction that moves the mark, however many do so and whatever is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from monitor.clock import Clock
from monitor.store.sqlite.connection import Connection
from monitor.store.sqlite.rows import Rows

BATCH = 1000


class MarkRows(Rows):
    """Ids and other numbers that are kept by name."""

    __slots__ = ()

    def newest_id(self) -> int:
        """The id of the newest row of the log; 0 when it is empty."""
        return int(self._db.execute("SELECT ifnull(max(id), 0) FROM calls").fetchone()[0])

    def mark(self, name: str) -> int | None:
        row = self._db.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def set_mark(self, name: str, value: int) -> None:
        self._db.execute(
            "INSERT INTO marks VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )


class OnwardRows(MarkRows):
    """Reading onward, inside one transaction. Whoever counts says what, by `count`."""

    __slots__ = ()

    MARK: ClassVar[str]
    """Its name in the table of marks."""
    OPEN: ClassVar[str]
    """Its table of attempts that were in flight."""
    COLUMNS: ClassVar[str]
    """What it reads of a call; the first is never NULL."""

    def count(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Count attempts that have ended: (id, *`COLUMNS`, whether it is in flight)."""
        raise NotImplementedError

    def first_mark(self, newest: int) -> int:
        """Where the first look begins: what has a higher id is counted."""
        return newest

    def behind(self) -> bool:
        """Whether there is something that has not been looked at."""
        newest, mark = self.newest_id(), self.mark(self.MARK)
        waiting = self._db.execute(f"SELECT count(*) FROM {self.OPEN}").fetchone()[0]
        return mark != newest or waiting > 0

    def look_again(self) -> None:
        """Count what was in flight when the rows around it were looked at, and has ended since."""
        found = self._db.execute(
            f"SELECT call, {self.COLUMNS}, lease_until IS NOT NULL"
            f" FROM {self.OPEN} LEFT JOIN calls ON id = call ORDER BY call"
        ).fetchall()
        ended = [row for row in found if not row[-1]]
        self.count(row for row in ended if row[1] is not None)  # else it was pruned meanwhile
        self._db.executemany(f"DELETE FROM {self.OPEN} WHERE call = ?", [(row[0],) for row in ended])

    def go_on(self) -> bool:
        """Count the next rows of the log; True when there may be more of them."""
        newest, mark = self.newest_id(), self.mark(self.MARK)
        if mark is None or mark > newest:
            # The first look, or the log is another one, of a restored backup.
            mark = self.first_mark(newest) if mark is None else newest
            self.set_mark(self.MARK, mark)
        rows = self._db.execute(
            f"SELECT id, {self.COLUMNS}, lease_until IS NOT NULL FROM calls WHERE id > ? ORDER BY id LIMIT ?",
            (mark, BATCH),
        ).fetchall()
        if not rows:
            return False
        self.count(row for row in rows if not row[-1])
        self._db.executemany(f"INSERT OR IGNORE INTO {self.OPEN} VALUES (?)", [(row[0],) for row in rows if row[-1]])
        self.set_mark(self.MARK, rows[-1][0])
        return len(rows) == BATCH


R = TypeVar("R", bound=OnwardRows)


def read_onward(
    path: Path, clock: Clock, rows_of: Callable[..., R], afterwards: Callable[[R], object] | None = None
) -> None:
    """Count what has ended since the last time, in small transactions; `afterwards` in one more, if there was any.

    Raises StoreUnreachable and StoreDamaged.
    """
    connection: Connection[R] = Connection(path, rows_of)
    try:
        with connection.reading() as reading:
            if not rows_of(reading).behind():
                return  # no write, where there is nothing to be written
        with connection.transaction() as rows:
            rows.look_again()
        going = True
        while going:
            started = clock.monotonic()
            with connection.transaction() as rows:
                going = rows.go_on()
            if going:
                clock.sleep(max(0.001, clock.monotonic() - started))  # let those write who admit calls
        if afterwards is not None:
            with connection.transaction() as rows:
                afterwards(rows)
    finally:
        connection.close()
