"""`status`: the day's pace and when its quota ends at it, and what was refused or went wrong."""

from __future__ import annotations

import pytest

from monitor.bookings import note_pace
from monitor.config import Settings
from monitor.ledger import Ledger
from monitor.model import Ending, Endpoint, Outcome, Tier
from monitor.status import gather
from monitor.store.protocol import CircuitRow, OpenCall
from monitor.store.sqlite.browse import refused_since
from monitor.store.sqlite.hours import count_hours
from monitor.store.sqlite.reader import Reader
from tests.fakes.builders import FREE, FREE2, HOUR, MIDNIGHT, NOON, PAID, ask, key_facts, ledger, success, take

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


def test_refusals_of_the_day_are_the_same_counted_or_walked(tmp_path, clock):
    """From the hourly sums where they hold the whole day, else from the log: the same figures."""
    book = ledger(tmp_path / "monitor.db", clock, quota=PLENTY)
    shadow = Ledger(book.store, book.settings.with_changes(guard={"mode": "shadow"}), clock)
    clock.advance(-13 * HOUR)
    book.reserve(ask(PAID))  # yesterday's
    clock.advance(13 * HOUR)
    for each in (book, book, shadow):
        each.reserve(ask(PAID))
    for _ in range(2):
        with Reader(book.store.path) as reader:
            walked = refused_since(reader, MIDNIGHT)
            found = gather(reader, book.settings, clock.now())["refused_today"]
        assert found == {"total": 2, "by_reason": walked.by_reason, "shadow": walked.shadow, "complete": True}
        assert walked.shadow == {"model_not_free": 1}
        count_hours(book.store.path, clock)


def test_what_went_wrong_last_is_told_once(tmp_path, clock):
    """The newest of each kind first, and how often it happened: a loop of refusals does not hide a 502."""
    book = ledger(tmp_path / "monitor.db", clock, quota=PLENTY)
    book.settle(take(book, app="notebook"), Ending(Outcome.SERVER_ERROR, status=502, error="502: broken"))
    book.settle(take(book), success())
    for _ in range(30):
        clock.advance(1)
        book.reserve(ask(PAID, app="loop"))
    with Reader(book.store.path) as reader:
        first, second = gather(reader, book.settings, clock.now())["failures"]
    assert (first["app"], first["model"], first["reason"], first["times"]) == ("loop", PAID, "model_not_free", 30)
    assert (first["id"], first["at"]) == (32, clock.now())
    assert (second["outcome"], second["status"], second["error"], second["times"]) == (
        "server_error",
        502,
        "502: broken",
        1,
    )


def test_what_retries_cost_and_what_kept_answers_saved(tmp_path, clock):
    """Three attempts for two calls; a kept answer is neither. Before anything there is no ratio."""
    book = ledger(tmp_path / "monitor.db", clock, quota=PLENTY)
    with Reader(tmp_path / "none.db") as reader:
        nothing = gather(reader, book.settings, clock.now())["amplification"]
    assert nothing == {
        "attempts": 0,
        "calls": 0,
        "ratio": None,
        "saved": 0,
        "last_hour": {"calls": 0, "retries": 0},
    }
    book.settle(take(book, call_id="one"), Ending(Outcome.SERVER_ERROR, status=502))
    book.settle(take(book, call_id="one", attempt=2), success())
    book.settle(take(book, call_id="two"), success())
    with book.store.transaction() as tx:
        row = OpenCall(clock.now(), "app", "default", Endpoint.CHAT, FREE, Tier.FREE, False, 1, "kept")
        tx.record_cached(row, clock.now(), FREE)
        tx.count_in_span("default", int(clock.now() // 600), calls=2, retries=1)
        tx.count_in_span("default", int(clock.now() // 600) - 6, calls=9, retries=9)
    with Reader(book.store.path) as reader:
        found = gather(reader, book.settings, clock.now())
    told = found["amplification"]
    assert (told["attempts"], told["calls"], told["ratio"], told["saved"]) == (3, 2, 1.5, 1)
    assert told["last_hour"] == {"calls": 2, "retries": 1}
    assert [each["outcome"] for each in found["failures"]] == ["server_error"], "a kept answer is no failure"


def test_models_that_the_client_leaves_alone(tmp_path, clock):
    """Open until then, then half open: the next call is the probe. One that failed once is nothing to tell."""
    book = ledger(tmp_path / "monitor.db", clock, quota=PLENTY)
    until = clock.now() + 30
    with book.store.transaction() as tx:
        tx.save_circuit("default", FREE, CircuitRow(2, 1, until, 0.0))
        tx.save_circuit("default", FREE2, CircuitRow(1, 0, 0.0, 0.0))

    def circuits():
        with Reader(book.store.path) as reader:
            return gather(reader, book.settings, clock.now())["circuits"]

    assert circuits() == [{"model": FREE, "state": "open", "until": until}]
    clock.advance(31)
    assert circuits() == [{"model": FREE, "state": "half_open", "until": None}]
