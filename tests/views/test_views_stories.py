"""One call, model or failure: why, when, and how the windows stood then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitor.bookings import note_pace
from monitor.clock import FakeClock
from monitor.ledger import Ledger
from monitor.model import Ending, Event, LimitKind, Outcome
from monitor.status import gather
from monitor.store.sqlite import pages
from monitor.store.sqlite.reader import Reader
from monitor.views import stories
from monitor.views.stories import call_story, failure_text, last_calls, model_story, use_of_day
from tests.fakes.builders import FREE, HOUR, MIDNIGHT, NOON, PAID, ask, ledger, refused_by, success, take


@pytest.fixture
def book(tmp_path: Path, clock: FakeClock) -> Ledger:
    return ledger(tmp_path / "monitor.db", clock)


def story(book: Ledger, row: int) -> dict[str, Any] | None:
    with Reader(book.store.path) as reader:
        return call_story(reader, book.settings, row)


def note(book: Ledger) -> None:
    with book.store.transaction() as tx:
        note_pace(tx, book.settings, book.clock.now())


def test_a_refusal_says_why_and_what_to_do(book):
    """The very words that the app was answered with."""
    book.reserve(ask(PAID))
    told = story(book, 1)
    assert told is not None
    assert (told["verdict"]["action"], told["verdict"]["reason"]) == ("refused", "model_not_free")
    assert told["verdict"]["text"].startswith(f"The model {PAID} is not free (the catalogue lists a price for it).")
    assert "Nothing was sent and nothing was spent." in told["verdict"]["text"]
    assert "guard.allow" in told["verdict"]["text"]


def test_what_was_let_through_in_shadow_is_not_called_unsent(book, clock):
    """It left, and may have cost: only the reason is told."""
    shadow = Ledger(book.store, book.settings.with_changes(guard={"mode": "shadow"}), clock)
    hold = shadow.reserve(ask(PAID)).hold
    assert hold is not None
    shadow.settle(hold, success(0.1))
    told = story(book, 1)
    assert told is not None
    assert told["verdict"]["action"] == "shadow"
    assert "is not free" in told["verdict"]["text"]
    assert "Nothing was sent" not in told["verdict"]["text"]


def test_the_windows_are_told_as_they_stood(book, clock):
    """The minute before it, and the day by the last note and what left since."""
    for _ in range(3):
        book.settle(take(book), success())
    note(book)
    clock.advance(30)
    book.settle(take(book), success())
    clock.advance(29)
    book.settle(take(book), success())
    clock.advance(HOUR)
    book.settle(take(book), success())
    told = story(book, 5)
    assert told is not None
    assert told["windows"] == {"minute_used": 4, "day_used": 4, "day_limit": 50, "day_total": 6}
    last = story(book, 6)
    assert last is not None
    assert last["windows"]["minute_used"] == 0


def test_without_a_note_of_that_day_nothing_is_made_up(book, clock):
    """Yesterday's note says nothing of today."""
    clock.set(MIDNIGHT - 60)
    note(book)
    clock.set(NOON)
    book.settle(take(book), success())
    told = story(book, 1)
    assert told is not None
    assert (told["windows"]["day_used"], told["windows"]["day_limit"], told["windows"]["day_total"]) == (None, None, 1)


def test_a_look_that_does_not_reach_far_enough_says_nothing(book, clock, monkeypatch):
    """Better no figure than one that is too low."""
    monkeypatch.setattr(pages, "NEAR", 3)
    for _ in range(6):
        clock.advance(1)
        book.settle(take(book), success())
    told = story(book, 6)
    assert told is not None
    assert told["windows"]["minute_used"] is None


def test_the_attempts_of_a_call_stand_together(book, clock):
    """However many other calls came in between."""
    book.settle(take(book, call_id="mine"), Ending(Outcome.SERVER_ERROR, status=502))
    book.settle(take(book, call_id="another"), success())
    book.settle(take(book, call_id="mine", attempt=2), success())
    told = story(book, 3)
    assert told is not None
    assert [(row["id"], row["attempt"]) for row in told["attempts"]] == [(1, 1), (3, 2)]


def test_what_is_not_there_is_none(book, tmp_path):
    """A row that was pruned, or never was; a model that nobody knows; a store that is none."""
    assert story(book, 99) is None
    with Reader(book.store.path) as reader:
        assert model_story(reader, "lab/nothing") is None
    with Reader(tmp_path / "none.db") as reader:
        assert call_story(reader, book.settings, 1) is None
        assert model_story(reader, FREE) is None
        assert last_calls(reader) == {"rows": [], "looked_at": None}
        assert use_of_day(reader, book.settings, NOON) == []


def test_a_model_is_told_with_what_happened_to_it(book, clock):
    """Its facts by the newest catalogue, and its own events only, newest first."""
    with book.store.transaction() as tx:
        tx.add_event(Event(NOON - 60, "model_missing", FREE))
        tx.add_event(Event(NOON - 30, "model_missing", PAID))
        tx.add_event(Event(NOON, "model_returned", FREE))
    with Reader(book.store.path) as reader:
        told = model_story(reader, FREE)
    assert told is not None
    assert (told["listed"], told["facts"]["price"], told["facts"]["context_length"]) == (True, "free", 8192)
    assert [event["kind"] for event in told["events"]] == ["model_returned", "model_missing"]
    assert told["providers"] == {"at": None, "uptime": {}}


def test_the_last_calls_of_one_app(book, monkeypatch):
    """Newest first, and that a look gave up is told."""
    for app in ("a", "b", "a"):
        book.reserve(ask(PAID, app=app))
    with Reader(book.store.path) as reader:
        found = last_calls(reader, "a")
        assert ([row["id"] for row in found["rows"]], found["looked_at"]) == ([3, 1], None)
        assert [row["id"] for row in last_calls(reader, model=PAID)["rows"]] == [3, 2, 1]
        monkeypatch.setattr(stories, "LOOKED_AT", 2)
        found = last_calls(reader, "a")
        assert ([row["id"] for row in found["rows"]], found["looked_at"]) == ([3], 2)


def test_the_days_use_is_thinned_to_quarters_of_an_hour(book, clock):
    """The last note of each; yesterday's is left out."""
    for at in (MIDNIGHT - 60, MIDNIGHT + 60, MIDNIGHT + 600, MIDNIGHT + 1000):
        clock.set(at)
        note(book)
    with Reader(book.store.path) as reader:
        found = use_of_day(reader, book.settings, NOON)
    assert [row["at"] - MIDNIGHT for row in found] == [600, 1000]


@pytest.mark.parametrize(
    ("ending", "says"),
    [
        (None, f"The model {PAID} is not free (the catalogue lists a price for it)."),
        (refused_by(LimitKind.UPSTREAM), f"{FREE}: the model's provider is busy; your quota is untouched"),
        (Ending(Outcome.SERVER_ERROR, status=502, error="502: broken"), f"{FREE}: 502: broken"),
        (Ending(Outcome.NETWORK_ERROR), f"{FREE}: network_error"),
    ],
    ids=["refused", "limited", "failed", "unsaid"],
)
def test_a_failure_has_a_sentence(book, clock, ending, says):
    """Why it failed, as well as is known."""
    if ending is None:
        book.reserve(ask(PAID))
    else:
        book.settle(take(book), ending)
    with Reader(book.store.path) as reader:
        (failure,) = gather(reader, book.settings, clock.now())["failures"]
    assert failure_text(failure) == says
