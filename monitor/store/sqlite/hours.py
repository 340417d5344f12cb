"""Attempts by the hour and by the day, counted from the log: what a chart reads instead of the log.

No call pays for it. The daemon counts what has ended, some seconds later, and the look of a page adds what has not been
counted yet: the newest rows of the log, and those that were in flight.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from monitor.clock import Clock
from monitor.store.sqlite.onward import MarkRows, OnwardRows, read_onward

HOUR = 3600.0
DAY_HOURS = 24
KEPT = {1: 8 * 24, DAY_HOURS: 32 * 24}
"""For how many hours sums are kept, by how many hours they are of: a week by hours, a month by days."""

KEPT_HOURS = max(KEPT.values())

FIRST_LOOK = 5_000_000
"""Rows of an old log that the first look counts, at most: a minute or two of gentle work, once."""

SETS = 300
"""Rows that an hour, or a day, has of its own; what comes after them is counted under `OTHER`."""

OTHER = "other"
TAIL = 10_000
"""Rows that a look adds to what was counted, at most."""

COUNTED_TO, WHOLE_SINCE = "hours_from", "hours_since"
"""Marks: the id up to which calls were counted, and the first hour of which every one was."""

KEYS = "app, model, outcome, kind, reason"
SUMS = "n, billed, prompt_tokens, completion_tokens, cost_usd"

_AS_SUM = (
    "CAST(started_at / (3600 * :width) AS INTEGER) AS slot, app, ifnull(model_requested, '') AS model, outcome,"
    " ifnull(limit_kind, '') AS kind, ifnull(reason, '') AS reason, 1 AS n, ifnull(cost_usd, 0) > 0 AS billed,"
    " ifnull(prompt_tokens, 0) AS prompt_tokens, ifnull(completion_tokens, 0) AS completion_tokens,"
    " ifnull(cost_usd, 0.0) AS cost_usd"
)
"""A call as a row of the sums."""


class HourSum(NamedTuple):
    """Attempts of one kind. `kind` is the limit that OpenRouter told of, `reason` why it was (or would have been)
    refused; "" for none. `billed` counts those that cost something; money is USD.
    """

    app: str
    model: str
    outcome: str
    kind: str
    reason: str
    n: int
    billed: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float


class SlotSum(NamedTuple):
    """Attempts of one slot; `slot` times its width in hours since the epoch is when it begins, UTC."""

    slot: int
    outcome: str
    n: int


class Traffic(NamedTuple):
    """What was counted, by kind and by slot.

    `complete` is False while older rows of the log wait to be counted, or never will be.
    """

    sums: list[HourSum]
    slots: list[SlotSum]
    complete: bool


class HourLooks(MarkRows):
    """Reading what was counted, inside one transaction."""

    __slots__ = ()

    def traffic(self, since: int, width: int = 1, *, app: str | None = None, model: str | None = None) -> Traffic:
        """Attempts since an hour (hours since the epoch), in slots of `width` hours; of an app or a model asked for.

        `since` must be a multiple of `width`.
        """
        newest, mark = self.newest_id(), self.mark(COUNTED_TO)
        counted = mark is not None
        if mark is None:
            mark = int(self._db.execute("SELECT ifnull(min(id), 1) FROM calls").fetchone()[0]) - 1
        above = max(mark, newest - TAIL)
        # A cross join, for SQLite takes the tables of any other in its own order, and would read the whole log.
        conditions = ("" if app is None else " AND app = :app") + ("" if model is None else " AND model = :model")
        stored = DAY_HOURS if width % DAY_HOURS == 0 else 1
        given = {"since": since, "width": width, "stored": stored, "above": above, "app": app, "model": model}
        counted_rows = (
            f"(SELECT slot * :stored / :width AS slot, {KEYS}, {SUMS} FROM hours"
            f" WHERE width = :stored AND slot >= :since / :stored UNION ALL"
            f" SELECT {_AS_SUM} FROM calls WHERE id > :above AND started_at >= :since * {HOUR} UNION ALL"
            f" SELECT {_AS_SUM} FROM hours_open CROSS JOIN calls ON id = call WHERE started_at >= :since * {HOUR})"
            f" WHERE n > 0{conditions}"
        )
        # Grouped twice by SQLite, for Python would take longer to add up as many rows as there are slots and kinds.
        sums = self._db.execute(
            f"SELECT {KEYS}, sum(n), sum(billed), sum(prompt_tokens), sum(completion_tokens), sum(cost_usd)"
            f" FROM {counted_rows} GROUP BY {KEYS}",
            given,
        ).fetchall()
        slots = self._db.execute(
            f"SELECT slot, outcome, sum(n) FROM {counted_rows} GROUP BY slot, outcome", given
        ).fetchall()
        complete = above == mark and (not counted or (self.mark(WHOLE_SINCE) or 0) <= since)
        return Traffic([HourSum._make(row) for row in sums], [SlotSum._make(row) for row in slots], complete)


class HourRows(OnwardRows):
    """Counting by the hour, inside one transaction."""

    __slots__ = ()

    MARK = COUNTED_TO
    OPEN = "hours_open"
    COLUMNS = (
        "started_at, app, model_requested, outcome, limit_kind, reason, cost_usd, prompt_tokens, completion_tokens"
    )

    def first_mark(self, newest: int) -> int:
        """Before the first row that is young enough, which is found by halving: ids grow with time."""
        lowest = int(self._db.execute("SELECT ifnull(min(id), 1) FROM calls").fetchone()[0])
        latest = self._at(newest)
        low, high = max(lowest, newest - FIRST_LOOK + 1), newest
        oldest = 0.0 if latest is None else latest - KEPT_HOURS * HOUR
        while low < high:
            middle = (low + high) // 2
            at = self._at(middle)
            if at is not None and at < oldest:
                low = middle + 1
            else:
                high = middle
        first = self._at(low)
        whole = 0 if low <= lowest or first is None else int(first // HOUR) + 1
        self.set_mark(WHOLE_SINCE, whole)
        return low - 1

    def _at(self, row: int) -> float | None:
        found = self._db.execute("SELECT started_at FROM calls WHERE id >= ? ORDER BY id LIMIT 1", (row,)).fetchone()
        return None if found is None else float(found[0])

    def count(self, rows: Iterable[tuple[Any, ...]]) -> None:
        sums: dict[tuple[Any, ...], list[float]] = {}
        for _, at, app, model, outcome, kind, reason, cost, prompt, completion, _ in rows:
            one = (1, (cost or 0.0) > 0, prompt or 0, completion or 0, cost or 0.0)
            for width in KEPT:
                key = (width, int(at // (width * HOUR)), app, model or "", outcome, kind or "", reason or "")
                found = sums.setdefault(key, [0, 0, 0, 0, 0.0])
                for i, value in enumerate(one):
                    found[i] += value
        for key, values in sums.items():
            if not self._add(key, values):
                self._begin(key, values)

    def _add(self, key: tuple[Any, ...], values: list[float]) -> bool:
        cursor = self._db.execute(
            "UPDATE hours SET n = n + ?, billed = billed + ?, prompt_tokens = prompt_tokens + ?,"
            " completion_tokens = completion_tokens + ?, cost_usd = cost_usd + ?"
            " WHERE width = ? AND slot = ? AND app = ? AND model = ? AND outcome = ? AND kind = ? AND reason = ?",
            (*values, *key),
        )
        return cursor.rowcount > 0

    def _begin(self, key: tuple[Any, ...], values: list[float]) -> None:
        width, slot, app, _, *ending = key
        row = self._db.execute("SELECT count(*) FROM hours WHERE width = ? AND slot = ?", (width, slot)).fetchone()
        taken = row[0]
        if taken >= 2 * SETS:
            app = OTHER
        if taken >= SETS:
            # Models first: there are more of them, and who used the quota is asked more often.
            key = (width, slot, app, OTHER, *ending)
        self._db.execute(
            f"INSERT INTO hours (width, slot, {KEYS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", key
        )
        self._add(key, values)

    def forget(self, now: float) -> None:
        """Delete the sums of what is too long ago for a chart; `now` is epoch seconds."""
        for width, kept in KEPT.items():
            oldest = (int(now // HOUR) - kept) // width
            self._db.execute("DELETE FROM hours WHERE width = ? AND slot < ?", (width, oldest))


def count_hours(path: Path, clock: Clock) -> None:
    """Count what has ended since the last time, and forget old sums. Raises StoreUnreachable and StoreDamaged."""
    read_onward(path, clock, HourRows, lambda rows: rows.forget(clock.now()))
