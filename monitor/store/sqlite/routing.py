"""What the friendly client chooses by and remembers: free models, our record of them, circuits, retries of the hour."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.model import ModelFacts, PriceClass
from monitor.store.protocol import CircuitRow, ModelRecord
from monitor.store.sqlite.rows import Rows
from monitor.store.sqlite.world import full_facts, model_columns

NEVER_FAILED_OF_ITSELF = ("cancelled", "refused", "in_flight", "cached")
"""Outcomes that say nothing of the model."""

_SPANS_KEPT = 12


class RoutingRows(Rows):
    """Rows that are as many as there are models, never as there are calls."""

    __slots__ = ()

    def priced_facts(self, prices: Sequence[PriceClass]) -> list[ModelFacts]:
        """Everything that the newest catalogue says of its models of these price classes."""
        marks = ", ".join("?" * len(prices))
        rows = self._db.execute(
            f"SELECT {model_columns()} FROM models WHERE present = 1 AND price IN ({marks}) ORDER BY id", tuple(prices)
        ).fetchall()
        return [full_facts(row) for row in rows]

    def model_records(self) -> dict[str, ModelRecord]:
        """Our own experience by model, from the totals."""
        marks = ", ".join("?" * len(NEVER_FAILED_OF_ITSELF))
        rows = self._db.execute(
            "SELECT model, sum(n), sum(CASE outcome WHEN 'success' THEN n ELSE 0 END),"
            " sum(CASE outcome WHEN 'success' THEN duration_seconds ELSE 0 END)"
            f" FROM totals WHERE outcome NOT IN ({marks}) GROUP BY model",
            NEVER_FAILED_OF_ITSELF,
        ).fetchall()
        return {row[0]: ModelRecord(row[1], row[2], row[3] / row[2] if row[2] else None) for row in rows}

    def circuits(self, account: str) -> dict[str, CircuitRow]:
        """The circuits of models that failed lately; a model that is not here is healthy."""
        rows = self._db.execute(
            "SELECT model, failures, trips, open_until, probe_until FROM circuits WHERE account = ?", (account,)
        ).fetchall()
        return {row[0]: CircuitRow(*row[1:]) for row in rows}

    def save_circuit(self, account: str, model: str, circuit: CircuitRow) -> None:
        self._db.execute(
            "INSERT INTO circuits (account, model, failures, trips, open_until, probe_until) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET failures = excluded.failures, trips = excluded.trips,"
            " open_until = excluded.open_until, probe_until = excluded.probe_until",
            (account, model, *circuit),
        )

    def close_circuit(self, account: str, model: str) -> None:
        """Forget a model's failures: it answered."""
        self._db.execute("DELETE FROM circuits WHERE account = ? AND model = ?", (account, model))

    def count_in_span(self, account: str, span: int, *, calls: int = 0, retries: int = 0) -> None:
        """Add to a span's calls or retries."""
        self._db.execute(
            "INSERT INTO retry_spans (account, span, calls, retries) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " calls = calls + excluded.calls, retries = retries + excluded.retries",
            (account, span, calls, retries),
        )
        self._db.execute("DELETE FROM retry_spans WHERE account = ? AND span < ?", (account, span - _SPANS_KEPT))

    def counted_in_spans(self, account: str, first: int, last: int) -> tuple[int, int]:
        """(calls, retries) of the spans from `first` to `last`."""
        row = self._db.execute(
            "SELECT ifnull(sum(calls), 0), ifnull(sum(retries), 0) FROM retry_spans"
            " WHERE account = ? AND span BETWEEN ? AND ?",
            (account, first, last),
        ).fetchone()
        return int(row[0]), int(row[1])
