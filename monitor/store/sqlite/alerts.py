"""The daemon's alerts: how each stands, who has been told of it, and the short history that rules look back at.

States and notices are texts that this module does not read; see `policy/alert_states` and `policy/notices`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from monitor.store.sqlite.rows import Rows


class SeriesChange(NamedTuple):
    """From this tick on a series has another value; None: it has ended."""

    metric: str
    labels: str
    tick: int
    value: float | None


class AlertLooks(Rows):
    """Reading, inside a transaction of whichever kind."""

    __slots__ = ()

    def alert_states(self) -> dict[str, str]:
        """How each alert stands, by its fingerprint."""
        return dict(self._db.execute("SELECT alert, state FROM alert_states ORDER BY alert").fetchall())

    def alert_notices(self, way: str) -> dict[str, str]:
        """What was last told of each alert by this way."""
        return dict(self._db.execute("SELECT alert, notice FROM alert_notices WHERE way = ?", (way,)).fetchall())

    def alert_ways(self) -> dict[str, str]:
        """How each way of telling people fares."""
        return dict(self._db.execute("SELECT way, health FROM alert_ways ORDER BY way").fetchall())

    def newest_alert_tick(self) -> tuple[int, float] | None:
        """Number and instant (epoch seconds) of the newest look at the figures."""
        row = self._db.execute("SELECT tick, at FROM alert_ticks ORDER BY tick DESC LIMIT 1").fetchone()
        return None if row is None else (int(row[0]), float(row[1]))

    def alert_history(self) -> tuple[list[tuple[int, float]], list[SeriesChange]]:
        """All ticks, and all changes, each in the order of the ticks."""
        ticks = self._db.execute("SELECT tick, at FROM alert_ticks ORDER BY tick").fetchall()
        rows = self._db.execute("SELECT metric, labels, tick, value FROM alert_samples ORDER BY tick").fetchall()
        return ticks, [SeriesChange(*row) for row in rows]


class AlertRows(AlertLooks):
    """Writing."""

    __slots__ = ()

    def save_alert_states(self, changed: Mapping[str, str], forgotten: Iterable[str] = ()) -> None:
        self._db.executemany("DELETE FROM alert_states WHERE alert = ?", [(alert,) for alert in forgotten])
        self._db.executemany(
            "INSERT INTO alert_states (alert, state) VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state",
            changed.items(),
        )

    def save_alert_notices(self, way: str, changed: Mapping[str, str], forgotten: Iterable[str] = ()) -> None:
        self._db.executemany(
            "DELETE FROM alert_notices WHERE way = ? AND alert = ?", [(way, alert) for alert in forgotten]
        )
        self._db.executemany(
            "INSERT INTO alert_notices (way, alert, notice) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET notice = excluded.notice",
            [(way, alert, notice) for alert, notice in changed.items()],
        )

    def save_alert_way(self, way: str, health: str) -> None:
        self._db.execute(
            "INSERT INTO alert_ways (way, health) VALUES (?, ?) ON CONFLICT DO UPDATE SET health = excluded.health",
            (way, health),
        )

    def forget_alert_ways(self, but: Iterable[str]) -> None:
        """Forget the ways that are no longer set, and what was told by them."""
        kept = list(but)
        marks = ", ".join("?" * len(kept))
        for table in ("alert_ways", "alert_notices"):
            self._db.execute(f"DELETE FROM {table} WHERE way NOT IN ({marks})", kept)

    def save_alert_tick(self, tick: int, at: float, changes: Iterable[SeriesChange]) -> None:
        self._db.execute("INSERT INTO alert_ticks (tick, at) VALUES (?, ?)", (tick, at))
        self._db.executemany("INSERT INTO alert_samples (metric, labels, tick, value) VALUES (?, ?, ?, ?)", changes)

    def forget_alert_history(self, below: int, series: Iterable[tuple[str, str, int]]) -> None:
        """Delete the ticks below a number, and the changes of each series (metric, labels) below one of its own."""
        self._db.execute("DELETE FROM alert_ticks WHERE tick < ?", (below,))
        self._db.executemany("DELETE FROM alert_samples WHERE metric = ? AND labels = ? AND tick < ?", series)

    def forget_all_alert_history(self) -> None:
        self._db.execute("DELETE FROM alert_ticks")
        self._db.execute("DELETE FROM alert_samples")

    def shift_alert_ticks(self, seconds: float) -> None:
        """Date all ticks anew, after the clock was set."""
        self._db.execute("UPDATE alert_ticks SET at = at + ?", (seconds,))
