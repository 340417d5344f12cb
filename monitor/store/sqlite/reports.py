"""What people and dashboards are shown, read from one moment of the store.

Figures come from totals, windows and other rows found by their key. The call log has no index but its id, which grows
with time, so it is read downward from the newest, in slices, and never to its end: `Slice` says how far a look went.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from monitor.model import Event, KeyFacts, PriceClass
from monitor.store.sqlite.alerts import AlertLooks
from monitor.store.sqlite.hours import HourLooks
from monitor.store.sqlite.pages import CALL_COLUMNS, PageLooks, call_row
from monitor.store.sqlite.scrape import ScrapeRows
from monitor.store.sqlite.world import key_facts_of

if TYPE_CHECKING:
    from sqlite_utils import Database

CALL_FILTERS = ("app", "model_requested", "model_served", "outcome", "reason", "tier")
_NEVER_FAILED_OF_ITSELF = ("cancelled", "refused", "in_flight", "cached")
"""Outcomes that say nothing of the model."""


class Pause(NamedTuple):
    """What is paused (an app, or "" for all), since and until when (epoch seconds; None: until resumed), and why."""

    app: str
    at: float
    until: float | None
    note: str


class KeyReading(NamedTuple):
    """What `/key` last said and when (epoch seconds), and the error of the last try if it failed."""

    facts: KeyFacts | None
    at: float | None
    error: str | None


class Spent(NamedTuple):
    """Dollars of a period: settled, and reserved for what is in flight."""

    usd: float = 0.0
    reserved_usd: float = 0.0


class Refusals(NamedTuple):
    """Refused attempts by reason; `shadow`: those that left because the guard does not enforce."""

    by_reason: Mapping[str, int]
    shadow: Mapping[str, int]


class Slice(NamedTuple):
    """Rows of ids below a bound, newest first. `below`: where the next slice starts; None when there is no more.

    `newest_at` is the latest time of any row looked at, also of those that a filter left out.
    """

    rows: list[dict[str, Any]]
    below: int | None
    newest_at: float | None
    looked_at: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums since the store began, of one app and outcome."""

    app: str
    outcome: str
    attempts: int
    tokens: int
    cost_usd: float


class Reports(ScrapeRows, AlertLooks, HourLooks, PageLooks):
    """What is read for people, beside what an admission reads."""

    __slots__ = ()

    def database(self) -> Database:
        """The same moment for sqlite-utils: exports and questions that no method here answers."""
        from sqlite_utils import Database  # noqa: PLC0415 - 80 ms that most reports never need

        return Database(self._db)

    def pauses(self, now: float) -> list[Pause]:
        """What is paused now; a pause that ran out is no pause."""
        rows = self._db.execute("SELECT app, at, until, note FROM pauses ORDER BY app").fetchall()
        return [Pause(*row) for row in rows if row[2] is None or row[2] > now]

    def models_used(self, since: float, most: int, look: int = 2000) -> list[str]:
        """Listed models that attempts went to since then (epoch seconds), the most used first.

        Looks at no more than the `look` newest attempts. Who asked a router used the model that it chose.
        """
        rows = self._db.execute(
            "SELECT model, count(*) AS n FROM (SELECT started_at, outcome,"
            " CASE WHEN model_requested LIKE 'openrouter/%' THEN model_served ELSE model_requested END AS model"
            " FROM calls ORDER BY id DESC LIMIT ?)"
            " WHERE started_at >= ? AND outcome NOT IN ('refused', 'cached')"
            " AND model IN (SELECT id FROM models WHERE present = 1 AND id NOT LIKE 'openrouter/%')"
            " GROUP BY model ORDER BY n DESC, model LIMIT ?",
            (look, since, most),
        ).fetchall()
        return [row[0] for row in rows]

    def key_reading(self, account: str) -> KeyReading:
        row = self._db.execute(
            "SELECT key_facts, key_at, key_error FROM accounts WHERE account = ?", (account,)
        ).fetchone()
        return KeyReading(None, None, None) if row is None else KeyReading(key_facts_of(row[0]), row[1], row[2])

    def spent_in(self, account: str, period: str, start_day: int) -> Spent:
        """Money of the period ("day" or "month") that begins on `start_day`."""
        row = self._db.execute(
            "SELECT usd, reserved_usd FROM spend WHERE account = ? AND period = ? AND start_day = ?",
            (account, period, start_day),
        ).fetchone()
        return Spent() if row is None else Spent(*row)

    def newest_send(self, account: str) -> tuple[int, float] | None:
        """Number and time of the account's newest free request; None when none is remembered."""
        row = self._db.execute(
            "SELECT seq, at FROM sends WHERE account = ? ORDER BY seq DESC LIMIT 1", (account,)
        ).fetchone()
        return None if row is None else (int(row[0]), float(row[1]))

    def in_flight(self, now: float) -> tuple[int, int]:
        """Attempts whose end is not booked yet, and how many of them have outlived their lease."""
        row = self._db.execute("SELECT count(*), ifnull(sum(lease_until < ?), 0) FROM holds", (now,)).fetchone()
        return int(row[0]), int(row[1])

    def cooling(self, account: str, now: float) -> dict[str, float]:
        """Models (or "" for the account, "$" for its paid calls) that cool down, and until when (epoch seconds)."""
        rows = self._db.execute(
            "SELECT subject, until FROM cooldowns WHERE account = ? AND until > ? ORDER BY until", (account, now)
        ).fetchall()
        return {str(subject): float(until) for subject, until in rows}

    def totals(self) -> list[Totals]:
        """Sums by app and outcome; as many rows as there are models, apps and outcomes are read, not calls."""
        rows = self._db.execute(
            "SELECT app, outcome, sum(n), sum(prompt_tokens + completion_tokens), sum(cost_usd) FROM totals"
            " GROUP BY app, outcome ORDER BY app, outcome"
        ).fetchall()
        return [Totals(*row) for row in rows]

    def attempts_and_calls(self) -> tuple[int, int]:
        """Attempts that ended, and the calls that they were for, since the store began; from the totals."""
        row = self._db.execute("SELECT ifnull(sum(n), 0), ifnull(sum(calls), 0) FROM totals").fetchone()
        return int(row[0]), int(row[1])

    def refusals(self) -> dict[tuple[str, str, bool], int]:
        """Refusals since the store began, by (app, reason, shadow)."""
        rows = self._db.execute("SELECT app, reason, shadow, n FROM refusals ORDER BY n DESC").fetchall()
        return {(app, reason, bool(shadow)): n for app, reason, shadow, n in rows}

    def model_rates(self) -> dict[str, tuple[int, int]]:
        """(attempts, successes) of our own by model, from the totals."""
        marks = ", ".join("?" * len(_NEVER_FAILED_OF_ITSELF))
        rows = self._db.execute(
            f"SELECT model, sum(n), sum(CASE outcome WHEN 'success' THEN n ELSE 0 END) FROM totals"
            f" WHERE outcome NOT IN ({marks}) GROUP BY model",
            _NEVER_FAILED_OF_ITSELF,
        ).fetchall()
        return {model: (attempts, successes) for model, attempts, successes in rows}

    def priced(self, price: PriceClass) -> int:
        """How many models of the newest catalogue are of a price class."""
        row = self._db.execute("SELECT count(*) FROM models WHERE present = 1 AND price = ?", (price,)).fetchone()
        return int(row[0])

    def model_times(self) -> dict[str, tuple[float, float]]:
        """(first seen, last changed) of each model, epoch seconds."""
        rows = self._db.execute("SELECT id, first_seen, changed_at FROM models").fetchall()
        return {model: (first, changed) for model, first, changed in rows}

    def newest_call(self) -> int:
        """The id of the newest row of the log; 0 when it is empty."""
        return int(self._db.execute("SELECT ifnull(max(id), 0) FROM calls").fetchone()[0])

    def call(self, row: int) -> dict[str, Any] | None:
        """One row of the log."""
        found = self._db.execute(f"SELECT {', '.join(CALL_COLUMNS)} FROM calls WHERE id = ?", (row,)).fetchone()
        return None if found is None else call_row(found)

    def calls_below(
        self, below: int, size: int, wanted: Mapping[str, str], *, above: int = 0, any_model: str | None = None
    ) -> Slice:
        """The slice of the log of at most `size` ids below `below` and above `above`, without what is not `wanted`.

        `wanted` maps columns of `CALL_FILTERS` to values; `any_model` is the model asked for or served.
        """
        lowest = max(above, below - size - 1)
        conditions, values = _conditions(wanted, any_model)
        looked_at, newest_at = self._db.execute(
            "SELECT count(*), max(started_at) FROM calls WHERE id > ? AND id < ?", (lowest, below)
        ).fetchone()
        rows = self._db.execute(
            f"SELECT {', '.join(CALL_COLUMNS)} FROM calls WHERE id > ? AND id < ?{conditions} ORDER BY id DESC",
            (lowest, below, *values),
        ).fetchall()
        lower = self._db.execute("SELECT max(id) FROM calls WHERE id <= ? AND id > ?", (lowest, above)).fetchone()[0]
        return Slice([call_row(row) for row in rows], None if lower is None else lower + 1, newest_at, looked_at)

    def refused_below(self, below: int, size: int, since: float) -> tuple[Refusals, Slice]:
        """Refusals since an instant in one slice of the log, counted; the slice comes without its rows."""
        lowest = max(0, below - size - 1)
        looked_at, newest_at = self._db.execute(
            "SELECT count(*), max(started_at) FROM calls WHERE id > ? AND id < ?", (lowest, below)
        ).fetchone()
        rows = self._db.execute(
            "SELECT reason, outcome = 'refused', count(*) FROM calls WHERE id > ? AND id < ? AND reason IS NOT NULL"
            " AND started_at >= ? GROUP BY 1, 2",
            (lowest, below, since),
        ).fetchall()
        lower = self._db.execute("SELECT max(id) FROM calls WHERE id <= ?", (lowest,)).fetchone()[0]
        counted = Refusals({r: n for r, really, n in rows if really}, {r: n for r, really, n in rows if not really})
        return counted, Slice([], None if lower is None else lower + 1, newest_at, looked_at)

    def events_below(self, below: int | None, size: int, kinds: Sequence[str]) -> list[tuple[int, Event]]:
        """Events newest first, with their ids, at most `size`."""
        condition = f" AND kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
        rows = self._db.execute(
            f"SELECT id, at, kind, subject, before, after, note FROM events WHERE id < ?{condition}"
            " ORDER BY id DESC LIMIT ?",
            (below if below is not None else 1 << 62, *kinds, size),
        ).fetchall()
        return [(row[0], Event(*row[1:])) for row in rows]


def _conditions(wanted: Mapping[str, str], any_model: str | None) -> tuple[str, list[str]]:
    text, values = "", []
    for name, value in wanted.items():
        if name not in CALL_FILTERS:
            raise ValueError(f"calls are not filtered by {name}")
        text += f" AND {name} = ?"
        values.append(value)
    if any_model is not None:
        text += " AND (model_requested = ? OR model_served = ?)"
        values += [any_model, any_model]
    return text, values
