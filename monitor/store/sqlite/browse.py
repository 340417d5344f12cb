"""Walking the log and the events downward from the newest, in short transactions, and stopping early.

The log has no index on time: ids grow with it, but for a clock that was set back. A walk back to an instant therefore
goes on for `SLACK_SECONDS` further, and gives up after `LOOK_LIMIT` rows whatever it has found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitor.model import Event
from monitor.store.sqlite.reader import Reader

SLICE = 2000
LOOK_LIMIT = 500_000
SLACK_SECONDS = 3600.0


@dataclass(slots=True)
class Walk:
    """Calls newest first; iterate it once. `complete` afterwards: False when it gave up before it was sure."""

    reader: Reader
    wanted: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    since: float = float("-inf")
    limit: int | None = None
    look_limit: int = LOOK_LIMIT
    complete: bool = True

    def __iter__(self) -> Iterator[dict[str, Any]]:
        found, looked_at = 0, 0
        with self.reader.moment() as reports:
            below: int | None = reports.newest_call() + 1
        while below is not None and below > 0:
            with self.reader.moment() as reports:
                part = reports.calls_below(below, SLICE, self.wanted, any_model=self.model)
            for row in part.rows:
                if row["started_at"] >= self.since:
                    yield row
                    found += 1
                    if found == self.limit:
                        return
            looked_at += part.looked_at
            if part.newest_at is not None and part.newest_at < self.since - SLACK_SECONDS:
                return
            below = part.below
            if looked_at >= self.look_limit and below is not None:
                self.complete = False
                return


class Follower:
    """The log as it grows: each attempt once, when it has ended. Starts with the newest `back` rows."""

    def __init__(self, reader: Reader, back: int) -> None:
        self._reader = reader
        self._open: set[int] = set()
        with reader.moment() as reports:
            self._above = max(0, reports.newest_call() - back)

    def ended(self) -> list[dict[str, Any]]:
        """What ended since the last look, by id."""
        with self._reader.moment() as reports:
            newest = min(reports.newest_call(), self._above + SLICE)
            fresh = reports.calls_below(newest + 1, SLICE, {}, above=self._above).rows
            waited_for = [row for row in map(reports.call, self._open) if row is not None]
        self._above = max(self._above, newest)
        rows = [*fresh, *waited_for]
        # A row that was pruned while it was open is in neither, and is forgotten.
        self._open = {row["id"] for row in rows if row["outcome"] == "in_flight"}
        return sorted((row for row in rows if row["id"] not in self._open), key=lambda row: int(row["id"]))


@dataclass(frozen=True, slots=True)
class RefusedSince:
    """Refused attempts by reason; `shadow`: what left, but would have been refused.

    `complete` is False when there may be more.
    """

    by_reason: Mapping[str, int]
    shadow: Mapping[str, int]
    complete: bool


def refused_since(reader: Reader, since: float, look_limit: int = LOOK_LIMIT) -> RefusedSince:
    """Count refusals since an instant (epoch seconds) by walking the newest part of the log."""
    refused: Counter[str] = Counter()
    shadow: Counter[str] = Counter()
    looked_at = 0
    with reader.moment() as reports:
        below: int | None = reports.newest_call() + 1
    while below is not None:
        with reader.moment() as reports:
            counted, part = reports.refused_below(below, SLICE, since)
        refused.update(counted.by_reason)
        shadow.update(counted.shadow)
        looked_at += part.looked_at
        below = part.below
        if part.newest_at is not None and part.newest_at < since - SLACK_SECONDS:
            break
        if looked_at >= look_limit and below is not None:
            return RefusedSince(refused, shadow, complete=False)
    return RefusedSince(refused, shadow, complete=True)


def events(reader: Reader, *, limit: int, kinds: Sequence[str] = (), since: float = float("-inf")) -> list[Event]:
    """Events newest first."""
    found: list[Event] = []
    below: int | None = None
    while len(found) < limit:
        with reader.moment() as reports:
            page = reports.events_below(below, SLICE, kinds)
        found += [event for _, event in page if event.at >= since]
        if len(page) < SLICE or all(event.at < since - SLACK_SECONDS for _, event in page):
            break
        below = page[-1][0]
    return found[:limit]
