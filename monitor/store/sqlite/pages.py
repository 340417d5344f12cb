"""What the status page reads besides figures: the newest failures, one attempt and what was around it, one model.

Each look is bounded by ids or by a key: none takes longer with a longer log, and none says more than it looked at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from monitor.model import Event, ModelFacts
from monitor.store.pollers import ENDPOINTS_POLLER
from monitor.store.protocol import LEDGER_POLLER
from monitor.store.sqlite.rows import Rows
from monitor.store.sqlite.world import PRESENT_COLUMN, full_facts, model_columns

CALL_COLUMNS = (
    "id", "started_at", "ended_at", "app", "account", "endpoint", "model_requested", "model_served", "provider", "tier",
    "stream", "attempt", "call_id", "generation_id", "status", "outcome", "limit_kind", "reason", "prompt_tokens",
    "completion_tokens", "cached_tokens", "reasoning_tokens", "cost_usd", "estimated_cost_usd", "duration_ms",
    "ttft_ms", "error",
)  # fmt: skip
"""The columns of `calls` that are public for reading."""

LOOK = 5000
"""Rows of the log, or of the events, that a look for something without an index goes through, at most."""

NEAR = 2000
"""Ids on either side of an attempt among which the others of its call are looked for."""

NOTES = 1600
"""Notes of the day's use that a day can have, one a minute, and some to spare."""

_FINE = ("success", "cached", "in_flight", "cancelled")


class DayNote(NamedTuple):
    """How much of the UTC day's free requests was used, and of how many, at an instant (epoch seconds)."""

    at: float
    used: int
    limit: int


class Newest(NamedTuple):
    """Rows of the log, newest first; `complete` is False when there may be more beyond what was looked at."""

    rows: list[dict[str, Any]]
    complete: bool


class Before(NamedTuple):
    """Free requests that left shortly before an attempt; None where the look did not reach far enough back."""

    in_minute: int | None
    since_note: int | None


class PageLooks(Rows):
    """Reading for pages, inside one transaction."""

    __slots__ = ()

    def newest_calls(self, most: int, look: int, app: str | None = None, model: str | None = None) -> Newest:
        """The newest attempts, of one app, or that asked for a model or were served by it; among the `look` newest."""
        # One by one: of both together SQLite reads the whole log.
        newest = self._db.execute("SELECT ifnull(max(id), 0) FROM calls").fetchone()[0]
        oldest = self._db.execute("SELECT ifnull(min(id), 0) FROM calls").fetchone()[0]
        conditions = "" if app is None else " AND app = :app"
        conditions += "" if model is None else " AND (model_requested = :model OR model_served = :model)"
        rows = self._db.execute(
            f"SELECT {', '.join(CALL_COLUMNS)} FROM calls WHERE id > :above{conditions} ORDER BY id DESC LIMIT :most",
            {"above": newest - look, "app": app, "model": model, "most": most},
        ).fetchall()
        return Newest([call_row(row) for row in rows], len(rows) == most or oldest > newest - look)

    def newest_failures(self, most: int) -> list[dict[str, Any]]:
        """Attempts among the newest of the log that did not do what they should have, newest first."""
        marks = ", ".join("?" * len(_FINE))
        rows = self._db.execute(
            f"SELECT {', '.join(CALL_COLUMNS)} FROM calls WHERE id > (SELECT ifnull(max(id), 0) - ? FROM calls)"
            f" AND outcome NOT IN ({marks}) ORDER BY id DESC LIMIT ?",
            (LOOK, *_FINE, most),
        ).fetchall()
        return [call_row(row) for row in rows]

    def day_notes(self, account: str, midnight: float, width: float) -> list[DayNote]:
        """How the day's use rose since midnight (epoch seconds), the last note of each `width` seconds."""
        rows = self._db.execute(
            "SELECT max(at), summary FROM (SELECT at, summary FROM snapshots WHERE poller = ? AND account = ?"
            " ORDER BY id DESC LIMIT ?) WHERE at >= ? AND at < ? GROUP BY CAST(at / ? AS INTEGER) ORDER BY 1",
            (LEDGER_POLLER, account, NOTES, midnight, midnight + 86_400.0, width),
        ).fetchall()
        return [note for at, summary in rows if (note := _note(at, summary)) is not None]

    def note_before(self, account: str, at: float, midnight: float) -> DayNote | None:
        """The last note of the day's use before an instant of that day; None when there was none."""
        row = self._db.execute(
            "SELECT at, summary FROM snapshots WHERE poller = ? AND account = ? AND at <= ? AND at >= ?"
            " ORDER BY id DESC LIMIT 1",
            (LEDGER_POLLER, account, at, midnight),
        ).fetchone()
        return None if row is None else _note(*row)

    def attempts_of(self, row: int, call_id: str) -> list[dict[str, Any]]:
        """The attempts of a call, in their order, as far as they stand near one of them in the log."""
        rows = self._db.execute(
            f"SELECT {', '.join(CALL_COLUMNS)} FROM calls WHERE id > ? AND id < ? AND call_id = ? ORDER BY id",
            (row - NEAR, row + NEAR, call_id),
        ).fetchall()
        return [call_row(found) for found in rows]

    def free_before(self, row: int, account: str, at: float, slot: float, note: float | None) -> Before:
        """Free requests that left before an attempt: within `slot` seconds, and since a note (epoch seconds)."""
        rows = self._db.execute(
            "SELECT started_at, counted FROM calls WHERE id < ? AND id >= ? AND account = ? ORDER BY id DESC",
            (row, row - NEAR, account),
        ).fetchall()
        first = self._db.execute("SELECT ifnull(min(id), 0) FROM calls").fetchone()[0]
        reached = -float("inf") if row - NEAR <= first else min((each[0] for each in rows), default=at)

        def since(instant: float) -> int | None:
            if reached > instant:
                return None
            return sum(1 for started, counted in rows if counted and instant < started <= at)

        return Before(since(at - slot), None if note is None else since(note))

    def model_known(self, model: str) -> tuple[ModelFacts, bool, float, float] | None:
        """What the catalogue says of a model, whether it is listed now, and when it was first seen and last changed."""
        row = self._db.execute(f"SELECT {model_columns()} FROM models WHERE id = ?", (model,)).fetchone()
        if row is None:
            return None
        times = self._db.execute("SELECT first_seen, changed_at FROM models WHERE id = ?", (model,)).fetchone()
        return full_facts(row), bool(row[PRESENT_COLUMN]), times[0], times[1]

    def uptimes(self, model: str) -> tuple[float | None, dict[str, float]]:
        """The part of half an hour in which each provider of a model answered, and when that was told (epoch s)."""
        row = self._db.execute(
            "SELECT at, summary FROM snapshots WHERE poller = ? AND account = '' ORDER BY id DESC LIMIT 1",
            (ENDPOINTS_POLLER,),
        ).fetchone()
        told = {} if row is None else json.loads(row[1]).get("uptime", {}).get(model, {})
        found = {name: float(part) for name, part in told.items() if isinstance(part, int | float)}
        return (row[0] if found else None), found

    def events_of(self, subject: str, most: int) -> list[Event]:
        """Events of one subject among the newest, newest first."""
        rows = self._db.execute(
            "SELECT at, kind, subject, before, after, note FROM"
            " (SELECT id, at, kind, subject, before, after, note FROM events ORDER BY id DESC LIMIT ?)"
            " WHERE subject = ? ORDER BY id DESC LIMIT ?",
            (LOOK, subject, most),
        ).fetchall()
        return [Event(*row) for row in rows]


def call_row(row: Sequence[Any]) -> dict[str, Any]:
    """A row of the log by name; `stream` is told as true or false."""
    named = dict(zip(CALL_COLUMNS, row, strict=True))
    named["stream"] = bool(named["stream"])
    return named


def _note(at: float, summary: str) -> DayNote | None:
    told = json.loads(summary)
    used, limit = told.get("used"), told.get("limit")
    return DayNote(at, used, limit) if isinstance(used, int) and isinstance(limit, int) else None
