"""Answers that are kept to be given again, within a bound of their size, and how many requests that has saved."""

from __future__ import annotations

from monitor.store.protocol import OpenCall
from monitor.store.sqlite.calls import CallRows
from monitor.store.sqlite.names import APP

_LARGEST_PART = 8
"""One answer may take no more than this part of the whole: it would push all others out."""

_FORGET_AT_ONCE = 50


class AnswerRows(CallRows):
    """Rows found by their key, or by whose turn it is to go."""

    __slots__ = ()

    def kept_answer(self, key: str, now: float, newer_than: float) -> str | None:
        """The content kept under a key, if it was made after `newer_than` and has not run out; notes the use."""
        row = self._db.execute(
            "SELECT content FROM answers WHERE key = ? AND until > ? AND made_at > ? AND made_at <= ?",
            (key, now, newer_than, now),
        ).fetchone()
        if row is None:
            return None
        self._db.execute("UPDATE answers SET used_at = ? WHERE key = ?", (now, key))
        return str(row[0])

    def keep_answer(self, key: str, content: str, until: float, now: float, most_bytes: int) -> bool:
        """Keep an answer until then, and forget what ran out, or was not used for longest, to stay within the bound.

        False when it is too large to be kept.
        """
        size = len(content.encode("utf-8", "replace"))
        if size * _LARGEST_PART > most_bytes:
            return False
        self._forget("key = ?", key)
        self._forget("rowid IN (SELECT rowid FROM answers WHERE until <= ? LIMIT ?)", now, _FORGET_AT_ONCE)
        self._db.execute(
            "INSERT INTO answers (key, made_at, until, used_at, size, content) VALUES (?, ?, ?, ?, ?, ?)",
            (key, now, until, now, size, content),
        )
        self._add_size(size)
        while self._size() > most_bytes:
            self._forget("rowid IN (SELECT rowid FROM answers ORDER BY used_at, rowid LIMIT 1)")
        return True

    def forget_answers(self) -> int:
        """Forget all of them; returns how many."""
        return self._forget("1")

    def record_cached(self, call: OpenCall, at: float, model_served: str) -> None:
        """Write the row of a call that a kept answer answered, so that nothing left."""
        row = self._record(call, "cached", at, None)
        self._db.execute("UPDATE calls SET model_served = ?, cost_usd = 0 WHERE id = ?", (model_served, row))
        saved = self._db.execute(
            "INSERT INTO saved (app, n) VALUES (?, 1) ON CONFLICT DO UPDATE SET n = n + 1 RETURNING n", (call.app,)
        ).fetchone()
        if saved[0] == 1:
            self.give_places(APP, (call.app,))

    def _forget(self, condition: str, *values: object) -> int:
        gone = self._db.execute(f"DELETE FROM answers WHERE {condition} RETURNING size", values).fetchall()
        self._add_size(-sum(row[0] for row in gone))
        return len(gone)

    def _size(self) -> int:
        return int(self._db.execute("SELECT value FROM marks WHERE name = 'answers_size'").fetchone()[0])

    def _add_size(self, size: int) -> None:
        self._db.execute("UPDATE marks SET value = value + ? WHERE name = 'answers_size'", (size,))
