"""Histograms in the manner of OpenTelemetry's GenAI conventions, counted from the log some time after each attempt.

The totals do not hold what these need: how many tokens an attempt had, which model answered, what was asked of it. To
count that where an attempt is settled would make every call slower for a setting that few turn on. So the log is read
onward, and only while somebody wants these figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from monitor.clock import Clock
from monitor.redact import redact
from monitor.store.buckets import SEMCONV_DURATION_BOUNDS, SEMCONV_TOKEN_BOUNDS, bucket, columns
from monitor.store.sqlite.onward import OnwardRows, read_onward

SETS = 100
"""Label sets of their own; what comes after them is counted under `OTHER`."""

OTHER = ("other", "other", "other", "other")
_ID_LIMIT = 100

_OPERATIONS = {
    "chat": "chat",
    "responses": "chat",
    "messages": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
}
"""What the conventions call what an endpoint does; other endpoints have their own name."""

_UNTOLD = ("refused", "cached", "abandoned")
"""Never left, or nobody saw the end: neither has a duration that means something."""

_DURATIONS = columns("d", SEMCONV_DURATION_BOUNDS)
_INPUTS = columns("i", SEMCONV_TOKEN_BOUNDS)
_OUTPUTS = columns("o", SEMCONV_TOKEN_BOUNDS)

Labels = tuple[str, str, str, str]
"""Operation, requested model, model that answered, and what kind of error it was ("" for none)."""


class Newest(NamedTuple):
    """The last attempt of a label set that OpenRouter gave an id: its duration in seconds, and when it ended."""

    generation_id: str
    seconds: float
    at: float


class SemconvRow(NamedTuple):
    """One label set: attempts by duration (s) and by tokens, a count a bucket, and sums."""

    operation: str
    request_model: str
    response_model: str
    error_type: str
    duration_seconds: float
    input_tokens: int
    output_tokens: int
    durations: Sequence[int]
    inputs: Sequence[int]
    outputs: Sequence[int]
    newest: Newest | None


@dataclass(slots=True)
class _Sums:
    """What a batch adds to one label set: to each column so much."""

    added: dict[str, float] = field(default_factory=dict)
    newest: Newest | None = None

    def add(self, column: str, value: float) -> None:
        self.added[column] = self.added.get(column, 0) + value


class SemconvRows(OnwardRows):
    """Counting, inside one transaction; the first look begins with what is new."""

    __slots__ = ()

    MARK = "semconv_from"
    OPEN = "semconv_open"
    COLUMNS = (
        "endpoint, model_requested, model_served, outcome, status, duration_ms, prompt_tokens, completion_tokens,"
        " generation_id, ended_at"
    )

    def semconv(self) -> list[SemconvRow]:
        """Everything that was counted, in the order in which label sets came."""
        sums = "operation, request_model, response_model, error_type, duration_seconds, input_tokens, output_tokens"
        counts = ", ".join((*_DURATIONS, *_INPUTS, *_OUTPUTS))
        rows = self._db.execute(
            f"SELECT {sums}, newest_id, newest_seconds, newest_at, {counts} FROM semconv ORDER BY place"
        ).fetchall()
        return [_row(row) for row in rows]

    def count(self, rows: Iterable[tuple[Any, ...]]) -> None:
        sums: dict[Labels, _Sums] = {}
        for row in rows:
            if row[4] not in _UNTOLD:
                _add(sums, row)
        for labels, added in sums.items():
            self._book(labels, added)

    def _book(self, labels: Labels, sums: _Sums) -> None:
        if not self._update(labels, sums):
            taken = self._db.execute("SELECT count(*) FROM semconv WHERE operation != ?", (OTHER[0],)).fetchone()[0]
            labels = labels if taken < SETS else OTHER
            self._db.execute(
                "INSERT INTO semconv (operation, request_model, response_model, error_type) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                labels,
            )
            self._update(labels, sums)

    def _update(self, labels: Labels, sums: _Sums) -> bool:
        steps = "".join(f"{column} = {column} + ?, " for column in sums.added)
        newest = sums.newest or (None, None, None)
        cursor = self._db.execute(
            f"UPDATE semconv SET {steps}newest_id = ifnull(?, newest_id), newest_seconds = ifnull(?, newest_seconds),"
            " newest_at = ifnull(?, newest_at)"
            " WHERE operation = ? AND request_model = ? AND response_model = ? AND error_type = ?",
            (*sums.added.values(), *newest, *labels),
        )
        return cursor.rowcount > 0


def _add(sums: dict[Labels, _Sums], row: tuple[Any, ...]) -> None:
    _, endpoint, asked, served, outcome, status, ms, prompt, completion, generation_id, ended_at, _ = row
    labels = (_OPERATIONS.get(str(endpoint), str(endpoint)), _name(asked), _name(served), _error(outcome, status))
    found = sums.setdefault(labels, _Sums())
    seconds = (ms or 0.0) / 1000.0
    found.add(_DURATIONS[bucket(seconds, SEMCONV_DURATION_BOUNDS)], 1)
    found.add("duration_seconds", seconds)
    for tokens, names, total in ((prompt, _INPUTS, "input_tokens"), (completion, _OUTPUTS, "output_tokens")):
        if isinstance(tokens, int):
            found.add(names[bucket(tokens, SEMCONV_TOKEN_BOUNDS)], 1)
            found.add(total, tokens)
    if isinstance(generation_id, str) and len(generation_id) <= _ID_LIMIT:
        found.newest = Newest(generation_id, seconds, ended_at or 0.0)


def _name(model: object) -> str:
    return redact(str(model), limit=_ID_LIMIT) if model else ""


def _error(outcome: object, status: object) -> str:
    """The HTTP status of an error, else how the attempt ended: a 200 can hold an error too."""
    if outcome == "success":
        return ""
    return str(status) if isinstance(status, int) and status >= 400 else str(outcome)


def _row(row: tuple[Any, ...]) -> SemconvRow:
    operation, asked, served, error, seconds, inputs, outputs, newest_id, newest_seconds, newest_at, *counts = row
    first, second = len(_DURATIONS), len(_DURATIONS) + len(_INPUTS)
    newest = None if newest_id is None else Newest(newest_id, newest_seconds, newest_at)
    buckets = counts[:first], counts[first:second], counts[second:]
    return SemconvRow(operation, asked, served, error, seconds, inputs, outputs, *buckets, newest)


def count_onward(path: Path, clock: Clock) -> None:
    """Count what has ended since the last time. Raises StoreUnreachable and StoreDamaged."""
    read_onward(path, clock, SemconvRows)
