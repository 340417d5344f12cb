"""Items of batches: which are finished, and what came of them. Prompts are not kept, only a digest of each."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.store.protocol import BatchRow
from monitor.store.sqlite.rows import Rows

_AT_ONCE = 200


class BatchRows(Rows):
    """Rows found by their batch and key."""

    __slots__ = ()

    def use_batch(self, batch: str, at: float) -> bool:
        """Note that a batch is being worked on. False when it is a new one."""
        known = self._db.execute("UPDATE batches SET used_at = ? WHERE name = ?", (at, batch)).rowcount == 1
        if not known:
            self._db.execute("INSERT INTO batches (name, made_at, used_at) VALUES (?, ?, ?)", (batch, at, at))
        return known

    def batch_states(self, batch: str) -> dict[str, str]:
        """The state of every item that was ever asked, by its key."""
        rows = self._db.execute("SELECT item, state FROM batch_items WHERE batch = ?", (batch,)).fetchall()
        return dict(rows)

    def batch_items(self, batch: str, items: list[str]) -> Iterator[BatchRow]:
        """What is kept of these items; those that were never asked are left out."""
        for start in range(0, len(items), _AT_ONCE):
            part = items[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(part))
            rows = self._db.execute(
                f"SELECT item, state, at, content FROM batch_items WHERE batch = ? AND item IN ({marks})",
                (batch, *part),
            ).fetchall()
            yield from (BatchRow(*row) for row in rows)

    def save_batch_item(self, batch: str, item: str, state: str, at: float, content: str) -> None:
        self._db.execute(
            "INSERT INTO batch_items (batch, item, state, at, content) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " state = excluded.state, at = excluded.at, content = excluded.content",
            (batch, item, state, at, content),
        )

    def drop_batch_item(self, batch: str, item: str) -> None:
        """Forget an item: it was not asked after all."""
        self._db.execute("DELETE FROM batch_items WHERE batch = ? AND item = ?", (batch, item))

    def forget_batch(self, batch: str) -> int:
        """Forget a batch and all answers of it; returns how many items it had."""
        self._db.execute("DELETE FROM batches WHERE name = ?", (batch,))
        return self._db.execute("DELETE FROM batch_items WHERE batch = ?", (batch,)).rowcount

    def batches_unused_since(self, at: float) -> list[str]:
        """Batches that nobody has worked on since then (epoch seconds)."""
        rows = self._db.execute("SELECT name FROM batches WHERE used_at < ? ORDER BY used_at", (at,)).fetchall()
        return [row[0] for row in rows]
