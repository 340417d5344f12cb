"""`status`: the day's pace, and when its quota ends at it."""

from __future__ import annotations

import pytest

from monitor.bookings import note_pace
from monitor.config import Settings
from monitor.status import gather
from monitor.store.sqlite.reader import Reader
from tests.fakes.builders import HOUR, NOON, key_facts, ledger, success, take

PLENTY = {"per_minute": 10_000}


def day(path, settings: Settings, now: float):
    with Reader(path) as reader:
        return gather(reader, settings, now)["day"]


def test_before_anything_there_is_no_pace(tmp_path):
    """A store that does not exist yet has the same fields."""
    found = day(tmp_path / "none.db", Settings(), NOON)
    assert (found["pace_per_hour"], found["exhausted_at"]) == (0, None)


def test_the_last_hour_counts_when_it_is_faster_than_the_day(tmp_path, clock):
    """Twenty requests in an hour after a quiet morning: what is left lasts for as long as that goes on."""
    book = ledger(tmp_path / "monitor.db", clock, quota={**PLENTY, "per_day": 50})
    with book.store.transaction() as tx:
        note_pace(tx, book.settings, clock.now())
    for i in range(20):
        book.settle(take(book, call_id=f"call-{i}"), success())
    clock.advance(HOUR)
    found = day(tmp_path / "monitor.db", book.settings, clock.now())
    assert found["pace_per_hour"] == pytest.approx(20)
    assert found["exhausted_at"] == pytest.approx(clock.now() + 1.5 * HOUR)


def test_a_slow_day_lasts(tmp_path, clock):
    """Two requests by noon leave most of fifty at midnight: there is no end to tell of."""
    book = ledger(tmp_path / "monitor.db", clock)
    for i in range(2):
        book.settle(take(book, call_id=f"call-{i}"), success())
    assert day(tmp_path / "monitor.db", book.settings, clock.now())["exhausted_at"] is None


def test_a_spent_day_has_ended_now(tmp_path, clock):
    """With nothing left the end is not in the future, whatever the pace."""
    book = ledger(tmp_path / "monitor.db", clock)
    book.note_key(key_facts(50, 50), asked_at=clock.now())
    found = day(tmp_path / "monitor.db", book.settings, clock.now())
    assert (found["left"], found["exhausted_at"]) == (0, clock.now())
