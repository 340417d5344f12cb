"""What people may be told once a day: the day before summed up, and requests that will lapse."""

from __future__ import annotations

import pytest

from monitor.alerting.messages import Message
from monitor.alerting.occasions import LATE_SECONDS, Hint, Summary, occasions
from monitor.clock import DAY
from monitor.config import Settings
from monitor.config.hours import daily
from monitor.model import Event
from tests.fakes.builders import FREE, HOUR, MIDNIGHT, NOON, PAID, key_facts, ledger, success, take


@pytest.fixture
def book(tmp_path, clock):
    """A day with calls of two apps and some money, and the morning after it."""
    path = tmp_path / "monitor.db"
    made = ledger(path, clock, store=str(path), guard={"allow": "any"})
    for app, times in (("bot", 3), ("notebook", 1)):
        for _ in range(times):
            made.settle(take(made, FREE, app=app), success())
    made.settle(take(made, PAID, app="bot"), success(0.25))
    with made.store.transaction() as tx:
        tx.add_event(Event(NOON, "model_added", "lab/new:free"))
        tx.add_event(Event(NOON - DAY, "model_added", "lab/old:free"))
    clock.set(MIDNIGHT + DAY + 8 * HOUR)
    made.settle(take(made, FREE, app="bot"), success())
    yield made
    made.store.close()


def text(bundle) -> str:
    return Message(bundle, "http://127.0.0.1:8377").text


def test_the_summary_tells_of_the_whole_day_before(book, clock):
    """Requests by app, money, events; and how today stands."""
    told = text(Summary(daily("08:00"), book.settings).bundle(clock.now()))
    assert (
        "4 free requests from here on 2026-09-21 (UTC): bot 3, notebook 1; 0.2500 USD spent by what is on record here;"
        " 1 event (`openrouter-monitor events`); today 1 of 50 free requests are used so far."
    ) in told


def test_the_hint_comes_when_half_of_the_day_or_more_is_left(book, clock):
    """At exactly half it is given, with what is left and for how long; below it is not."""
    clock.set(MIDNIGHT + DAY + 18 * HOUR)
    hint = Hint(daily("18:00"), book.settings)
    book.note_key(key_facts(used=25, limit=50), asked_at=clock.now())
    told = text(hint.bundle(clock.now()))
    assert "25 of today's 50 free requests are left; they lapse at midnight UTC, in 6.0 hours." in told
    book.settle(take(book, FREE), success())
    assert hint.bundle(clock.now()) is None


def test_they_are_due_at_their_time_and_not_much_later():
    """A daemon that was away for a short while still tells; one that begins at noon does not tell of the morning."""
    (summary,) = occasions(Settings(alerts={"daily_summary": "08:00"}))
    morning = MIDNIGHT + 8 * HOUR
    assert summary.at(morning) == morning
    assert summary.at(morning + LATE_SECONDS) == morning
    assert summary.at(morning + LATE_SECONDS + 1) is None
    assert summary.at(morning - 1) is None


def test_nobody_is_told_who_did_not_ask():
    """Both are off unless they are set."""
    assert occasions(Settings()) == []
    assert len(occasions(Settings(alerts={"daily_summary": "08:00", "unused_hint": "18:00"}))) == 2
